"""What can be known of a class without running any of its code, kept per class.

Everything is read through the descriptors of `type`, `object` and `BaseException` themselves: a class may define
__getattribute__, properties, a metaclass with any special method, and none of it is called here.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import sys
import types
import zoneinfo
from collections.abc import Callable
from typing import Any

OPAQUE, TEXT, ITEMS, DICT, FIELDS, EXCEPTION = "opaque", "text", "items", "dict", "fields", "exception"

MAX_PLANS = 1024
MAX_FIELDS = 49  # with the class name 50, what one container shows

_type_name = type.__dict__["__name__"].__get__
_type_module = type.__dict__["__module__"].__get__
_type_qualname = type.__dict__["__qualname__"].__get__
_type_flags = type.__dict__["__flags__"].__get__
_type_dict = type.__dict__["__dict__"].__get__
_module_dict: Any = types.ModuleType.__dict__["__dict__"].__get__  # type: ignore[index]

_TRUSTED_TZ = frozenset({id(datetime.timezone), id(zoneinfo.ZoneInfo)})

mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__


class Plan:
    """How to show the values of one class."""

    __slots__ = ("by_value", "cls", "kind", "length", "name", "opaque", "show", "str_file", "str_owner", "user_repr")

    def __init__(self, cls: type, kind: str, show: Callable[[Any], Any] = id) -> None:
        self.cls = cls  # kept alive: plans are found by the id of the class
        self.kind = kind
        self.name = type_name(cls)
        self.opaque = f"<{self.name} object>"
        self.show = show
        self.length: Callable[[Any], int] = len
        self.by_value = False  # whether a text that show() returns is the value itself
        self.user_repr = False
        self.str_owner: type = object  # the class whose __str__ an exception has
        self.str_file: str | None = None  # where that is defined, if it is Python


_plans: dict[int, Plan] = {}


def plan_of(cls: type) -> Plan:
    """The plan of *cls*."""
    plan = _plans.get(id(cls))
    if plan is None:
        if len(_plans) >= MAX_PLANS:
            _plans.clear()
        try:
            plan = _known(cls) or _by_base(cls) or _by_fields(cls) or Plan(cls, OPAQUE)
        except Exception:
            return Plan(cls, OPAQUE)  # not kept: it may be for want of stack or memory
        _plans[id(cls)] = plan
    return plan


def bare_name(cls: type) -> str:
    """The class's own name."""
    name = _type_name(cls)
    return name if type(name) is str else str.__getitem__(name, slice(None))


def module_name(cls: type) -> str:
    """The module that *cls* says it is of, '' when that is no text."""
    try:
        module = _type_module(cls)
    except AttributeError:
        return ""
    return module if type(module) is str else ""


def qualified_name(cls: type) -> str:
    """The class's name with those of the classes and functions that it stands in."""
    name = _type_qualname(cls)
    return name if type(name) is str else bare_name(cls)


def type_name(cls: type) -> str:
    """``module.Class``; built-in types without the module."""
    module = module_name(cls)
    qualname = qualified_name(cls)
    text = qualname if module in ("", "builtins") else f"{module}.{qualname}"
    return text if len(text) <= 200 else text[:199] + "…"


def find_in_class(cls: type, name: str) -> Any:
    """What the class or the first of its bases has under *name*; ``None`` when there is nothing."""
    for base in mro_of(cls):
        found = _type_dict(base).get(name)
        if found is not None:
            return found
    return None


def instance_dict(value: Any) -> dict[str, Any]:
    """The attributes of *value* itself; empty when it has none or hides them behind code."""
    descriptor = find_in_class(type(value), "__dict__")
    if not is_one_of(descriptor, types.GetSetDescriptorType, types.MemberDescriptorType):
        return {}
    found = descriptor.__get__(value)
    return found if type(found) is dict else {}


def is_one_of(value: Any, *kinds: type) -> bool:
    """Whether the type of *value* is exactly one of *kinds*; ``in`` would ask a metaclass for equality."""
    kind = type(value)
    for known in kinds:  # noqa: SIM110 - any() with a generator takes three times as long
        if kind is known:
            return True
    return False


def plain_dict(value: Any) -> dict[Any, Any]:
    """A dict, or what a subclass of one holds, as a plain copy; empty for anything else."""
    return {name: item for name, item in dict.items(value)} if issubclass(type(value), dict) else {}  # noqa: C416


# -- the plan of a class ---------------------------------------------------------------------------------------------


def _known(cls: type) -> Plan | None:
    show = _SHOWN_AS_TEXT.get(id(cls))
    if show is None and module_name(cls) == "uuid" and getattr(sys.modules.get("uuid"), "UUID", None) is cls:
        show = _uuid  # not imported here: a pure module makes no ids
    if show is not None:
        return Plan(cls, TEXT, show)
    if issubclass(cls, type):
        return Plan(cls, TEXT, lambda value: f"<class {type_name(value)}>")
    return None


def _by_base(cls: type) -> Plan | None:
    if issubclass(cls, enum.Enum):
        return Plan(cls, FIELDS, _enum_fields)
    if issubclass(cls, BaseException):
        return _exception_plan(cls)
    if cls is types.SimpleNamespace:
        return Plan(cls, FIELDS, lambda value: list(instance_dict(value).items())[:MAX_FIELDS])
    if issubclass(cls, tuple):
        names = find_in_class(cls, "_fields")
        if type(names) is tuple and names and all(type(name) is str for name in names):
            return Plan(cls, FIELDS, lambda value: list(zip(names[:MAX_FIELDS], tuple.__iter__(value), strict=False)))
    for base, kind, show, length in _BASES:
        if issubclass(cls, base):
            plan = Plan(cls, kind, show)
            plan.by_value = True
            plan.length = length
            return plan
    return None


_BASES: tuple[tuple[type, str, Callable[[Any], Any], Callable[[Any], int]], ...] = (
    (str, TEXT, lambda value: str.__getitem__(value, slice(0, 4096)), len),
    (bytes, TEXT, lambda value: bytes.__getitem__(value, slice(0, 4096)), len),
    (bytearray, TEXT, lambda value: bytes(bytearray.__getitem__(value, slice(0, 4096))), len),
    (int, TEXT, int.__int__, len),
    (float, TEXT, float.__float__, len),
    (dict, DICT, dict.items, dict.__len__),
    (list, ITEMS, list.__iter__, list.__len__),
    (tuple, ITEMS, tuple.__iter__, tuple.__len__),
    (set, ITEMS, set.__iter__, set.__len__),
    (frozenset, ITEMS, frozenset.__iter__, frozenset.__len__),
    (collections.deque, ITEMS, collections.deque.__iter__, collections.deque.__len__),
    (type({}.keys()), ITEMS, type({}.keys()).__iter__, type({}.keys()).__len__),
    (type({}.values()), ITEMS, type({}.values()).__iter__, type({}.values()).__len__),
)


def _by_fields(cls: type) -> Plan | None:
    names: list[str] = []
    declared = find_in_class(cls, "__dataclass_fields__")
    if type(declared) is dict:
        # A field with repr=False is one that its author does not want to be shown.
        names = [n for n, f in declared.items() if type(n) is str and type(f) is dataclasses.Field and f.repr]
    else:
        declared = find_in_class(cls, "__attrs_attrs__")
        if declared is None or not issubclass(type(declared), tuple):
            return None
        names = [a.name for a in tuple.__iter__(declared) if type(a).__module__ == "attr._make" and a.repr]
    plan = Plan(cls, FIELDS, lambda value: _read_fields(value, names[:MAX_FIELDS]))
    plan.user_repr = True
    return plan


def _read_fields(value: Any, names: list[str]) -> list[tuple[str, Any]]:
    own = instance_dict(value)
    pairs = []
    for name in names:
        if name in own:
            pairs.append((name, own[name]))
            continue
        slot = find_in_class(type(value), name)
        if type(slot) is types.MemberDescriptorType:
            try:
                pairs.append((name, slot.__get__(value)))
            except AttributeError:
                continue  # declared, never set
    return pairs


def _enum_fields(value: Any) -> list[tuple[str, Any]]:
    own = instance_dict(value)
    name = own.get("_name_")
    # Under the member's own name, so that a member called API_KEY is masked like a variable of that name.
    return [(name if type(name) is str else "value", own.get("_value_"))]


# -- standard library values, shown as text --------------------------------------------------------------------------


def _datetime(value: datetime.datetime) -> str:
    zone = value.tzinfo
    if zone is None or id(type(zone)) in _TRUSTED_TZ:
        return value.isoformat()
    return f"{value.replace(tzinfo=None).isoformat()} <{type_name(type(zone))}>"


def _time(value: datetime.time) -> str:
    zone = value.tzinfo
    return (value if zone is None or id(type(zone)) in _TRUSTED_TZ else value.replace(tzinfo=None)).isoformat()


def _decimal(value: decimal.Decimal) -> str:
    size = value.__sizeof__()
    return str(value) if size <= 512 else f"<decimal.Decimal of {size:,} bytes>"


def _fraction(value: fractions.Fraction) -> str:
    pair = (value._numerator, value._denominator)  # type: ignore[attr-defined]
    if all(type(part) is int and part.bit_length() <= 640 for part in pair):
        return f"{pair[0]}/{pair[1]}"
    return "<fractions.Fraction object>"


def _uuid(value: Any) -> str:
    return str(value) if type(value.int) is int else "<uuid.UUID object>"


def _range(value: range) -> str:
    parts = (value.start, value.stop, value.step)
    if all(type(part) is int and part.bit_length() <= 640 for part in parts):
        return f"range({parts[0]}, {parts[1]})" if parts[2] == 1 else f"range({parts[0]}, {parts[1]}, {parts[2]})"
    return "<range object>"


def _pattern(value: re.Pattern[Any]) -> str:
    source = value.pattern
    return f"re.compile({source[:300]!r})" if is_one_of(source, str, bytes) else "<re.Pattern object>"


def _function(value: Any) -> str:
    module = value.__module__
    name = value.__qualname__
    return f"<function {module}.{name}>" if type(module) is str and type(name) is str else "<function>"


def _builtin(value: Any) -> str:
    return f"<built-in function {value.__name__}>"


def _method(value: types.MethodType) -> str:
    function = value.__func__
    return f"<bound method {_function(function)[10:]}" if type(function) is types.FunctionType else "<bound method>"


def _module(value: types.ModuleType) -> str:
    name = _module_dict(value).get("__name__")
    return f"<module {name}>" if type(name) is str else "<module>"


def _running(kind: str) -> Callable[[Any], str]:
    return lambda value: f"<{kind} {value.__qualname__}>"


_SHOWN_AS_TEXT: dict[int, Callable[[Any], str]] = {
    id(datetime.datetime): _datetime,
    id(datetime.time): _time,
    id(datetime.date): lambda value: str(value.isoformat()),
    id(datetime.timedelta): str,
    id(datetime.timezone): str,
    id(decimal.Decimal): _decimal,
    id(fractions.Fraction): _fraction,
    id(complex): repr,
    id(range): _range,
    id(memoryview): lambda value: f"<memoryview of {value.nbytes:,} bytes>",
    id(type(...)): repr,
    id(type(NotImplemented)): repr,
    id(re.Pattern): _pattern,
    id(pathlib.PosixPath): str,
    id(pathlib.PurePosixPath): str,
    id(pathlib.PureWindowsPath): str,
    id(ipaddress.IPv4Address): str,
    id(ipaddress.IPv6Address): str,
    id(ipaddress.IPv4Network): str,
    id(ipaddress.IPv6Network): str,
    id(zoneinfo.ZoneInfo): lambda value: f"<zoneinfo.ZoneInfo {value.key}>" if type(value.key) is str else "<ZoneInfo>",
    id(types.FunctionType): _function,
    id(types.BuiltinFunctionType): _builtin,
    id(types.MethodType): _method,
    id(types.ModuleType): _module,
    id(types.GeneratorType): _running("generator"),
    id(types.CoroutineType): _running("coroutine"),
    id(types.AsyncGeneratorType): _running("async generator"),
}


# -- exceptions -------------------------------------------------------------------------------------------------------


def _exception_plan(cls: type) -> Plan:
    plan = Plan(cls, EXCEPTION)
    for base in mro_of(cls):
        found = _type_dict(base).get("__str__")
        if found is None:
            continue
        plan.str_owner = base
        if type(found) is types.FunctionType:
            plan.str_file = found.__code__.co_filename
        elif _type_flags(base) & _HEAP_TYPE:
            plan.str_file = "<not a function>"
        break
    return plan


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by an extension
