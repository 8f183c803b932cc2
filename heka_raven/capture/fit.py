"""Brings shown values down to a number of bytes of JSON: what is large gives, what is small stays whole.

Sentry keeps a certain size of each part of an event, and cuts what is more wherever it happens to lie; what it cuts it
remarks upon. What fits is cut by us, with a mark of our own. Values are not changed in place: they may be shared.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from heka_raven.formats.text import ELLIPSIS

LEAST = 24  # bytes for one value of a dict; where there is less for each, the last ones are left out
_PER_NAME = 4  # quotes, colon and comma
_MARK = 20  # bytes of "<1,234,567 more>" with its comma

_more = re.compile(r"<([\d,]+) more>\Z").match


def json_size(value: Any) -> int:
    """The bytes of *value*, of exact built-in types, as JSON."""
    return len(orjson.dumps(value))


def fitted(value: Any, limit: int) -> Any:
    """*value* in at most *limit* bytes of JSON, as far as texts, lists and dicts can be cut."""
    if json_size(value) <= limit:
        return value
    kind = type(value)
    if kind is str:
        return _fitted_text(value, limit)
    if kind is not list and kind is not dict:
        return value
    cut = _fitted_list(value, limit) if kind is list else _fitted_dict(value, limit)
    return cut if json_size(cut) <= limit else f"<{kind.__name__} of {len(value):,}>"


def _fitted_text(text: str, limit: int) -> str:
    room = max(limit - 5, 1)  # quotes and the ellipsis of three bytes
    while room > 1 and json_size(text[:room]) > limit - 3:
        room = room * 3 // 4
    return text[:room] + ELLIPSIS


def _fitted_list(items: list[Any], limit: int) -> list[Any]:
    room = limit - 2 - _MARK
    kept: list[Any] = []
    for item in items:
        size = json_size(item) + 1
        if size > room:
            if room > 2 * LEAST:
                kept.append(fitted(item, room - 1))
            break
        kept.append(item)
        room -= size
    if len(kept) < len(items):
        kept.append(f"<{_left_out(items[-1], len(items) - len(kept)):,} more>")
    return kept


def _fitted_dict(values: dict[str, Any], limit: int) -> dict[str, Any]:
    """Every name keeps its value, or a part of it, as long as there is something for each."""
    names = list(values)
    room, count = limit - 2 - _MARK - _PER_NAME, 0
    for name in names:
        room -= json_size(name) + _PER_NAME + LEAST
        if room < 0:
            break
        count += 1
    kept = {name: values[name] for name in names[: max(count, 1)]}
    sizes = {name: json_size(value) for name, value in kept.items()}
    room = limit - 2 - sum(json_size(name) + _PER_NAME for name in kept)
    if len(kept) < len(names):
        room -= _MARK + _PER_NAME
    share = largest_share(list(sizes.values()), room)
    out = {name: value if sizes[name] <= share else fitted(value, share) for name, value in kept.items()}
    if len(kept) < len(names):
        out[ELLIPSIS] = f"<{_left_out(values[names[-1]], len(names) - len(kept)):,} more>"
    return out


def largest_share(sizes: list[int], room: int) -> int:
    """How large each may be so that all fit into *room*: what the small ones do not need is the large ones'."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return max(room // left, 1)
        room -= size
        left -= 1
    return max(sizes, default=0)


def _left_out(last: Any, count: int) -> int:
    """How many are left out, with those that the last one stands for."""
    found = _more(last) if type(last) is str else None
    return count if found is None else count - 1 + int(found[1].replace(",", ""))
