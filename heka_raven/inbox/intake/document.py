"""From untrusted bytes to a JSON object, bounded.

orjson is strict and fast and reads nearly everything. What it refuses and clients really send (NaN, lone surrogates,
bytes that are no UTF-8, integers of any length, nesting without end) goes a slower way, so that a strange event is
shown instead of lost.
"""

import json
import re
from typing import Any

import orjson

MAX_WRITTEN_DEPTH = 254  # levels that orjson writes; other readers stop somewhere between this and 1000
MAX_DEPTH = 100  # levels kept of a document nested deeper than orjson reads (1024) or writes (254)
MAX_DIGITS = 18  # digits of an integer that a double-based reader still takes apart from its neighbours

# A text without end is one token, too: else each quote in it would be tried as a beginning, and each would read on
# to the end of a megabyte.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL)


class DocumentError(ValueError):
    """The bytes are no JSON object."""


def clip_depth(data: bytes, depth: int = MAX_DEPTH) -> bytes:
    """Replace everything nested deeper than *depth* levels by the text ``"..."``."""
    out: list[bytes] = []
    level = 0
    kept_until = 0
    for token in _TOKEN.finditer(data):
        run = token.group()
        first = run[:1]
        if first == b'"':
            continue
        if first in b"[{":
            if level <= depth < level + len(run):
                cut = token.start() + depth - level
                out.append(data[kept_until:cut])
                out.append(b'"..."')
                kept_until = len(data)
            level += len(run)
        else:
            if level > depth >= level - len(run):
                kept_until = token.start() + level - depth
            level -= len(run)
    out.append(data[kept_until:])
    return b"".join(out)


def _clean(value: Any) -> Any:
    """Replace lone surrogates: they have no UTF-8 form, so neither SQLite nor a page could hold them."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def parse_document(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Parse one JSON object of any client.

    Returns:
        The object, and bytes of strict JSON that say the same: *data* itself where it was strict.

    Raises:
        DocumentError: if there is no JSON object in the bytes.
    """
    try:
        value = orjson.loads(data)
        if data.count(b"{") + data.count(b"[") > MAX_WRITTEN_DEPTH:
            orjson.dumps(value)  # only to learn whether it is too deep for those who read it from us
        strict = data
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        text = clip_depth(data).decode("utf-8", "replace")
        try:
            value = _clean(json.loads(text, strict=False, parse_int=_integer, parse_constant=str))
        except (ValueError, RecursionError):
            raise DocumentError("the event is not valid JSON") from None
        strict = orjson.dumps(value)
    if not isinstance(value, dict):
        raise DocumentError("the event is not a JSON object")
    return value, strict
