"""The payload of raven's clients: base64 of zlib of JSON. The one place that packs and unpacks it.

Pure. Rule: no function here ever holds more than its limit, whatever the bytes claim. A payload of 10 KiB can unpack to
10 MiB in one call of zlib.decompress; here the limit is given to the decoder itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

MAX_DECODED_SIZE = 16 * 1024 * 1024  # bytes; a payload that unpacks to more is no event

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib tells the two apart by their first bytes
RAW_DEFLATE = -zlib.MAX_WBITS


class UnpackError(ValueError):
    """The bytes are not what their encoding says."""


class TooLarge(ValueError):
    """The bytes unpack to more than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than {limit:,} bytes")
        self.limit = limit


def encode_raven(data: bytes) -> bytes:
    """base64 of zlib of *data*, the JSON of an event, as every version of raven before 6 sent it."""
    return base64.b64encode(zlib.compress(data))


def unpack_raven(data: bytes, limit: int, *, strict: bool = False) -> bytes:
    """The JSON in a raven payload.

    Args:
        limit: the most bytes that it may have.
        strict: base64 of zlib only; else plain JSON and zlib without base64 are taken too, as Sentry does.

    Raises:
        UnpackError: if it is none, or is cut short.
        TooLarge: over the limit.
    """
    stripped = data.strip()
    if stripped[:1] == b"{" and not strict:
        if len(stripped) > limit:
            raise TooLarge(limit)
        return stripped
    try:
        packed = base64.b64decode(stripped, validate=True)
    except binascii.Error:
        if strict:
            raise UnpackError("it is no base64") from None
        packed = data
    return inflate(packed, limit)


def decode_raven(payload: str | bytes, limit: int = MAX_DECODED_SIZE) -> dict[str, Any]:
    """The event in a raven payload.

    Raises:
        ValueError: if there is none.
    """
    data = payload.encode("utf-8") if isinstance(payload, str) else bytes(payload)
    try:
        event = json.loads(unpack_raven(data, limit))
    except TooLarge:
        raise ValueError(f"a raven payload of more than {limit:,} bytes") from None
    except (UnpackError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not a raven payload: {error}") from None
    if not isinstance(event, dict):
        raise ValueError("not a raven payload: no JSON object")
    return event


def inflate(data: bytes, limit: int) -> bytes:
    """Unpack ``deflate``, in both forms that clients send under this name, or gzip.

    RFC 9110 says zlib; some clients (and Bugsink's reader) mean raw deflate. The zlib header's check sum tells.
    """
    looks_zlib = len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
    first, second = (GZIP_OR_ZLIB, RAW_DEFLATE) if looks_zlib else (RAW_DEFLATE, GZIP_OR_ZLIB)
    try:
        return _inflate(data, first, limit)
    except UnpackError as error:
        try:
            return _inflate(data, second, limit)
        except UnpackError:
            raise error from None  # what the first bytes say it is


def gunzip(data: bytes, limit: int) -> bytes:
    """Unpack gzip."""
    return _inflate(data, GZIP_OR_ZLIB, limit)


def _inflate(data: bytes, wbits: int, limit: int) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        out = decoder.decompress(data, limit + 1)
    except zlib.error:
        raise UnpackError("the compressed body is damaged") from None
    if len(out) > limit:
        raise TooLarge(limit)
    if not decoder.eof:
        raise UnpackError("the compressed body is cut short")
    return out
