"""Undoes the content encodings of a request's body, within a limit.

Rule: no function here ever holds more than its limit, whatever the bytes claim, as in formats/raven_payload.py.
"""

import importlib
from collections.abc import Callable

from heka_raven.formats.raven_payload import TooLarge, UnpackError, gunzip, inflate


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
