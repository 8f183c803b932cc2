"""Turns any Python value into a small tree of exact built-in types."""

# Rule 1: no code of the application runs. A value's type is type(x), never x.__class__; attributes are read through
#         the built-in types' own descriptors, containers through the built-in types' own methods; types are looked up
#         by id, because a metaclass may define __hash__.
# Rule 2: everything is bounded: items, characters, depth, the whole event's characters, and time.
# Rule 3: what is masked is decided by the guard that is passed in (scrub.py); it is asked for every name and text when
#         that is shown, so that no second walk over the variables is needed.

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from heka_raven.capture.classes import type_name
from heka_raven.capture.fit import Fitter
from heka_raven.capture.guard import Guard
from heka_raven.capture.messages import exception_text
from heka_raven.capture.objects import MAX_LOOKED
from heka_raven.capture.plans import DICT, EXCEPTION, FIELDS, ITEMS, OBJECT, OPAQUE, TEXT, VALUE, Plan, plan_of
from heka_raven.capture.scalars import (
    MAX_CHARACTERS,
    SHORT,
    are_small,
    show_bytes,
    show_float,
    show_int,
    show_str,
)
from heka_raven.formats.text import ELLIPSIS, clean, cut

MAX_ITEMS = 50  # of one container
MAX_KEY = 200  # characters of a dict key
MAX_DEPTH = 4  # containers inside each other
ROOM = 512 * 1024  # characters of all variables of one event
TICKS = 16  # containers between two looks at the clock; one container takes some microseconds
TIME_BUDGET_S = 0.02  # of all variables of one event

CUT = "<not shown: the event's budget is used up>"

Handler = Callable[["Walker", Any, int], Any]


class Walker:
    """Shows the values of one event.

    Args:
        clock: seconds, monotonic; only differences count. CPU time of the thread, so that on a busy machine events
            show as much as on an idle one; of the wall if *call_repr*.
        guard: masks private values by their names, while they are shown.
        legacy: strings quoted and containers cut without a mark, as raven 3.4 showed them.
        call_repr: ask classes of the application for their own ``__repr__`` and ``__str__``.
        is_library: tells whether a file belongs to the standard library or an installed package; their exceptions'
            ``__str__`` is called when all of its state is plain.
        show_locals: whether frames show their local variables.
        budget_s: how long all the variables of the event may take.
    """

    __slots__ = (
        "_flat", "_memo", "_open", "call_repr", "clock", "deadline", "fitter", "guard", "hidden_fields", "is_library",
        "legacy", "max_depth", "room", "show_locals", "texts", "ticks",
    )  # fmt: skip

    def __init__(
        self,
        clock: Callable[[], float],
        guard: Guard,
        *,
        legacy: bool = False,
        call_repr: bool = False,
        is_library: Callable[[str], bool] | None = None,
        show_locals: bool = True,
        budget_s: float = TIME_BUDGET_S,
    ) -> None:
        self.clock = clock
        self.guard = guard
        self.hidden_fields: set[str] = set()  # of the request's form: what a framework's decorators call sensitive
        self.deadline = clock() + budget_s
        self.room = ROOM
        self.ticks = TICKS
        self.legacy = legacy
        self.call_repr = call_repr
        self.is_library = is_library
        self.show_locals = show_locals
        self.max_depth = MAX_DEPTH + 1 if legacy else MAX_DEPTH
        # One object is shown once, however many frames hold it. The object is kept, so that its id stays its own.
        self._memo: dict[int, tuple[Any, Any, int]] = {}
        self._flat: dict[
            int, tuple[Any, Any, int]
        ] = {}  # objects of plain fields: the same at every depth that shows any
        self.texts: dict[str, str] = {}  # texts that were shown: a frame's are mostly its caller's
        self.fitter: Fitter | None = None  # made for the first frame that is too large
        self._open: set[int] = set()  # ids of the objects whose fields are being shown

    def exhausted(self) -> bool:
        """Whether the budget of the event is used up."""
        self.ticks -= 1
        if self.ticks <= 0:
            self.ticks = TICKS
            if self.clock() > self.deadline:
                self.room = 0
        return self.room <= 0

    def show(self, value: Any, depth: int = 0) -> Any:
        """*value* as None, bool, int, float, str, list or dict, nested at most :data:`MAX_DEPTH` deep."""
        handler = HANDLERS.get(id(type(value)))
        return _by_plan(self, value, depth) if handler is None else handler(self, value, depth)

    def text(self, value: Any) -> str:
        """*value* on one line, as Python would write it."""
        shown = self.show(value, 1)
        return shown if type(shown) is str and type(value) is not str else repr(shown)

    def show_names(self, pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        """Values under plain names: local variables, keyword arguments. At most :data:`MAX_ITEMS` of them."""
        out: dict[str, Any] = {}
        _fill(self, out, pairs, 0)
        return out

    def key(self, key: Any, quoted: bool) -> str:
        """The text of a dict's key."""
        kind = type(key)
        if kind is str:
            text = self.guard.clean_text(clean(key[:MAX_KEY]))
        elif kind is bytes:
            text = self.guard.clean_text(key[:MAX_KEY].decode("latin-1"))
        else:
            return cut(self.text(key), MAX_KEY)
        return repr(text) if quoted else text


# -- containers -------------------------------------------------------------------------------------------------------


def _too_deep(walker: Walker, value: Any, length: int) -> str:
    """What stands for a container that is nested too deep: its size, or, as raven 3.4 did, its text."""
    if not walker.legacy:
        return f"<{type_name(type(value))} of {length:,}>"
    memo, walker._memo, walker.legacy = walker._memo, {}, False
    try:
        text = repr(walker.show(value, MAX_DEPTH - 2))
    finally:
        walker._memo, walker.legacy = memo, True
    return walker.guard.clean_text(cut(text, MAX_CHARACTERS))


def _sequence(walker: Walker, value: Any, depth: int, length: int = -1, items: Iterable[Any] = ()) -> Any:
    """Show a list or a tuple; of anything else, *length* *items*, which iterate without the application's code."""
    if length < 0:
        length, items = len(value), value
    if depth >= walker.max_depth:
        return _too_deep(walker, value, length)
    key = id(value) * 8 + depth
    known = walker._memo.get(key)
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
            handler = get(id(type(item)))
            head[index] = handler(walker, item, depth) if handler is not None else _by_plan(walker, item, depth)
        if len(head) == 2:  # not *length*: another thread may have written to it
            walker.guard.mask_pair(head)
        elif head and type(head[0]) is str:
            walker.guard.mask_flags(head)
    if length > keep and not walker.legacy:
        head.append(f"<{length - keep:,} more>")
    walker._memo[key] = (value, head, room - walker.room)
    return head


def _mapping(walker: Walker, value: Any, depth: int, length: int = -1, items: Iterable[tuple[Any, Any]] = ()) -> Any:
    """Show a dict; of anything else, *length* pairs, which iterate without the application's code."""
    if length < 0:
        length, items = len(value), value.items()
    if depth >= walker.max_depth:
        return _too_deep(walker, value, length)
    key = id(value) * 8 + depth
    known = walker._memo.get(key)
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
    out: dict[str, Any] = {}
    try:
        _fill(walker, out, items if length == keep else islice(items, keep), depth + 1, walker.legacy)
    except RuntimeError as error:
        if isinstance(error, RecursionError):
            raise
        return f"<{type_name(type(value))}, changing>"  # another thread writes to it
    if length > keep and not walker.legacy:
        out[ELLIPSIS] = f"<{length - keep:,} more>"
    walker._memo[key] = (value, out, room - walker.room)
    return out


def _fill(
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
        if kind is int and -SHORT < item < SHORT:
            out[name] = item
        elif kind is str:
            out[name] = show_str(walker, item, depth)
        else:
            handler = get(id(kind))
            out[name] = handler(walker, item, depth) if handler is not None else _by_plan(walker, item, depth)
    if unsafe:
        guard.mask_names(out, unsafe)


# -- by plan: subclasses and classes with fields ---------------------------------------------------------------------


def _by_plan(walker: Walker, value: Any, depth: int) -> Any:
    plan = plan_of(type(value))
    return _BY_KIND[plan.kind](walker, value, depth, plan)


def _opaque(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
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


def _text(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        shown = plan.show(value)
    except Exception:
        return plan.opaque
    if type(shown) is str and not plan.by_value:
        text = cut(clean(shown), MAX_CHARACTERS)
        walker.room -= len(text)
        return text if plan.harmless else walker.guard.clean_text(text)
    return HANDLERS[id(type(shown))](walker, shown, depth)


def _items(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        return _sequence(walker, value, depth, plan.length(value), plan.show(value))
    except Exception:
        return f"<{plan.name}, changing>"


def _dict_items(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        if plan.by_value:
            return _mapping(walker, value, depth, dict.__len__(value), dict.items(value))
        pairs = plan.show(value)
        return _mapping(walker, value, depth, len(pairs), pairs)
    except Exception:
        return f"<{plan.name}, changing>"


def _value(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        other = plan.show(value)
    except Exception:
        return plan.opaque
    return walker.show(other, depth)


def _fields(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    if walker.call_repr and plan.user_repr:
        return _opaque(walker, value, depth, plan)
    known = walker._memo.get(id(value) * 8 + depth)
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
    return _mapping(walker, value, depth, len(pairs), pairs)


def _object(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    """An instance by its attributes; once on each way down, so that a row and its parent do not show each other."""
    place = id(value)
    if depth >= walker.max_depth or walker.call_repr or place in walker._open:
        return _opaque(walker, value, depth, plan)
    known = walker._flat.get(place) or walker._memo.get(place * 8 + depth)
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
        flat = _fill_own(walker, out, own, depth + plan.nesting) if len(own) <= MAX_LOOKED else False
        if more:
            flat = flat and all(type(item) is str for _, item in more)
            _fill(walker, out, more, depth + plan.nesting)
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
    if flat:
        walker._flat[place] = (value, out, room - walker.room)
    else:
        walker._memo[place * 8 + depth] = (value, out, room - walker.room)
    return out


def _fill_own(walker: Walker, out: dict[str, Any], own: dict[str, Any], depth: int) -> bool:
    """As :func:`_fill`, with what an object's own dict holds under public names.

    Returns:
        Whether all of it is shown the same at every depth.
    """
    get = HANDLERS.get
    safe = walker.guard.safe_names
    unsafe: list[str] = []
    flat = True
    for name, item in own.items():
        if type(name) is not str or name[:1] == "_":
            continue
        if name not in safe:
            name = walker.key(name, False)
            unsafe.append(name)
        kind = type(item)
        if kind is int and -SHORT < item < SHORT:
            out[name] = item
        elif kind is str:
            out[name] = show_str(walker, item, depth)
        else:
            handler = get(id(kind))
            if handler is not None:
                out[name] = handler(walker, item, depth)
                flat = flat and kind is not list and kind is not dict and kind is not tuple
            else:
                plan = plan_of(kind)
                out[name] = _BY_KIND[plan.kind](walker, item, depth, plan)
                flat = flat and plan.kind is TEXT
    if unsafe:
        walker.guard.mask_names(out, unsafe)
    return flat


def _first_fields(fields: dict[str, Any]) -> dict[str, Any]:
    kept = dict(islice(fields.items(), MAX_ITEMS - 1))
    kept[ELLIPSIS] = f"<{len(fields) - len(kept):,} more>"
    return kept


def _exception(walker: Walker, value: BaseException, depth: int, plan: Plan) -> Any:
    if depth >= walker.max_depth:
        return f"<{plan.name}>"
    text = walker.guard.clean_text(cut(exception_text(walker, value), MAX_CHARACTERS))
    return cut(f"<{plan.name}: {text}>" if text else f"<{plan.name}>", MAX_CHARACTERS)


_BY_KIND: dict[str, Callable[[Walker, Any, int, Plan], Any]] = {
    OPAQUE: _opaque,
    TEXT: _text,
    ITEMS: _items,
    DICT: _dict_items,
    FIELDS: _fields,
    OBJECT: _object,
    VALUE: _value,
    EXCEPTION: _exception,
}

HANDLERS: dict[int, Handler] = {
    id(int): show_int,
    id(str): show_str,
    id(float): show_float,
    id(bool): lambda walker, value, depth: value,
    id(type(None)): lambda walker, value, depth: value,
    id(bytes): show_bytes,
    id(bytearray): show_bytes,
    id(list): _sequence,
    id(tuple): _sequence,
    id(dict): _mapping,
}
