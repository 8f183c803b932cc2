"""Bodies are unpacked in every encoding that clients send, and never beyond the limit."""

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.formats.raven_payload import TooLarge, UnpackError, inflate, unpack_raven
from heka_raven.inbox.intake.unpack import unpack_body

LIMIT = 10_000


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@given(st.binary(max_size=2_000))
def test_deflate_is_read_in_both_meanings(data):
    """``deflate`` is zlib for some clients and raw for others; both give the same bytes back."""
    assert data == inflate(zlib.compress(data), LIMIT)
    assert data == inflate(raw_deflate(data), LIMIT)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate], ids=["gzip", "zlib", "raw"])
def test_a_bomb_stops_at_the_limit(pack):
    """What unpacks to a byte more than the limit is refused; exactly the limit passes."""
    name = "gzip" if pack is gzip.compress else "deflate"
    assert LIMIT == len(unpack_body(pack(b"x" * LIMIT), name, LIMIT))
    with pytest.raises(TooLarge):
        unpack_body(pack(b"x" * (LIMIT + 1)), name, LIMIT)
    with pytest.raises(TooLarge):
        unpack_body(pack(b"x" * 50_000_000), name, LIMIT)


def test_a_bomb_in_a_bomb_stops_at_the_limit():
    """Each stage has the limit, not only the last."""
    with pytest.raises(TooLarge):
        unpack_body(gzip.compress(gzip.compress(b"x" * 50_000_000)), "gzip, gzip", LIMIT)
    with pytest.raises(UnpackError):
        unpack_body(b"", "gzip, gzip, gzip", LIMIT)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate], ids=["gzip", "zlib", "raw"])
def test_a_body_cut_short_is_refused(pack):
    """Half a body is an error, never half an event."""
    name = "gzip" if pack is gzip.compress else "deflate"
    packed = pack(bytes(range(256)) * 20)
    with pytest.raises(UnpackError):
        unpack_body(packed[: len(packed) // 2], name, LIMIT)


@pytest.mark.parametrize("name", ["zstd", "compress", "\u00e9", "gzip;q=1"])
def test_an_unknown_encoding_names_the_known_ones(name):
    """The client's developer reads what would work."""
    with pytest.raises(UnpackError, match=r"known: .*deflate, gzip"):
        unpack_body(b"x", name, LIMIT)


@given(st.binary(max_size=300))
def test_damaged_bytes_give_one_of_two_errors(data):
    """Whatever the bytes: a result within the limit, or one of the two errors."""
    for name in ("gzip", "deflate"):
        try:
            assert LIMIT >= len(unpack_body(data, name, LIMIT))
        except (UnpackError, TooLarge):
            pass
    try:
        assert LIMIT >= len(unpack_raven(data, LIMIT))
    except (UnpackError, TooLarge):
        pass


def test_a_blob_is_json_or_zlib_with_or_without_base64():
    """All three forms that clients of ``/store/`` ever sent."""
    event = b'{"a": 1}'
    packed = zlib.compress(event)
    for blob in (event, b"  " + event + b"\n", packed, base64.b64encode(packed), base64.b64encode(packed) + b"\n"):
        assert event == unpack_raven(blob, LIMIT)
    with pytest.raises(TooLarge):
        unpack_raven(base64.b64encode(zlib.compress(b" " * 50_000_000)), LIMIT)


def test_brotli_is_bounded():
    """``br`` works where the package is installed, within the limit."""
    brotli = pytest.importorskip("brotli", minversion="1.2")
    assert b"x" * LIMIT == unpack_body(brotli.compress(b"x" * LIMIT), "br", LIMIT)
    with pytest.raises(TooLarge):
        unpack_body(brotli.compress(b"x" * 50_000_000), "br", LIMIT)
    with pytest.raises(UnpackError):
        unpack_body(brotli.compress(bytes(range(256)) * 9)[:40], "br", LIMIT)
    with pytest.raises(UnpackError):
        unpack_body(b"no brotli", "br", LIMIT)
