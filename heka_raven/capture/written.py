"""Values inside a message, written as Python's repr() writes them, without asking any class of the application.

What repr() gives of built-in types and of exactly the standard library's own types is given here, too; a dataclass and
a named tuple as their generated __repr__ writes them; any other object by its class alone: a message is a line to
read, and what an object holds stands among the local variables.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from heka_raven.capture.classes import bare_name, find_in_class, instance_dict, is_one_of, type_name
from heka_raven.capture.guard import NameMask
from heka_raven.capture.plans import EXCEPTION, FIELDS, TEXT, VALUE, Plan, plan_of
from heka_raven.capture.readers import has_safe_repr
from heka_raven.formats.text import clean, cut

MAX_SPOKEN = 16384  # of a text that is the whole message
MAX_WRITTEN = 2048  # characters of one value inside a message
MAX_ITEMS = 50  # of one container
MAX_DEPTH = 4

_exc_args = BaseException.__dict__["args"].__get__


def written(value: Any, guard: NameMask) -> str:
    """*value* as repr() writes it."""
    return cut(_Writer(guard).write(value, 0), MAX_WRITTEN)


def spoken(value: Any, guard: NameMask) -> str:
    """*value* as str() gives it: the one argument of an exception."""
    kind = type(value)
    plan = plan_of(kind)
    if issubclass(kind, enum.Enum):
        # An Enum is spoken by its name, an IntEnum and a StrEnum by what it is.
        if type(find_in_class(kind, "__str__")) is not types.FunctionType:
            return spoken(instance_dict(value).get("_value_"), guard)
        name = instance_dict(value).get("_name_")
        return f"{bare_name(kind)}.{name}" if type(name) is str else plan.opaque
    if issubclass(kind, str):
        return clean(str.__getitem__(value, slice(0, MAX_SPOKEN)))
    if plan.kind == TEXT and not plan.by_value:
        try:
            return clean(cut(plan.show(value), MAX_WRITTEN))
        except Exception:
            return plan.opaque
    return written(value, guard)


def label(value: Any, guard: NameMask) -> str | None:
    """*value* as one word: a tag, an id, a part of a fingerprint. ``None`` if it is no single value.

    An Enum is what it stands for, if that is a word, else its name.
    """
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None or issubclass(kind, (type, BaseException)):
        return None
    if issubclass(kind, enum.Enum):
        held = instance_dict(value).get("_value_")
        found = held if issubclass(type(held), (str, int, float)) else instance_dict(value).get("_name_")
        return spoken(found, guard) if issubclass(type(found), (str, int, float)) else None
    plan = plan_of(kind)
    if plan.kind == VALUE:
        found = plan.show(value)  # a scalar of a library
        return spoken(found, guard) if type(found) in (str, int, float, bool) else None
    if is_one_of(value, *_SCALARS):
        return spoken(value, guard)
    if plan.kind != TEXT:
        return None
    text = spoken(value, guard)
    return text if plan.by_value or text[:1] != "<" else None  # <function ...>


_SCALARS = (bool, int, float, bytes)


def is_plain_library_value(value: Any) -> bool:
    """Whether repr() of *value*, of exactly a type of the standard library, runs no code of the application."""
    if not has_safe_repr(type(value)):
        return False
    shown = plan_of(type(value)).show(value)
    return not shown.startswith("<") and not shown.endswith(">")


class _Writer:
    """Writes one value, in a room of its own."""

    __slots__ = ("guard", "room")

    def __init__(self, guard: NameMask) -> None:
        self.guard = guard
        self.room = 2 * MAX_WRITTEN

    def write(self, value: Any, depth: int) -> str:
        if self.room <= 0 or depth > MAX_DEPTH:
            return "..."
        kind = type(value)
        writer = _CONTAINERS.get(id(kind))
        if writer is not None:
            self.room -= 2
            try:
                return writer(self, value, depth + 1)
            except RuntimeError as error:
                if isinstance(error, RecursionError):
                    raise
                return f"<{kind.__name__}, changing>"  # another thread writes to it
        text = self._scalar(value, kind)
        if text is None:
            text = self._by_plan(value, plan_of(kind), depth + 1)
        self.room -= len(text)
        return text

    def _scalar(self, value: Any, kind: type) -> str | None:
        if value is None or kind is bool or kind is float:
            return repr(value)
        if kind is int:
            return repr(value) if value.bit_length() <= 1300 else f"<int of {value.bit_length():,} bits>"
        if kind is str:
            return repr(clean(value[:MAX_WRITTEN]))
        if kind is bytes or kind is bytearray:
            return repr(value[:MAX_WRITTEN])
        return None

    def _by_plan(self, value: Any, plan: Plan, depth: int) -> str:
        kind = type(value)
        try:
            if plan.kind == EXCEPTION:
                return f"{bare_name(kind)}({self.items(_exc_args(value), len(_exc_args(value)), depth)})"
            if issubclass(kind, enum.Enum):
                ((name, held),) = plan.show(value)
                shown = {name: self.write(held, depth)}
                self.guard.mask_names(shown, (name,))
                return f"<{bare_name(kind)}.{name}: {shown[name]}>"
            if issubclass(kind, type):
                return f"<class {type_name(value)!r}>"
            if is_plain_library_value(value):
                return repr(value)
            if plan.kind == FIELDS and (plan.user_repr or issubclass(kind, tuple)):
                fields = {name: self.write(item, depth) for name, item in plan.show(value)}
                self.guard.mask_names(fields, list(fields))
                return f"{bare_name(kind)}({', '.join(f'{name}={text}' for name, text in fields.items())})"
            if plan.kind == TEXT:
                shown_value = plan.show(value)
                return self.write(shown_value, depth) if plan.by_value else str(shown_value)
        except Exception:
            return plan.opaque
        for base in _BASES:
            if issubclass(kind, base):
                return _CONTAINERS[id(base)](self, value, depth)
        return f"<{type_name(kind)} object>"

    def items(self, items: Iterable[Any], length: int, depth: int) -> str:
        texts = [self.write(item, depth) for item in islice(items, MAX_ITEMS)]
        return ", ".join(texts if length <= MAX_ITEMS else [*texts, "..."])


def _list(writer: _Writer, value: Any, depth: int) -> str:
    return f"[{writer.items(list.__iter__(value), list.__len__(value), depth)}]"


def _tuple(writer: _Writer, value: Any, depth: int) -> str:
    length = tuple.__len__(value)
    return f"({writer.items(tuple.__iter__(value), length, depth)}{',' if length == 1 else ''})"


def _set(writer: _Writer, value: Any, depth: int) -> str:
    length = set.__len__(value)
    return f"{{{writer.items(set.__iter__(value), length, depth)}}}" if length else "set()"


def _frozenset(writer: _Writer, value: Any, depth: int) -> str:
    length = frozenset.__len__(value)
    return f"frozenset({{{writer.items(frozenset.__iter__(value), length, depth)}}})" if length else "frozenset()"


def _dict(writer: _Writer, value: Any, depth: int) -> str:
    texts = []
    for name, item in islice(dict.items(value), MAX_ITEMS):
        text = writer.write(item, depth)
        if type(name) is str:
            shown = {name: text}
            writer.guard.mask_names(shown, (name,))
            text = shown[name]
        texts.append(f"{writer.write(name, depth)}: {text}")
    return f"{{{', '.join(texts if dict.__len__(value) <= MAX_ITEMS else [*texts, '...'])}}}"


_CONTAINERS: dict[int, Callable[[_Writer, Any, int], str]] = {
    id(list): _list,
    id(tuple): _tuple,
    id(set): _set,
    id(frozenset): _frozenset,
    id(dict): _dict,
}
_BASES = (list, tuple, set, frozenset, dict)
