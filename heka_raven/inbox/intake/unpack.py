"""Bounded decompression of what a client sent.

Rule: no function here ever holds more than its limit, whatever the bytes claim. A body of 10 KiB can unpack to 10 MiB
in one call of zlib.decompress; here the limit is given to the decoder itself.
"""

import base64
import binascii
import importlib
import zlib
from collections.abc import Callable

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells the two apart by their first bytes
RAW_DEFLATE = -zlib.MAX_WBITS


class UnpackError(ValueError):
    """The bytes are not what their encoding says."""


class TooLarge(ValueError):
    """The bytes unpack to more than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than {limit:,} bytes")
        self.limit = limit


def _inflate(data: bytes, wbits: int, limit: int) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        out = decoder.decompress(data, limit + 1)
    except zlib.error as error:
        raise UnpackError("the compressed body is damaged") from error
    if len(out) > limit:
        raise TooLarge(limit)
    if not decoder.eof:
        raise UnpackError("the compressed body is cut short")
    return out


def inflate(data: bytes, limit: int) -> bytes:
    """Unpack ``deflate``, in both forms that clients send under this name.

    RFC 9110 says zlib; some clients (and Bugsink's reader) mean raw deflate. The zlib header's check sum tells.
    """
    looks_zlib = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    first, second = (GZIP_OR_ZLIB, RAW_DEFLATE) if looks_zlib else (RAW_DEFLATE, GZIP_OR_ZLIB)
    try:
        return _inflate(data, first, limit)
    except UnpackError:
        return _inflate(data, second, limit)


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack gzip."""
    return _inflate(data, GZIP_OR_ZLIB, limit)


def _unbrotli() -> Callable[[bytes, int], bytes] | None:
    """The brotli decoder, if the ``brotli`` package is there and new enough to be bounded."""
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        return None
    if not hasattr(brotli.Decompressor, "can_accept_more_data"):  # before 1.2: no output limit
        return None

    def unbrotli(data: bytes, limit: int) -> bytes:
        decoder = brotli.Decompressor()
        try:
            out: bytes = decoder.process(data, output_buffer_limit=limit + 1)
            while len(out) <= limit and not decoder.is_finished():
                more: bytes = decoder.process(b"", output_buffer_limit=limit + 1 - len(out))
                if not more:
                    break
                out += more
        except brotli.error as error:
            raise UnpackError("the compressed body is damaged") from error
        if len(out) > limit:
            raise TooLarge(limit)
        if not decoder.is_finished():
            raise UnpackError("the compressed body is cut short")
        return out

    return unbrotli


DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": gunzip, "x-gzip": gunzip, "deflate": inflate}
_brotli = _unbrotli()
if _brotli is not None:
    DECODERS["br"] = _brotli


def unpack_body(data: bytes, content_encoding: str, limit: int) -> bytes:
    """Undo a ``Content-Encoding`` header.

    Args:
        data: the body as it came.
        content_encoding: the header's value; encodings are listed in the order they were applied.
        limit: the most bytes that any stage may give.

    Raises:
        UnpackError: for an unknown encoding or damaged bytes.
        TooLarge: over the limit.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    if len(names) > 2:
        raise UnpackError("more than two content encodings")
    for name in reversed(names):
        decoder = DECODERS.get(name)
        if decoder is None:
            raise UnpackError(f"content encoding not supported; known: {', '.join(sorted(DECODERS))}")
        data = decoder(data, limit)
    if len(data) > limit:
        raise TooLarge(limit)
    return data


def unpack_blob(data: bytes, limit: int) -> bytes:
    """Unpack what raven clients of protocol 2 to 6 send to ``/store/`` or by UDP: base64 of zlib of JSON.

    Plain JSON and zlib without base64 are taken too, as Sentry does.
    """
    stripped = data.strip()
    if stripped[:1] == b"{":
        if len(stripped) > limit:
            raise TooLarge(limit)
        return stripped
    try:
        packed = base64.b64decode(stripped, validate=True)
    except (binascii.Error, ValueError):
        packed = data
    return inflate(packed, limit)
