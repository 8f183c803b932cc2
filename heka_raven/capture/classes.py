"""What can be known of a class without running any of its code: names, bases, attributes.

Everything is read through the descriptors of `type`, `object` and `BaseException` themselves: a class may define
__getattribute__, properties, a metaclass with any special method, and none of it is called here.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

_type_name = type.__dict__["__name__"].__get__
_type_module = type.__dict__["__module__"].__get__
_type_qualname = type.__dict__["__qualname__"].__get__
_type_flags = type.__dict__["__flags__"].__get__

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by an extension

class_dict: Callable[[type], Any] = type.__dict__["__dict__"].__get__
mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
module_dict: Any = types.ModuleType.__dict__["__dict__"].__get__  # type: ignore[index]


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
        found = class_dict(base).get(name)
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


def is_heap_type(cls: type) -> bool:
    """Whether a class statement or an extension made *cls*, and not Python itself."""
    return bool(_type_flags(cls) & _HEAP_TYPE)


def is_held(cls: type) -> bool:
    """Whether *cls* is what its module, as it names it, really holds under its name; nothing is imported."""
    loaded = sys.modules.get(module_name(cls))
    return issubclass(type(loaded), types.ModuleType) and module_dict(loaded).get(bare_name(cls)) is cls
