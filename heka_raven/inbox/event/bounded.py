"""Reads single values of untrusted JSON as text, numbers and pairs, each with a limit."""

import math
import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from heka_raven.inbox.event.model import Pairs

MAX_TEXT = 8_192  # characters of a message or any other single text
MAX_VALUE = 2_000  # characters of one value of a table
MAX_PAIRS = 200  # rows of a table
MAX_NESTING = 6  # levels shown of a nested value
CUT = "…"
MAX_MOMENT = 253402300800  # the year 10000, which datetime cannot show

_MOMENT = re.compile(
    r"(?P<head>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,12}))?(?P<zone>|[Zz]|[+-]\d\d:\d\d)"
)

# Control characters and those that turn the direction of the text around: shown, they could disguise what is written.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A scalar as text of at most *limit* characters; None and containers give an empty one."""
    if isinstance(value, str):
        cut = value if len(value) <= limit else value[: limit - 1] + CUT
        return cut if cut.isprintable() else _CONTROL.sub(_picture, cut.replace("\r\n", "\n"))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)[:limit]
    return ""


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def integer(value: Any) -> int | None:
    """A whole number that SQLite can hold, or None."""
    found = number(value)
    return int(found) if found is not None and abs(found) < 2**53 else None


def whole(text: str | None) -> int | None:
    """A number from an address, of a size that fits everywhere; None if it is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 15 else None


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def values(value: Any) -> list[Any]:
    """The list of an interface that clients send bare, as ``{"values": [...]}`` or as a single object."""
    if isinstance(value, dict):
        return sequence(value["values"]) if "values" in value else [value]
    return sequence(value)


def pretty(value: Any, limit: int = MAX_VALUE) -> str:
    """Any JSON value as text of at most *limit* characters; it stops working where the limit is reached."""
    if isinstance(value, str):
        return text(value, limit)
    out: list[str] = []
    size = 0
    for piece in _pieces(value, MAX_NESTING):
        out.append(piece)
        size += len(piece)
        if size > limit:
            return "".join(out)[: limit - 1] + CUT
    return "".join(out)


def _pieces(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list) and value and depth == 0:
        yield CUT
    elif isinstance(value, dict):
        yield "{"
        for position, (key, item) in enumerate(value.items()):
            yield f"{', ' if position else ''}{text(key, 200)}: "
            yield from _pieces(item, depth - 1)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for position, item in enumerate(value):
            if position:
                yield ", "
            yield from _pieces(item, depth - 1)
        yield "]"
    elif isinstance(value, str):
        yield f'"{text(value, MAX_VALUE)}"'
    elif value is None:
        yield "null"
    else:
        yield text(value)


def entries(value: Any) -> Collection[tuple[Any, Any]]:
    """The pairs of a mapping that clients send as an object or as a list of pairs."""
    if isinstance(value, dict):
        return value.items()
    return [
        (item[0], item[1]) if isinstance(item, list) else (item.get("key"), item.get("value"))
        for item in sequence(value)
        if (isinstance(item, list) and len(item) == 2) or (isinstance(item, dict) and "key" in item)
    ]


def pairs(value: Any, limit: int = MAX_PAIRS, value_limit: int = MAX_VALUE) -> Pairs:
    """A table of at most *limit* rows, in the client's order; the last row then says how many are not shown."""
    rows: Pairs = []
    found = entries(value)
    for key, item in found:
        if len(rows) == limit:
            rows.append((CUT, f"{len(found) - limit:,} more"))
            break
        name = text(key, 200)
        if name:
            rows.append((name, pretty(item, value_limit)))
    return rows


def moment(value: Any) -> float | None:
    """A time as Unix seconds: clients send numbers, and ISO 8601 with or without a zone (then UTC)."""
    found = _parsed_moment(value) if isinstance(value, str) else number(value)
    return found if found is not None and 0 <= found < MAX_MOMENT else None


def _parsed_moment(value: str) -> float | None:
    # Python 3.10 reads no Z, and fractions of exactly 3 or 6 digits only; clients send 1 to 9.
    shape = _MOMENT.fullmatch(value.strip()[:40])
    if shape is None:
        return None
    zone = "+00:00" if shape["zone"] in ("", "Z", "z") else shape["zone"]
    try:
        return datetime.fromisoformat(f"{shape['head']}.{shape['fraction'] or '':0<6.6}{zone}").timestamp()
    except (OverflowError, ValueError):
        return None
