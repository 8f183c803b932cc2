"""Values of Python's own types that are shown as a text: one reader for each, for exactly that type."""

from __future__ import annotations

import datetime
import decimal
import fractions
import ipaddress
import pathlib
import re
import types
import zoneinfo
from collections.abc import Callable
from typing import Any

from heka_raven.capture.classes import is_one_of, module_dict, type_name

_TRUSTED_TZ = frozenset({id(datetime.timezone), id(zoneinfo.ZoneInfo)})


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


def read_uuid(value: Any) -> str:
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
    name = module_dict(value).get("__name__")
    return f"<module {name}>" if type(name) is str else "<module>"


def _running(kind: str) -> Callable[[Any], str]:
    return lambda value: f"<{kind} {value.__qualname__}>"


READERS: dict[int, Callable[[Any], str]] = {
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
