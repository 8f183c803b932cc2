"""Shows lists, tuples and dicts: the inner loops, in which most of an event's time is spent."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from heka_raven.capture.classes import type_name
from heka_raven.capture.handlers import HANDLERS, handler_of
from heka_raven.capture.scalars import LONG_BELOW, MAX_CHARACTERS, SHORT, are_small, show_str
from heka_raven.formats.text import ELLIPSIS, cut

if TYPE_CHECKING:
    from heka_raven.capture.values import Walker

MAX_ITEMS = 50  # of one container
SMALL = 5  # items of a dict that is filled as fast as it is copied
MAX_KEY = 200  # characters of a dict key
MAX_DEPTH = 4  # containers inside each other

CUT = "<not shown: the event's budget is used up>"


def _too_deep(walker: Walker, value: Any, length: int) -> str:
    """What stands for a container that is nested too deep: its size, or, as raven 3.4 did, its text."""
    if not walker.legacy:
        return f"<{type_name(type(value))} of {length:,}>"
    memo, texts = walker._memo, walker.texts
    walker._memo, walker.texts, walker.legacy = [{} for _ in memo], {}, False
    try:
        text = repr(walker.show(value, MAX_DEPTH - 2))
    finally:
        walker._memo, walker.texts, walker.legacy = memo, texts, True
    return walker.guard.clean_text(cut(text, MAX_CHARACTERS))


def show_items(walker: Walker, value: Any, depth: int, length: int = -1, items: Iterable[Any] = ()) -> Any:
    """Show a list or a tuple; of anything else, *length* *items*, which iterate without the application's code."""
    if length < 0:
        length, items = len(value), value
    if depth >= walker.max_depth:
        return _too_deep(walker, value, length)
    memo = walker._memo[depth]
    known = memo.get(id(value))
    if known is not None:
        # Shown once, but encoded as often as it stands somewhere: it takes its room again.
        walker.room -= known[2]
        return known[1] if walker.room > 0 else CUT
    room = walker.room
    keep = length if length <= MAX_ITEMS else MAX_ITEMS if walker.legacy else MAX_ITEMS - 1
    walker.room -= 4 * keep
    walker.ticks -= 1
    if (walker.ticks <= 0 or walker.room <= 0) and walker.exhausted():
        return CUT
    # Of a list a slice, which takes a third of the time.
    head: list[Any] = value[:keep] if type(value) is list else [*islice(items, keep)]
    for item in head:
        # Types are compared by `is`: a set of them would ask their metaclasses for a hash.
        if type(item) is not int:
            plain = False
            break
    else:
        plain = are_small(walker, head)
    if not plain:
        depth += 1
        get = HANDLERS.get
        for index, item in enumerate(head):
            kind = type(item)
            head[index] = (get(id(kind)) or handler_of(kind))(walker, item, depth)
        if len(head) == 2:  # not *length*: another thread may have written to it
            walker.guard.mask_pair(head)
        elif head and type(head[0]) is str:
            walker.guard.mask_flags(head)
    if length > keep and not walker.legacy:
        head.append(f"<{length - keep:,} more>")
    memo[id(value)] = (value, head, room - walker.room)
    return head


def show_pairs(walker: Walker, value: Any, depth: int, length: int = -1, items: Iterable[tuple[Any, Any]] = ()) -> Any:
    """Show a dict; of anything else, *length* pairs, which iterate without the application's code."""
    if length < 0:
        length, items = len(value), value.items()
    if depth >= walker.max_depth:
        return _too_deep(walker, value, length)
    memo = walker._memo[depth]
    known = memo.get(id(value))
    if known is not None:
        # Shown once, but encoded as often as it stands somewhere: it takes its room again.
        walker.room -= known[2]
        return known[1] if walker.room > 0 else CUT
    room = walker.room
    keep = length if length <= MAX_ITEMS else MAX_ITEMS if walker.legacy else MAX_ITEMS - 1
    walker.room -= 8 * keep
    walker.ticks -= 1
    if (walker.ticks <= 0 or walker.room <= 0) and walker.exhausted():
        return CUT
    out = _fill_copy(walker, value, depth + 1) if length == keep > SMALL and type(value) is dict else None
    if out is None:
        out = {}
        try:
            fill(walker, out, items if length == keep else islice(items, keep), depth + 1, walker.legacy)
        except RuntimeError as error:
            if isinstance(error, RecursionError):
                raise
            return f"<{type_name(type(value))}, changing>"  # another thread writes to it
    if length > keep and not walker.legacy:
        out[ELLIPSIS] = f"<{length - keep:,} more>"
    memo[id(value)] = (value, out, room - walker.room)
    return out


def fill(
    walker: Walker, out: dict[str, Any], pairs: Iterable[tuple[Any, Any]], depth: int, quoted: bool = False
) -> None:
    """The inner loop: most of an event's time is spent here, so the commonest types are told apart in place."""
    get = HANDLERS.get
    guard = walker.guard
    safe = guard.safe_names
    unsafe: list[str] = []
    for name, item in pairs:
        # A safe name was looked at before: it is no private name, short, and encodes.
        if quoted or type(name) is not str or name not in safe:
            name = walker.key(name, quoted)
            if name in out:
                name = f"{name} ({len(out)})"
            unsafe.append(name)
        kind = type(item)
        if kind is int and LONG_BELOW < item < SHORT:
            out[name] = item
        elif kind is str:
            out[name] = show_str(walker, item, depth)
        else:
            out[name] = (get(id(kind)) or handler_of(kind))(walker, item, depth)
    if unsafe:
        guard.mask_names(out, unsafe)


def _fill_copy(walker: Walker, value: dict[Any, Any], depth: int) -> dict[str, Any] | None:
    """As :func:`fill`, of a dict of which all names are safe; ``None`` for any other. What is plain is copied by C."""
    if walker.legacy:
        return None
    get = HANDLERS.get
    safe = walker.guard.safe_names
    out = value.copy()
    for name in out:
        if type(name) is not str or name not in safe:
            return None
    for name, item in out.items():
        kind = type(item)
        if kind is not int or not LONG_BELOW < item < SHORT:
            out[name] = (get(id(kind)) or handler_of(kind))(walker, item, depth)
    return out
