"""Readers of libraries' types, for the table in readers.py. None of these libraries is imported.

What a library keeps may be of the application's making: an extension array of pandas, an object inside an array. Such
things are only passed on, or their class is looked at first.
"""

from __future__ import annotations

import types
from itertools import islice
from typing import Any

from heka_raven.capture.classes import find_in_class, instance_dict, is_one_of, module_name
from heka_raven.capture.standard import is_trusted_zone, read_datetime

Pairs = list[tuple[str, Any]]

FIRST_ITEMS = 20  # of an array, a series, an index
FIRST_COLUMNS = 20
FIRST_ROWS = 3
MAX_BLOCKS = 50  # arrays of a table that is looked into


# -- numpy -------------------------------------------------------------------------------------------------------------


def read_numpy_scalar(value: Any) -> Any:
    plain = value.item()
    return str(value) if type(plain) is type(value) else plain  # longdouble has no equal in Python


def read_numpy_record(value: Any) -> Any:
    """A record of a structured array by its fields' names."""
    names = value.dtype.names
    return value.item() if names is None else dict(zip(names, value.item(), strict=True))


def read_numpy_array(value: Any) -> Pairs:
    """Its type, its shape and the first items, in C order."""
    return [
        ("dtype", str(value.dtype)),
        ("shape", list(value.shape)),
        ("items", value.flat[:FIRST_ITEMS].tolist() if value.shape else [value.item()]),
    ]


# -- pandas ------------------------------------------------------------------------------------------------------------


def read_timestamp(value: Any) -> str:
    return str(value.isoformat()) if is_trusted_zone(value.tzinfo) else read_datetime(value)


def _is_plain_array(values: Any) -> bool:
    """Whether an array is of numpy or of pandas; an extension array of the application would run its code."""
    return module_name(type(values)).partition(".")[0] in ("numpy", "pandas")


def read_index(value: Any) -> Pairs:
    if not _is_plain_array(value.array):
        return [("length", len(value))]
    return [("dtype", str(value.dtype)), ("length", len(value)), ("items", value[:FIRST_ITEMS].tolist())]


def read_series(value: Any) -> Pairs:
    """Its type, its length and the first items, each beside its label."""
    if not _is_plain_array(value.array) or not _is_plain_array(value.index.array):
        return [("length", len(value))]
    head = value.iloc[:FIRST_ITEMS]
    items = [[label, item] for label, item in zip(head.index.tolist(), head.tolist(), strict=True)]
    return [("name", value.name), ("dtype", str(value.dtype)), ("length", len(value)), ("items", items)]


def read_frame(value: Any) -> Pairs:
    """Its shape, its columns and the first rows, each value under its column, by whose name it may be masked."""
    shape = list(value.shape)
    columns = value.columns[:FIRST_COLUMNS].tolist() if _is_plain_array(value.columns.array) else []
    # pandas has no public way to look at the arrays without making them; with many, any look takes milliseconds.
    blocks = value._mgr.blocks
    if not columns or len(blocks) > MAX_BLOCKS or not all(_is_plain_array(block.values) for block in blocks):
        return [("shape", shape), ("columns", columns)]
    head = value.iloc[:FIRST_ROWS, :FIRST_COLUMNS].astype(object).to_numpy().tolist()
    names = [name if is_one_of(name, str, int) else f"column {place}" for place, name in enumerate(columns)]
    rows = [dict(zip(names, row, strict=True)) for row in head]
    return [("shape", shape), ("columns", columns), ("rows", rows)]


# -- SQLAlchemy --------------------------------------------------------------------------------------------------------


def read_row(value: Any) -> list[tuple[Any, Any]]:
    """A row of a result: what was fetched, by the names of the columns."""
    data, places = _kept(value, "_data"), _kept(value, "_key_to_index")
    found = [(name, place) for name, place in islice(places.items(), 300) if type(name) is str and type(place) is int]
    return [(name, data[place]) for name, place in found]


def _kept(value: Any, name: str) -> Any:
    """What *value* keeps in C under *name*, or in a slot."""
    descriptor = find_in_class(type(value), name)
    if not is_one_of(descriptor, types.GetSetDescriptorType, types.MemberDescriptorType):
        raise AttributeError(name)
    return descriptor.__get__(value)


# -- others ------------------------------------------------------------------------------------------------------------


def read_arrow(value: Any) -> str:
    return read_datetime(instance_dict(value)["_datetime"])


def read_django_file(value: Any) -> Any:
    """The name of a file of a model: the file and its model are left alone."""
    return instance_dict(value).get("name")
