"""The fields of an object, read where it keeps them: its own dict and the slots of its class.

Shown is what the author of the class shows: a field that is declared with repr=False is left out, and so is every name
that begins with an underscore, which hides what pydantic's SecretStr holds, caches, and the state of an ORM.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from heka_raven.capture.classes import (
    class_dict,
    find_in_class,
    instance_dict,
    is_heap_type,
    is_one_of,
    module_name,
    mro_of,
    type_name,
)

MAX_FIELDS = 49  # with the class name 50, what one container shows
MAX_LOOKED = 1000  # attributes of one object
NOT_LOADED = "<not loaded>"

Pairs = list[tuple[str, Any]]
Held = tuple[dict[str, Any], "Sequence[tuple[str, Any]]"]

# Our own objects hold the DSN, and nothing that a reader of an event needs.
_OURS = frozenset({"heka", "heka_raven", "metlog_raven"})
_ROW_BASES = frozenset({"django.db.models.base.Model", "pydantic.main.BaseModel"})


def declared_fields(cls: type) -> Callable[[Any], Pairs] | None:
    """A reader of the fields that a dataclass or an attrs class declares; ``None`` for any other class."""
    names = _declared_names(cls, shown=True)
    return None if names is None else lambda value: _read_fields(value, names[:MAX_FIELDS])


def _declared_names(cls: type, shown: bool) -> list[str] | None:
    """The names of a dataclass's or an attrs class's fields that are shown, or those that are not."""
    declared = find_in_class(cls, "__dataclass_fields__")
    if type(declared) is dict:
        # A field with repr=False is one that its author does not want to be shown.
        fields = ((name, field) for name, field in declared.items() if type(name) is str)
        return [name for name, field in fields if type(field) is dataclasses.Field and bool(field.repr) is shown]
    declared = find_in_class(cls, "__attrs_attrs__")
    if declared is None or not issubclass(type(declared), tuple):
        return None
    ours = (field for field in tuple.__iter__(declared) if type(field).__module__ == "attr._make")
    return [field.name for field in ours if bool(field.repr) is shown]


def _read_fields(value: Any, names: list[str]) -> Pairs:
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


def enum_fields(value: Any) -> Pairs:
    own = instance_dict(value)
    name = own.get("_name_")
    # Under the member's own name, so that a member called API_KEY is masked like a variable of that name.
    return [(name if type(name) is str else "value", own.get("_value_"))]


# -- instances ---------------------------------------------------------------------------------------------------------


def is_mapped(cls: type) -> bool:
    """Whether SQLAlchemy maps *cls* to a table."""
    return find_in_class(cls, "_sa_class_manager") is not None


def is_row(cls: type) -> bool:
    """Whether the instances of *cls* are rows of a table or models of pydantic: what they hold is their fields."""
    return is_mapped(cls) or any(type_name(base) in _ROW_BASES for base in mro_of(cls))


def instance_reader(cls: type) -> Callable[[Any], Held] | None:
    """A reader of what the instances of *cls* hold; ``None`` where that is nothing that can be read.

    It gives the instance's own dict, of which the public names are to be shown that are not hidden, and what is shown
    beside it.
    """
    if not is_heap_type(cls) or module_name(cls).partition(".")[0] in _OURS:
        return None
    descriptor = find_in_class(cls, "__dict__")
    known = is_one_of(descriptor, types.GetSetDescriptorType, types.MemberDescriptorType)
    dict_of = descriptor.__get__ if known else _no_dict
    slots = _slots(cls)
    hidden = hidden_names(cls)
    if known and is_mapped(cls):
        return _mapped_reader(dict_of, hidden)
    slot = find_in_class(cls, "__pydantic_extra__")
    extra = slot.__get__ if type(slot) is types.MemberDescriptorType else None
    if known and not slots and extra is None:
        return lambda value: (dict_of(value), ())

    def read(value: Any) -> Held:
        more = []
        for name, get in slots:
            try:
                more.append((name, get(value)))
            except AttributeError:
                continue  # never set
        if extra is not None and type(found := extra(value)) is dict:
            more += [pair for pair in islice(found.items(), MAX_LOOKED) if type(pair[0]) is str and pair[0][:1] != "_"]
        return dict_of(value), [pair for pair in more if pair[0] not in hidden] if hidden else more

    return read if known or slots else None


def _no_dict(value: Any) -> dict[str, Any]:
    return {}


def _slots(cls: type) -> list[tuple[str, Callable[[Any], Any]]]:
    found: dict[str, Callable[[Any], Any]] = {}
    for base in reversed(mro_of(cls)):
        names = class_dict(base)
        if "__slots__" in names:
            for name, slot in names.items():
                if type(slot) is types.MemberDescriptorType and name[:1] != "_":
                    found[name] = slot.__get__
    # A name that a class further down gave another meaning is not this slot's any more.
    return [(name, get) for name, get in found.items() if type(find_in_class(cls, name)) is types.MemberDescriptorType]


def hidden_names(cls: type) -> frozenset[str]:
    """The names of fields that are declared with repr=False."""
    names = set(_declared_names(cls, shown=False) or ())
    for attribute in ("__pydantic_fields__", "model_fields"):
        declared = find_in_class(cls, attribute)
        if type(declared) is dict:
            for name, field in declared.items():
                slot = find_in_class(type(field), "repr")
                if type(slot) is types.MemberDescriptorType and slot.__get__(field) is False:
                    names.add(name)
    return frozenset(names)


def _mapped_reader(dict_of: Callable[[Any], Any], hidden: frozenset[str]) -> Callable[[Any], Held]:
    """A reader of what SQLAlchemy has loaded of a row, and of the names of what it would load at the next look."""
    known: list[Any] = [None, None]  # the type of the rows' states, and what reads their expired attributes

    def read(value: Any) -> Held:
        own = dict_of(value)
        state = own.get("_sa_instance_state")
        if type(state) is not known[0]:
            slot = find_in_class(type(state), "expired_attributes")
            if type(slot) is not types.MemberDescriptorType:
                return own, ()
            known[:] = type(state), slot.__get__
        expired = known[1](state)
        if not expired or type(expired) is not set:
            return own, ()
        names = [n for n in expired.copy() if type(n) is str and n not in own and n not in hidden]
        return own, [(name, NOT_LOADED) for name in sorted(names)] if names else ()

    return read
