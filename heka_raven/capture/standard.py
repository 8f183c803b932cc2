"""Readers of the standard library's types, for the table in readers.py.

Everything is read through what the types themselves keep in C, or in their own dict. What may hold the application's
objects is looked at before Python's own functions see it.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import functools
import gc
import re
import types
import zoneinfo
from collections.abc import Callable
from itertools import islice
from typing import Any

from heka_raven.capture.classes import instance_dict, is_one_of, module_dict, module_name, type_name

Pairs = list[tuple[str, Any]]

_TRUSTED_TZ = frozenset({id(datetime.timezone), id(zoneinfo.ZoneInfo)})
# Time zones of libraries; those of pytz are classes of their own, one for each zone.
_ZONE_MODULES = frozenset({"pytz", "pytz.tzfile", "dateutil.tz.tz", "pendulum.tz.timezone", "psycopg2.tz"})
_date_text = datetime.date.isoformat
_datetime_text = datetime.datetime.isoformat
_time_text = datetime.time.isoformat
_PARTS = 640  # bits of an integer inside a range, a fraction or a slice


def is_trusted_zone(zone: Any) -> bool:
    """Whether *zone* is no time zone of the application, which would be asked for its offset."""
    return zone is None or id(type(zone)) in _TRUSTED_TZ or module_name(type(zone)) in _ZONE_MODULES


def read_datetime(value: datetime.datetime) -> str:
    """Of subclasses, too: only C reads the value."""
    zone = datetime.datetime.tzinfo.__get__(value)
    if is_trusted_zone(zone):
        return _datetime_text(value)
    plain = datetime.datetime(*(part.__get__(value) for part in _DATETIME_PARTS))
    return f"{plain.isoformat()} <{type_name(type(zone))}>"


_DATETIME_PARTS: Any = [
    *(datetime.date.__dict__[name] for name in ("year", "month", "day")),
    *(datetime.datetime.__dict__[name] for name in ("hour", "minute", "second", "microsecond")),
]


def read_date(value: datetime.date) -> str:
    return _date_text(value)


def read_time(value: datetime.time) -> str:
    if is_trusted_zone(datetime.time.tzinfo.__get__(value)):
        return _time_text(value)
    return datetime.time(*(part.__get__(value) for part in _TIME_PARTS)).isoformat()


_TIME_PARTS: Any = [datetime.time.__dict__[name] for name in ("hour", "minute", "second", "microsecond")]


def read_timedelta(value: datetime.timedelta) -> str:
    return datetime.timedelta.__str__(value)


def read_decimal(value: decimal.Decimal) -> str:
    size = decimal.Decimal.__sizeof__(value)
    return decimal.Decimal.__str__(value) if size <= 512 else f"<decimal.Decimal of {size:,} bytes>"


def read_fraction(value: fractions.Fraction) -> str:
    pair = (value._numerator, value._denominator)  # type: ignore[attr-defined]
    if all(type(part) is int and part.bit_length() <= _PARTS for part in pair):
        return f"{pair[0]}/{pair[1]}" if pair[1] != 1 else str(pair[0])
    return "<fractions.Fraction object>"


def read_uuid(value: Any) -> str:
    return str(value) if type(value.int) is int else "<uuid.UUID object>"


def read_range(value: range) -> str:
    parts = (value.start, value.stop, value.step)
    if all(type(part) is int and part.bit_length() <= _PARTS for part in parts):
        return f"range({parts[0]}, {parts[1]})" if parts[2] == 1 else f"range({parts[0]}, {parts[1]}, {parts[2]})"
    return "<range object>"


def read_pattern(value: re.Pattern[Any]) -> str:
    source = value.pattern
    return f"re.compile({source[:300]!r})" if is_one_of(source, str, bytes) else "<re.Pattern object>"


def read_function(value: Any) -> str:
    module = value.__module__
    name = value.__qualname__
    return f"<function {module}.{name}>" if type(module) is str and type(name) is str else "<function>"


def read_builtin(value: Any) -> str:
    return f"<built-in function {value.__name__}>"


def read_method(value: types.MethodType) -> str:
    function = value.__func__
    return f"<bound method {read_function(function)[10:]}" if type(function) is types.FunctionType else "<bound method>"


def read_module(value: types.ModuleType) -> str:
    name = module_dict(value).get("__name__")
    return f"<module {name}>" if type(name) is str else "<module>"


def read_running(kind: str) -> Callable[[Any], str]:
    return lambda value: f"<{kind} {value.__qualname__}>"


def read_path(value: Any) -> str:
    """A path from a text of the application's own class keeps that text until somebody asks for it (Python 3.12)."""
    for name in ("_raw_paths", "_parts"):
        try:
            kept = getattr(value, name)
        except AttributeError:
            continue
        if any(type(part) is not str for part in (kept if type(kept) is list else [kept])):
            return f"<{type_name(type(value))} object>"
    return str(value)


def read_zone(value: zoneinfo.ZoneInfo) -> str:
    return f"<zoneinfo.ZoneInfo {value.key}>" if type(value.key) is str else "<ZoneInfo>"


def read_slice(value: slice) -> Any:
    parts = [value.start, value.stop, value.step]
    if all(part is None or (type(part) is int and part.bit_length() <= _PARTS) for part in parts):
        return f"slice({', '.join(map(str, parts))})"
    return parts


def read_match(value: re.Match[Any]) -> Pairs:
    """With named groups these alone, so that each is masked by its name; the whole text would show them again."""
    span = list(value.span())
    if not is_one_of(value.string, str, bytes):
        return [("span", span)]
    if value.re.groupindex:
        return [("span", span), ("groups", value.groupdict())]
    return [("span", span), ("match", value.group()), *([("groups", list(value.groups()))] if value.re.groups else [])]


def held(value: Any) -> Any:
    """The one object that a view or a proxy stands for: the collector knows it, without asking the object."""
    found = gc.get_referents(value)
    return found[0] if len(found) == 1 else f"<{type_name(type(value))} object>"


def read_items(value: Any) -> list[tuple[Any, Any]]:
    """The first pairs of a dict's items view."""
    mapping = held(value)
    return list(islice(dict.items(mapping), 100)) if issubclass(type(mapping), dict) else []


def read_data(value: Any) -> Any:
    """What collections.UserDict, UserList and UserString hold."""
    return instance_dict(value).get("data")


def read_partial(value: functools.partial[Any]) -> Pairs:
    return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]


def read_logger(value: Any) -> str:
    name = instance_dict(value).get("name")
    return f"<logger {name}>" if type(name) is str else "<logger>"


def read_sqlite_row(value: Any) -> list[tuple[Any, Any]]:
    return list(zip(value.keys(), tuple(value), strict=False))


def read_file(value: Any) -> Pairs:
    """Name, mode and position of a file, of a text file that of the bytes below it: nothing is read or flushed.

    A file over a stream of the application is not asked.
    """
    mode = instance_dict(value).get("mode")  # a text file's own
    buffer = value.buffer if type(value).__name__ == "TextIOWrapper" else value
    raw = buffer.raw if _is_io(buffer, "BufferedReader", "BufferedWriter", "BufferedRandom") else buffer
    if not _is_io(raw, "FileIO"):
        return []
    shown: Pairs = [("name", instance_dict(raw).get("name")), ("mode", mode if type(mode) is str else raw.mode)]
    if raw.closed:
        return [*shown, ("closed", True)]
    try:
        return [*shown, ("position", buffer.tell())]
    except (OSError, ValueError):
        return shown  # a pipe, a terminal


def _is_io(value: Any, *names: str) -> bool:
    return module_name(type(value)) == "_io" and type(value).__name__ in names


def read_template(value: Any) -> Pairs:
    """A t-string: its texts, and the values between them under their expressions, so that each is masked by it."""
    found = [(part.expression, part.value) for part in value.interpolations]
    return [("strings", value.strings), ("interpolations", found)]


def read_interpolation(value: Any) -> Pairs:
    return [(value.expression if type(value.expression) is str else "value", value.value)]


def read_frozen(value: Any) -> list[tuple[Any, Any]]:
    """The first pairs of Python 3.15's frozendict."""
    return list(islice(type(value).items(value), 100))
