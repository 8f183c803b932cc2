"""How the values of a class are shown: decided once for each class, and kept."""

from __future__ import annotations

import collections
import datetime
import decimal
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
    mro_of,
    type_name,
)
from heka_raven.capture.objects import (
    MAX_FIELDS,
    declared_fields,
    enum_fields,
    hidden_names,
    instance_reader,
    is_mapped,
    is_row,
)
from heka_raven.capture.readers import AS_FIELDS, AS_PAIRS, AS_TEXT, AS_VALUE, row_of
from heka_raven.capture.standard import read_date, read_datetime, read_decimal, read_time, read_timedelta

OPAQUE, ITEMS, OBJECT, EXCEPTION = "opaque", "items", "object", "exception"
TEXT, FIELDS, VALUE, DICT = AS_TEXT, AS_FIELDS, AS_VALUE, AS_PAIRS

MAX_PLANS = 1024


class Plan:
    """How to show the values of one class."""

    __slots__ = (
        "by_value", "charge", "cls", "harmless_below", "hidden", "kind", "length", "name", "nesting", "opaque", "show",
        "str_file", "str_owner", "user_repr",
    )  # fmt: skip

    def __init__(self, cls: type, kind: str, show: Callable[[Any], Any] = id) -> None:
        self.cls = cls  # kept alive: plans are found by the id of the class
        self.kind = kind
        self.name = type_name(cls)
        self.opaque = f"<{self.name} object>"
        self.charge = len(self.name) + 8  # characters that the name takes among the fields
        self.show = show
        self.length: Callable[[Any], int] = len
        self.by_value = False  # whether a text that show() returns is the value itself
        self.harmless_below = 0  # characters of that text from which on it may hold something private
        self.user_repr = False
        self.hidden: frozenset[str] = frozenset()  # names of fields that are not shown
        self.nesting = 1  # how many levels of the depth limit the fields of an object take
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
            plan = _known(cls) or _by_base(cls) or _by_fields(cls) or _by_instance(cls) or Plan(cls, OPAQUE)
        except Exception:
            return Plan(cls, OPAQUE)  # not kept: it may be for want of stack or memory
        _plans[id(cls)] = plan
    return plan


def is_kept(plan: Plan) -> bool:
    """Whether *plan* is the one that :func:`plan_of` gives from now on."""
    return _plans.get(id(plan.cls)) is plan


# -- the plan of a class ---------------------------------------------------------------------------------------------


def _known(cls: type) -> Plan | None:
    row = row_of(cls)
    if row is not None:
        plan = Plan(cls, row.kind, row.read)
        plan.harmless_below = next((below for base, below in _HARMLESS if issubclass(cls, base)), 0)
        return plan
    if issubclass(cls, type):
        return Plan(cls, TEXT, lambda value: f"<class {type_name(value)}>")
    return None


_DATES = (datetime.date, datetime.time, datetime.timedelta)
_HARMLESS = ((_DATES, sys.maxsize), (decimal.Decimal, 13))  # fewer digits are no payment card's (scrub/shapes.py)


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
    (datetime.datetime, TEXT, read_datetime, len),
    (datetime.date, TEXT, read_date, len),
    (datetime.time, TEXT, read_time, len),
    (datetime.timedelta, TEXT, read_timedelta, len),
    (decimal.Decimal, TEXT, read_decimal, len),
)


def _by_fields(cls: type) -> Plan | None:
    read = None if is_mapped(cls) else declared_fields(cls)
    if read is None:
        return None
    plan = Plan(cls, FIELDS, read)
    plan.user_repr = True
    return plan


def _by_instance(cls: type) -> Plan | None:
    read = instance_reader(cls)
    if read is None:
        return None
    plan = Plan(cls, OBJECT, read)
    plan.hidden = hidden_names(cls)
    # An object that is no record holds what it works with: of that not as much is shown.
    plan.nesting = 1 if is_row(cls) else 2
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
