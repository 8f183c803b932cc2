"""The fields of an object, read where it keeps them: its own dict and the slots of its class."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Any

from heka_raven.capture.classes import find_in_class, instance_dict

MAX_FIELDS = 49  # with the class name 50, what one container shows

Pairs = list[tuple[str, Any]]


def declared_fields(cls: type) -> Callable[[Any], Pairs] | None:
    """A reader of the fields that a dataclass or an attrs class declares; ``None`` for any other class."""
    declared = find_in_class(cls, "__dataclass_fields__")
    if type(declared) is dict:
        # A field with repr=False is one that its author does not want to be shown.
        names = [n for n, f in declared.items() if type(n) is str and type(f) is dataclasses.Field and f.repr]
    else:
        declared = find_in_class(cls, "__attrs_attrs__")
        if declared is None or not issubclass(type(declared), tuple):
            return None
        names = [a.name for a in tuple.__iter__(declared) if type(a).__module__ == "attr._make" and a.repr]
    return lambda value: _read_fields(value, names[:MAX_FIELDS])


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
