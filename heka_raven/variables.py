# variables.py: turns any Python value into a small tree of exact built-in types.
#
# Rule 1: no code of the application runs. A value's type is type(x), never x.__class__; attributes are read through
#         the built-in types' own descriptors, containers through the built-in types' own methods; types are looked up
#         by id, because a metaclass may define __hash__.
# Rule 2: everything is bounded: items, characters, depth, the whole event's characters, and time.
# Rule 3: nothing is masked here: scrub.py does that, by the names that this module keeps.
"""Values of local variables, and of whatever else a user hands in, as an event shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from heka_raven.typefacts import DICT, EXCEPTION, FIELDS, ITEMS, NAMES, TEXT, Plan, plan_of, state_is_plain, type_name

MAX_ITEMS = 50  # of one container
MAX_CHARACTERS = 400  # of one string
MAX_KEY = 200  # characters of a dict key
MAX_DEPTH = 4  # containers inside each other
MAX_INTEGER = 2**53  # JSON readers hold integers as doubles
MAX_INTEGER_BITS = 1300  # about 400 decimal digits
ROOM = 512 * 1024  # characters of all variables of one event
TIME_BUDGET_S = 0.02

ELLIPSIS = "…"
CUT = "<not shown: the event's budget is used up>"

Handler = Callable[["Walker", Any, int], Any]

_INT = id(int)
_STR = id(str)
_INTEGERS = frozenset({_INT, id(bool)})
_ONLY_STR = frozenset({_STR})


def clean(text: str) -> str:
    """*text* without lone surrogates, which no UTF-8 encoder takes."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cut(text: str, limit: int) -> str:
    """At most *limit* characters of *text*; a cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


class Walker:
    """Shows the values of one event.

    Args:
        clock: seconds, monotonic; only differences count.
        legacy: strings quoted and containers cut without a mark, as raven 3.4 showed them.
        call_repr: ask classes of the application for their own ``__repr__`` and ``__str__``.
        is_library: tells whether a file belongs to the standard library or an installed package; their exceptions'
            ``__str__`` is called when all of its state is plain.
        show_locals: whether frames show their local variables.
        budget_s: how long all the variables of the event may take.
    """

    __slots__ = ("_memo", "call_repr", "clock", "deadline", "is_library", "legacy", "max_depth", "room", "show_locals")

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        legacy: bool = False,
        call_repr: bool = False,
        is_library: Callable[[str], bool] | None = None,
        show_locals: bool = True,
        budget_s: float = TIME_BUDGET_S,
    ) -> None:
        self.clock = clock
        self.deadline = clock() + budget_s
        self.room = ROOM
        self.legacy = legacy
        self.call_repr = call_repr
        self.is_library = is_library
        self.show_locals = show_locals
        self.max_depth = MAX_DEPTH + 2 if legacy else MAX_DEPTH
        # One object is shown once, however many frames hold it. The object is kept, so that its id stays its own.
        self._memo: dict[int, tuple[Any, Any]] = {}

    def exhausted(self) -> bool:
        """Whether the budget of the event is used up."""
        return self.room <= 0 or self.clock() > self.deadline

    def show(self, value: Any, depth: int = 0) -> Any:
        """*value* as None, bool, int, float, str, list or dict, nested at most :data:`MAX_DEPTH` deep."""
        handler = HANDLERS.get(id(type(value)))
        if handler is not None:
            return handler(self, value, depth)
        plan = plan_of(type(value))
        return _BY_KIND[plan.kind](self, value, depth, plan)

    def text(self, value: Any) -> str:
        """*value* on one line, as Python would write it."""
        shown = self.show(value, 1)
        return shown if type(shown) is str and type(value) is not str else repr(shown)

    def show_names(self, names: Iterable[tuple[Any, Any]], depth: int = 0) -> dict[str, Any]:
        """A mapping under plain names: local variables, keyword arguments."""
        out: dict[str, Any] = {}
        for name, value in islice(names, MAX_ITEMS):
            key = name if type(name) is str else self._key(name)
            handler = HANDLERS.get(id(type(value)))
            out[key] = handler(self, value, depth) if handler is not None else self.show(value, depth)
        return out

    def _key(self, key: Any) -> str:
        kind = id(type(key))
        if kind == _STR:
            text = clean(key[:MAX_KEY])
            return repr(text) if self.legacy else text
        if kind == id(bytes):
            text = bytes.decode(key[:MAX_KEY], "latin-1")
            return repr(text) if self.legacy else text
        return cut(self.text(key), MAX_KEY)

    def _mark(self, more: int) -> str:
        return f"<{more:,} more>"

    def _spent(self, count: int) -> bool:
        self.room -= 8 * count
        return self.room <= 0 or self.clock() > self.deadline


# -- scalars ---------------------------------------------------------------------------------------------------------


def _as_is(walker: Walker, value: Any, depth: int) -> Any:
    return value


def _int(walker: Walker, value: int, depth: int) -> int | str:
    if -MAX_INTEGER < value < MAX_INTEGER:
        return value
    bits = value.bit_length()
    return str(value) if bits <= MAX_INTEGER_BITS else f"<int of {bits:,} bits>"


def _float(walker: Walker, value: float, depth: int) -> float | str:
    # JSON has no infinity and no NaN.
    return value if value - value == 0 else repr(value)


def _str(walker: Walker, value: str, depth: int) -> str:
    if walker.legacy:
        text = repr(clean(value[: MAX_CHARACTERS - 2]))
        return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + text[-1]
    length = len(value)
    if length > MAX_CHARACTERS:
        value = value[: MAX_CHARACTERS - 1] + ELLIPSIS
        length = MAX_CHARACTERS
    walker.room -= length
    return value if value.isascii() else clean(value)


def _bytes(walker: Walker, value: Any, depth: int) -> str:
    head = bytes(value[: MAX_CHARACTERS // 2])
    text = repr(head)
    if len(value) > len(head) or len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS - 30] + f"{ELLIPSIS} <{len(value):,} bytes>"
    walker.room -= len(text)
    return text


# -- containers ------------------------------------------------------------------------------------------------------


def _sequence(walker: Walker, value: Any, depth: int, length: int, items: Iterable[Any]) -> Any:
    """Show *length* *items*, which iterate without the application's code."""
    if depth >= walker.max_depth:
        return f"<{type_name(type(value))} of {length:,}>"
    key = id(value) * 8 + depth
    known = walker._memo.get(key)
    if known is not None:
        return known[1]
    keep = length if length <= MAX_ITEMS else MAX_ITEMS if walker.legacy else MAX_ITEMS - 1
    if walker._spent(keep):
        return CUT
    head = list(islice(items, keep))
    kinds = {*map(id, map(type, head))}
    if not (kinds <= _INTEGERS and (not head or (min(head) > -MAX_INTEGER and max(head) < MAX_INTEGER))):
        head = [walker.show(item, depth + 1) for item in head]
    if length > keep and not walker.legacy:
        head.append(walker._mark(length - keep))
    walker._memo[key] = (value, head)
    return head


def _list(walker: Walker, value: Any, depth: int) -> Any:
    return _sequence(walker, value, depth, len(value), value)


def _mapping(walker: Walker, value: Any, depth: int, length: int, items: Iterable[tuple[Any, Any]]) -> Any:
    """Show *length* pairs, which iterate without the application's code."""
    if depth >= walker.max_depth:
        return f"<{type_name(type(value))} of {length:,}>"
    key = id(value) * 8 + depth
    known = walker._memo.get(key)
    if known is not None:
        return known[1]
    keep = length if length <= MAX_ITEMS else MAX_ITEMS if walker.legacy else MAX_ITEMS - 1
    if walker._spent(keep):
        return CUT
    out: dict[str, Any] = {}
    handlers = HANDLERS
    plain_keys = not walker.legacy
    for name, item in islice(items, keep):
        if not (plain_keys and type(name) is str and len(name) <= MAX_KEY and name.isascii()):
            name = walker._key(name)
            if name in out:
                name = f"{name} ({len(out)})"
        handler = handlers.get(id(type(item)))
        out[name] = handler(walker, item, depth + 1) if handler is not None else walker.show(item, depth + 1)
    if length > keep and not walker.legacy:
        out[ELLIPSIS] = walker._mark(length - keep)
    walker._memo[key] = (value, out)
    return out


def _dict(walker: Walker, value: dict[Any, Any], depth: int) -> Any:
    length = len(value)
    if (
        length <= MAX_ITEMS
        and depth < walker.max_depth
        and not walker.legacy
        and {*map(id, map(type, value.values()))} <= _INTEGERS
        and {*map(id, map(type, value))} <= _ONLY_STR
        and (not value or (min(value.values()) > -MAX_INTEGER and max(value.values()) < MAX_INTEGER))
        and sum(map(len, value)) < length * MAX_KEY
    ):
        # Names and integers only, the commonest big dict: copied whole. A key that is no UTF-8 is mended by encode.py.
        return CUT if walker._spent(length) else dict(value)
    return _mapping(walker, value, depth, length, value.items())


# -- by plan: subclasses and classes with fields ---------------------------------------------------------------------


def _opaque(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    if walker.call_repr and not walker.exhausted():
        try:
            text = repr(value)
            if type(text) is str:
                return _str(walker, text, depth)
        except BaseException:
            return f"<{plan.name} object, its __repr__ raised>"
    return f"<{plan.name} object>"


def _text(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        shown = plan.show(value)
    except Exception:
        return f"<{plan.name} object>"
    if type(shown) is str and plan.quoted is False:
        text = cut(clean(shown), MAX_CHARACTERS)
        walker.room -= len(text)
        return text
    return HANDLERS[id(type(shown))](walker, shown, depth)


def _items(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        return _sequence(walker, value, depth, plan.length(value), plan.show(value))
    except Exception:
        return f"<{plan.name}, changing>"


def _dict_items(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    try:
        return _mapping(walker, value, depth, dict.__len__(value), dict.items(value))
    except Exception:
        return f"<{plan.name}, changing>"


def _fields(walker: Walker, value: Any, depth: int, plan: Plan) -> Any:
    if walker.call_repr and plan.user_repr:
        return _opaque(walker, value, depth, plan)
    try:
        pairs = [("__class__", plan.name), *plan.show(value)]
    except Exception:
        return f"<{plan.name} object>"
    if plan.kind == NAMES and len(pairs) == 1:
        return f"<{plan.name} object>"
    return _mapping(walker, value, depth, len(pairs), pairs)


def _exception(walker: Walker, value: BaseException, depth: int, plan: Plan) -> Any:
    if depth >= walker.max_depth:
        return f"<{plan.name}>"
    text = exception_text(walker, value, depth + 1)
    return cut(f"<{plan.name}: {text}>" if text else f"<{plan.name}>", MAX_CHARACTERS)


_BY_KIND: dict[str, Callable[[Walker, Any, int, Plan], Any]] = {
    "opaque": _opaque,
    TEXT: _text,
    ITEMS: _items,
    DICT: _dict_items,
    FIELDS: _fields,
    NAMES: _fields,
    EXCEPTION: _exception,
}

HANDLERS: dict[int, Handler] = {
    _INT: _int,
    _STR: _str,
    id(float): _float,
    id(bool): _as_is,
    id(type(None)): _as_is,
    id(bytes): _bytes,
    id(bytearray): _bytes,
    id(list): _list,
    id(tuple): _list,
    id(dict): _dict,
}


# -- the message of an exception -------------------------------------------------------------------------------------


def exception_text(walker: Walker, exc: BaseException, depth: int = 0) -> str:
    """The message of *exc*, without running the application's ``__str__`` unless the walker may.

    Built-in exceptions are written as Python writes them. An exception class of an installed package is asked when all
    that it holds is plain text and numbers. Any other is shown by its ``args``, or by its fields when it has no args.
    """
    plan = plan_of(type(exc))
    if plan.str_file is not None and (walker.call_repr or _trusted(walker, exc, plan.str_file)):
        try:
            text = str(exc)
            if type(text) is str:
                return clean(text)
        except BaseException:
            return "<its __str__ raised>"
    try:
        return plan.message(exc, walker)
    except Exception:
        return ""


def _trusted(walker: Walker, exc: BaseException, file: str) -> bool:
    return file == "" or (walker.is_library is not None and walker.is_library(file) and state_is_plain(exc))


__all__ = ["CUT", "HANDLERS", "MAX_CHARACTERS", "MAX_DEPTH", "MAX_ITEMS", "Walker", "clean", "cut", "exception_text"]
