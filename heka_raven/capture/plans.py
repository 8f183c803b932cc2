"""How the values of a class are shown: decided once for each class, and kept."""

from __future__ import annotations

import collections
import enum
import sys
import types
from collections.abc import Callable
from typing import Any

from heka_raven.capture.classes import (
    class_dict,
    find_in_class,
    instance_dict,
    is_heap_type,
    module_name,
    mro_of,
    type_name,
)
from heka_raven.capture.objects import MAX_FIELDS, declared_fields, enum_fields
from heka_raven.capture.readers import READERS, read_uuid

OPAQUE, TEXT, ITEMS, DICT, FIELDS, EXCEPTION = "opaque", "text", "items", "dict", "fields", "exception"

MAX_PLANS = 1024


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


# -- the plan of a class ---------------------------------------------------------------------------------------------


def _known(cls: type) -> Plan | None:
    show = READERS.get(id(cls))
    if show is None and module_name(cls) == "uuid" and getattr(sys.modules.get("uuid"), "UUID", None) is cls:
        show = read_uuid  # not imported here: a pure module makes no ids
    if show is not None:
        return Plan(cls, TEXT, show)
    if issubclass(cls, type):
        return Plan(cls, TEXT, lambda value: f"<class {type_name(value)}>")
    return None


def _by_base(cls: type) -> Plan | None:
    if issubclass(cls, enum.Enum):
        return Plan(cls, FIELDS, enum_fields)
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
    read = declared_fields(cls)
    if read is None:
        return None
    plan = Plan(cls, FIELDS, read)
    plan.user_repr = True
    return plan


# -- exceptions -------------------------------------------------------------------------------------------------------


def _exception_plan(cls: type) -> Plan:
    plan = Plan(cls, EXCEPTION)
    for base in mro_of(cls):
        found = class_dict(base).get("__str__")
        if found is None:
            continue
        plan.str_owner = base
        if type(found) is types.FunctionType:
            plan.str_file = found.__code__.co_filename
        elif is_heap_type(base):
            plan.str_file = "<not a function>"
        break
    return plan
