"""The table of library types: how a value of exactly such a type is shown. To teach the package a type, add a row.

A row is found by the name of the type, ``module.Class`` as the class itself says it, and only if that module is
imported and really holds that class: nothing is imported here, and an application's class of the same name is not
taken for it. Subclasses are not found: they may have code of the application.

A reader runs no code of the application: it reads what the library keeps, and looks at a bounded part of it. One that
raises costs its own value, which then stands as ``<module.Class object>``. What it gives is masked and cut as any
value is. Each row has a test: tests/unit/capture/test_readers.py, and for libraries
tests/functional/events/test_libraries.py.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import ipaddress
import pathlib
import re
import types
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import heka_raven.capture.libraries as libraries
import heka_raven.capture.standard as standard
from heka_raven.capture.classes import bare_name, is_heap_type, is_held, module_name

AS_TEXT, AS_FIELDS, AS_VALUE, AS_PAIRS = "text", "fields", "value", "dict"


class Row(NamedTuple):
    """How to show the values of one type: what *read* gives of it, and as what that is shown."""

    kind: str
    read: Callable[[Any], Any]


def text(read: Callable[[Any], str]) -> Row:
    """Shown as the text that *read* gives."""
    return Row(AS_TEXT, read)


def fields(read: Callable[[Any], list[tuple[str, Any]]]) -> Row:
    """Shown as the names and values that *read* gives, beside the name of the type."""
    return Row(AS_FIELDS, read)


def value(read: Callable[[Any], Any]) -> Row:
    """Shown as the value that *read* gives: of a built-in type, or of any that is shown."""
    return Row(AS_VALUE, read)


def pairs(read: Callable[[Any], list[tuple[Any, Any]]]) -> Row:
    """Shown as a dict of the pairs that *read* gives."""
    return Row(AS_PAIRS, read)


# Types that Python itself always has at hand; many of them stand in no module under their name.
BUILT_IN: dict[type, Row] = {
    datetime.datetime: text(standard.read_datetime),
    datetime.time: text(standard.read_time),
    datetime.date: text(standard.read_date),
    datetime.timedelta: text(standard.read_timedelta),
    datetime.timezone: text(str),
    decimal.Decimal: text(standard.read_decimal),
    fractions.Fraction: text(standard.read_fraction),
    complex: text(repr),
    range: text(standard.read_range),
    slice: value(standard.read_slice),
    memoryview: text(lambda value: f"<memoryview of {value.nbytes:,} bytes>"),
    type(...): text(repr),
    type(NotImplemented): text(repr),
    re.Pattern: text(standard.read_pattern),
    re.Match: fields(standard.read_match),
    pathlib.PosixPath: text(standard.read_path),
    pathlib.PurePosixPath: text(standard.read_path),
    pathlib.PureWindowsPath: text(standard.read_path),
    ipaddress.IPv4Address: text(str),
    ipaddress.IPv6Address: text(str),
    ipaddress.IPv4Network: text(str),
    ipaddress.IPv6Network: text(str),
    zoneinfo.ZoneInfo: text(standard.read_zone),
    functools.partial: fields(standard.read_partial),
    type({}.items()): pairs(standard.read_items),
    type(collections.OrderedDict().items()): pairs(standard.read_items),
    types.MappingProxyType: value(standard.held),
    types.FunctionType: text(standard.read_function),
    types.BuiltinFunctionType: text(standard.read_builtin),
    types.MethodType: text(standard.read_method),
    types.ModuleType: text(standard.read_module),
    types.GeneratorType: text(standard.read_running("generator")),
    types.CoroutineType: text(standard.read_running("coroutine")),
    types.AsyncGeneratorType: text(standard.read_running("async generator")),
}

# All others, by name. Where a library gave its type two names in two versions, both stand here.
BY_NAME: dict[str, Row] = {
    # Python
    "_io.BufferedRandom": fields(standard.read_file),
    "_io.BufferedReader": fields(standard.read_file),
    "_io.BufferedWriter": fields(standard.read_file),
    "_io.FileIO": fields(standard.read_file),
    "_io.TextIOWrapper": fields(standard.read_file),
    "builtins.frozendict": pairs(standard.read_frozen),
    "collections.UserDict": value(standard.read_data),
    "collections.UserList": value(standard.read_data),
    "collections.UserString": value(standard.read_data),
    "ipaddress.IPv4Interface": text(str),
    "ipaddress.IPv6Interface": text(str),
    "logging.Logger": text(standard.read_logger),
    "sqlite3.Row": pairs(standard.read_sqlite_row),
    "string.templatelib.Interpolation": fields(standard.read_interpolation),
    "string.templatelib.Template": fields(standard.read_template),
    "uuid.UUID": text(standard.read_uuid),
    # arrow
    "arrow.arrow.Arrow": text(libraries.read_arrow),
    # Django
    "django.db.models.fields.files.FieldFile": value(libraries.read_django_file),
    "django.db.models.fields.files.ImageFieldFile": value(libraries.read_django_file),
    # numpy
    **{
        f"numpy.{name}": value(libraries.read_numpy_scalar)
        for name in (
            "bool", "bool_", "int8", "int16", "int32", "int64", "intc", "longlong", "uint8", "uint16", "uint32",
            "uint64", "uintc", "ulonglong", "float16", "float32", "float64", "longdouble", "complex64", "complex128",
        )
    },
    "numpy.datetime64": text(str),
    "numpy.ndarray": fields(libraries.read_numpy_array),
    "numpy.timedelta64": text(str),
    "numpy.void": value(libraries.read_numpy_record),
    # pandas
    "pandas.DataFrame": fields(libraries.read_frame),
    "pandas.Index": fields(libraries.read_index),
    "pandas.RangeIndex": fields(libraries.read_index),
    "pandas.Series": fields(libraries.read_series),
    "pandas.Timedelta": text(str),
    "pandas.Timestamp": text(libraries.read_timestamp),
    "pandas._libs.missing.NAType": text(str),
    "pandas._libs.tslibs.nattype.NaTType": text(str),
    "pandas._libs.tslibs.timedeltas.Timedelta": text(str),
    "pandas._libs.tslibs.timestamps.Timestamp": text(libraries.read_timestamp),
    "pandas.api.typing.NAType": text(str),
    "pandas.api.typing.NaTType": text(str),
    "pandas.core.frame.DataFrame": fields(libraries.read_frame),
    "pandas.core.indexes.base.Index": fields(libraries.read_index),
    "pandas.core.indexes.range.RangeIndex": fields(libraries.read_index),
    "pandas.core.series.Series": fields(libraries.read_series),
    # pendulum
    "pendulum.date.Date": text(standard.read_date),
    "pendulum.datetime.DateTime": text(standard.read_datetime),
    "pendulum.duration.Duration": text(standard.read_timedelta),
    "pendulum.interval.Interval": text(standard.read_timedelta),
    "pendulum.time.Time": text(standard.read_time),
    # SQLAlchemy
    "sqlalchemy.engine.row.Row": pairs(libraries.read_row),
    "sqlalchemy.engine.row.RowMapping": pairs(libraries.read_row),
}  # fmt: skip

_BUILT_IN = {id(cls): row for cls, row in BUILT_IN.items()}  # by id: a metaclass may define __hash__


def row_of(cls: type) -> Row | None:
    """The row of exactly *cls*, if it has one."""
    row = _BUILT_IN.get(id(cls))
    if row is None:
        row = BY_NAME.get(f"{module_name(cls)}.{bare_name(cls)}")
        # What Python made in C bears its own name, whether its module was imported or not (a t-string's was not).
        if row is not None and is_heap_type(cls) and not is_held(cls):
            return None
    return row


# Types whose repr() shows all that they hold, and holds nothing of the application's but texts and numbers.
_SAFE_REPR = frozenset(
    map(id, (
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal,
        fractions.Fraction, complex, range, pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
        ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network, type(...),
        type(NotImplemented),
    ))
)  # fmt: skip


def has_safe_repr(cls: type) -> bool:
    """Whether repr() of a value of exactly *cls* runs no code of the application, if its row could read the value."""
    return id(cls) in _SAFE_REPR or (module_name(cls) == "uuid" and row_of(cls) is not None)
