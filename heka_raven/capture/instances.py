"""Shows values by the plans of their classes: subclasses of built-in types, and classes with fields."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from heka_raven.capture.containers import CUT, MAX_ITEMS, fill, show_items, show_pairs
from heka_raven.capture.handlers import FLAT, HANDLERS, handler_of
from heka_raven.capture.messages import exception_text
from heka_raven.capture.objects import MAX_LOOKED
from heka_raven.capture.plans import DICT, EXCEPTION, FIELDS, ITEMS, OBJECT, OPAQUE, TEXT, VALUE, Plan
from heka_raven.capture.scalars import LONG_BELOW, MAX_CHARACTERS, SHORT, show_str
from heka_raven.formats.text import ELLIPSIS, clean, cut
from heka_raven.scrub.masker import is_suspicious

if TYPE_CHECKING:
    from heka_raven.capture.values import Walker


def _opaque(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    if not walker.call_repr:
        return plan.opaque
    if not walker.exhausted():
        try:
            text = repr(value)
            if type(text) is str:
                return show_str(walker, text, depth)
        except BaseException:
            return f"<{plan.name} object, its __repr__ raised>"
    return plan.opaque


def _text(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    try:
        shown = plan.show(value)
    except Exception:
        return plan.opaque
    if type(shown) is str and not plan.by_value:
        text = shown if len(shown) <= MAX_CHARACTERS and shown.isascii() else cut(clean(shown), MAX_CHARACTERS)
        walker.room -= len(text)
        return walker.guard.clean_text(text) if len(text) >= plan.harmless_below and is_suspicious(text) else text
    return HANDLERS[id(type(shown))](walker, shown, depth)


def _items(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    try:
        return show_items(walker, value, depth, plan.length(value), plan.show(value))
    except Exception:
        return f"<{plan.name}, changing>"


def _dict_items(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    try:
        if plan.by_value:
            return show_pairs(walker, value, depth, dict.__len__(value), dict.items(value))
        pairs = plan.show(value)
        return show_pairs(walker, value, depth, len(pairs), pairs)
    except Exception:
        return f"<{plan.name}, changing>"


def _value(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    try:
        other = plan.show(value)
    except Exception:
        return plan.opaque
    return walker.show(other, depth)


def _fields(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    if walker.call_repr and plan.user_repr:
        return _opaque(plan, walker, value, depth)
    known = walker._memo[depth].get(id(value)) if depth < walker.max_depth else None
    if known is not None:
        walker.room -= known[2]
        return known[1] if walker.room > 0 else CUT
    try:
        pairs = plan.show(value)
    except Exception:
        return plan.opaque
    if not plan.user_repr:
        walker.ticks = 1  # a library's reader may have taken its time: the next container looks at the clock
        if not pairs:
            return plan.opaque
    pairs.insert(0, ("__class__", plan.name))
    return show_pairs(walker, value, depth, len(pairs), pairs)


def _object(plan: Plan, walker: Walker, value: Any, depth: int) -> Any:
    """An instance by its attributes; once on each way down, so that a row and its parent do not show each other."""
    place = id(value)
    if depth >= walker.max_depth or walker.call_repr or place in walker._open:
        return _opaque(plan, walker, value, depth)
    known = walker._flat.get(place) or walker._memo[depth].get(place)
    if known is not None:
        walker.room -= known[2]
        return known[1] if walker.room > 0 else CUT
    room = walker.room
    walker.ticks -= 1
    if (walker.ticks <= 0 or walker.room <= 0) and walker.exhausted():
        return CUT
    out: dict[str, Any] = {"__class__": plan.name}
    walker._open.add(place)
    try:
        own, more = plan.show(value)
        flat = _fill_own(walker, out, own, depth + plan.nesting, plan.hidden) if len(own) <= MAX_LOOKED else False
        if more:
            flat = flat and all(type(item) is str for _, item in more)
            fill(walker, out, more, depth + plan.nesting)
    except RecursionError:
        raise
    except Exception:
        return plan.opaque  # another thread writes to it
    finally:
        walker._open.discard(place)
    if len(out) == 1:
        return plan.opaque
    if len(out) > MAX_ITEMS:
        out = _first_fields(out)
    walker.room -= plan.charge + 8 * len(out)
    if walker.legacy:
        out = {repr(name): item for name, item in out.items()}
    memo = walker._flat if flat else walker._memo[depth]
    memo[place] = (value, out, room - walker.room)
    return out


def _fill_own(walker: Walker, out: dict[str, Any], own: dict[str, Any], depth: int, hidden: frozenset[str]) -> bool:
    """As :func:`fill`, with what an object's own dict holds under public names.

    Returns:
        Whether all of it is shown the same at every depth.
    """
    get = HANDLERS.get
    public = walker.guard.public_names
    unsafe: list[str] = []
    flat = True
    for name, item in own.items():
        if type(name) is not str or name in hidden:
            continue
        if name not in public:
            if name[:1] == "_":
                continue
            name = walker.key(name, False)
            unsafe.append(name)
        kind = type(item)
        if kind is int and LONG_BELOW < item < SHORT:
            out[name] = item
        elif kind is str:
            out[name] = show_str(walker, item, depth)
        else:
            out[name] = (get(id(kind)) or handler_of(kind))(walker, item, depth)
            flat = flat and id(kind) in FLAT
    if unsafe:
        walker.guard.mask_names(out, unsafe)
    return flat


def _first_fields(fields: dict[str, Any]) -> dict[str, Any]:
    kept = dict(islice(fields.items(), MAX_ITEMS - 1))
    kept[ELLIPSIS] = f"<{len(fields) - len(kept):,} more>"
    return kept


def _exception(plan: Plan, walker: Walker, value: BaseException, depth: int) -> Any:
    if depth >= walker.max_depth:
        return f"<{plan.name}>"
    text = walker.guard.clean_text(cut(exception_text(walker, value), MAX_CHARACTERS))
    return cut(f"<{plan.name}: {text}>" if text else f"<{plan.name}>", MAX_CHARACTERS)


SHOWN_BY: dict[str, Callable[[Plan, Walker, Any, int], Any]] = {
    OPAQUE: _opaque,
    TEXT: _text,
    ITEMS: _items,
    DICT: _dict_items,
    FIELDS: _fields,
    OBJECT: _object,
    VALUE: _value,
    EXCEPTION: _exception,
}
