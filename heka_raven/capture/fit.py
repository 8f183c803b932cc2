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
LEAST_OF_MANY = 96  # the same, for a list or a dict inside
STEP = 64  # shares are rounded down to it, so that frames that hold the same value cut it alike, and once
_PER_NAME = 4  # quotes, colon and comma
_MARK = 20  # bytes of "<1,234,567 more>" with its comma

_more = re.compile(r"<([\d,]+) more>\Z").match


def json_size(value: Any) -> int:
    """The bytes of *value*, of exact built-in types, as JSON."""
    return len(orjson.dumps(value))


def fitted(value: Any, limit: int) -> Any:
    """*value* in at most *limit* bytes of JSON, as far as texts, lists and dicts can be cut."""
    return Fitter().fit(value, limit)


class Fitter:
    """Cuts the values of one event; what stands in many frames is measured and cut once."""

    __slots__ = ("_cuts", "_names", "_sizes")

    def __init__(self) -> None:
        # Beside what is known of a value stands the value, so that its id stays its own.
        self._sizes: dict[int, tuple[Any, int]] = {}
        self._names: dict[str, int] = {}
        self._cuts: dict[tuple[int, int], tuple[Any, Any, int]] = {}  # the value, what is left of it, its size

    def fit(self, value: Any, limit: int) -> Any:
        """*value* in at most *limit* bytes."""
        return self._fit(value, limit)[0]

    def fit_variables(self, values: dict[str, Any], limit: int) -> dict[str, Any]:
        """*values*, which are new in every frame, in at most *limit* bytes: they are measured one by one."""
        count, names = len(values), "".join(values)
        room = limit - 2 - len(names) - _PER_NAME * count
        if room < count * LEAST_OF_MANY + _MARK + _PER_NAME or not (names.isidentifier() and names.isascii()):
            found: dict[str, Any] = self._cut_dict(values, limit)[0]
            return found
        # What _cut_dict does, where none of the values has to be left out: for nearly every frame.
        sizes = []
        known, dumps = self._sizes, orjson.dumps
        for value in values.values():
            kind = type(value)
            if kind is dict or kind is list:
                measured = known.get(id(value))
                if measured is None:
                    measured = known[id(value)] = value, len(dumps(value))
                sizes.append(measured[1])
            else:
                sizes.append(len(dumps(value)))
        excess = sum(sizes) - room
        if excess <= 0:
            return values
        average = room // count
        large = [size for size in sizes if size > average]
        share = _stepped(largest_share(large, sum(large) - excess))
        out = values.copy()
        for name, size in zip(values, sizes, strict=True):
            if size > share:
                out[name] = self._fit(values[name], share)[0]
        return out

    def _size(self, value: Any) -> int:
        kind = type(value)
        if kind is not list and kind is not dict:
            return len(orjson.dumps(value))
        known = self._sizes.get(id(value))
        if known is None:
            known = self._sizes[id(value)] = value, len(orjson.dumps(value))
        return known[1]

    def _fit(self, value: Any, limit: int) -> tuple[Any, int]:
        """What is left of *value*, and its size."""
        kind = type(value)
        known = self._cuts.get((id(value), limit))
        if known is not None:
            return known[1], known[2]
        size = self._size(value)
        if size <= limit or (kind is not str and kind is not list and kind is not dict):
            return value, size
        if kind is str:
            text = _cut_text(value, limit)
            return text, len(orjson.dumps(text))
        cut, size = self._cut_list(value, limit) if kind is list else self._cut_dict(value, limit)
        if size > limit:
            cut = f"<{kind.__name__} of {len(value):,}>"
            size = len(cut) + 2
        self._cuts[id(value), limit] = value, cut, size
        return cut, size

    def _cut_list(self, items: list[Any], limit: int) -> tuple[Any, int]:
        used, room = 2, limit - _MARK
        kept: list[Any] = []
        for item in items:
            size = self._size(item) + 1
            if used + size > room:
                least = LEAST_OF_MANY if type(item) is dict or type(item) is list else 2 * LEAST
                if room - used > min(size, least):
                    part, size = self._fit(item, room - used - 1)
                    kept.append(part)
                    used += size + 1
                break
            kept.append(item)
            used += size
        if len(kept) < len(items):
            kept.append(f"<{_left_out(items[-1], len(items) - len(kept)):,} more>")
            used += len(kept[-1]) + 3
        return kept, used

    def _cut_dict(self, values: dict[str, Any], limit: int) -> tuple[Any, int]:
        """Every name keeps its value, or a part of it, as long as there is something for each."""
        room, used = limit - 2 - _MARK - _PER_NAME, 2
        sizes: dict[str, int] = {}
        names, known, dumps = self._names, self._sizes, orjson.dumps
        for name, value in values.items():
            kind = type(value)
            # As _size does it, in place: this runs for every variable of every frame.
            if kind is dict or kind is list:
                least = LEAST_OF_MANY
                found = known.get(id(value))
                if found is None:
                    found = known[id(value)] = value, len(dumps(value))
                size = found[1]
            else:
                least = LEAST
                size = len(dumps(value))
            taken = names.get(name)
            if taken is None:
                taken = names[name] = len(dumps(name)) + 2  # with colon and comma
            room -= taken + (size if size < least else least)
            if room < 0 and sizes:
                break
            used += taken
            sizes[name] = size
        whole = len(sizes) == len(values)
        total = used + sum(sizes.values())
        if whole and total <= limit:
            return values, total
        room = limit - used - (0 if whole else _MARK + _PER_NAME)
        share = _stepped(largest_share(list(sizes.values()), room))
        out = {}
        for name, size in sizes.items():
            part = values[name]
            if size > share:
                part, size = self._fit(part, share)
            out[name] = part
            used += size
        if not whole:
            out[ELLIPSIS] = f"<{_left_out(values[next(reversed(values))], len(values) - len(sizes)):,} more>"
            used += len(out[ELLIPSIS]) + 9
        return out, used


def _cut_text(text: str, limit: int) -> str:
    room = max(limit - 5, 1)  # quotes and the ellipsis of three bytes
    while room > 1 and json_size(text[:room]) > limit - 3:
        room = room * 3 // 4
    return text[:room] + ELLIPSIS


def largest_share(sizes: list[int], room: int) -> int:
    """How large each may be so that all fit into *room*: what the small ones do not need is the large ones'."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left > room:
            return max(room // left, 1)
        room -= size
        left -= 1
    return max(sizes, default=0)


def _stepped(share: int) -> int:
    return share - share % STEP if share > 2 * STEP else share


def _left_out(last: Any, count: int) -> int:
    """How many are left out, with those that the last one stands for."""
    found = _more(last) if type(last) is str else None
    return count if found is None else count - 1 + int(found[1].replace(",", ""))
