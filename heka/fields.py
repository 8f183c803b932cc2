"""From the values a program gives to the parts of a Message.

A wrong *type* is a mistake in the program: TypeError or ValueError, naming the argument. Wrong *data* (a lone
surrogate, bytes that are no UTF-8, an integer over 64 bits) can come from any request, so it is mended, never raised.
"""

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from heka.message import Field, Message
from heka.text import as_text, mend_text

MAX_FIELD_DEPTH = 32  # levels of nested dicts; a dict that holds itself ends here
_INT32 = 2**31
_INT64 = 2**63
_STRING, _BYTES, _INTEGER, _DOUBLE, _BOOL = Field.STRING, Field.BYTES, Field.INTEGER, Field.DOUBLE, Field.BOOL


def as_severity(value: object) -> int:
    """*value* as a severity.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it does not fit 32 bits.
    """
    if not isinstance(value, int):
        raise TypeError(f"severity: {value!r} has type {type(value).__name__}, allowed: int, 0 to 7")
    number = int.__index__(value)  # a plain int, also of an enum; runs no code of a subclass
    if not -_INT32 <= number < _INT32:
        raise ValueError(f"severity: {number} is out of range, allowed: 0 to 7")
    return number


def as_timestamp_ns(value: float | datetime.datetime) -> int:
    """Nanoseconds since the epoch of *value*, seconds or a datetime.

    A naive datetime is local time cut to whole seconds, as heka-py 0.30.3 sent it (equal bytes); an aware one is exact.

    Raises:
        ValueError: if it is neither a number nor a datetime, or no time that 64 bits can hold.
    """
    try:
        if isinstance(value, datetime.datetime):
            seconds = time.mktime(value.timetuple()) if value.tzinfo is None else value.timestamp()
            timestamp = round(seconds * 1e6) * 1000
        else:
            timestamp = int((value if isinstance(value, int) else _as_float(value)) * 1000000000)
        if -_INT64 <= timestamp < _INT64:
            return timestamp
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"timestamp: {value!r} is not a time, allowed: seconds since the epoch, datetime")


def _as_float(value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise TypeError  # float() reads numbers in text; a timestamp is no text
    return float(value)


def add_fields(msg: Message, fields: Mapping[str, Any], prefix: str = "", depth: int = 0) -> None:
    """Append *fields* to *msg*, in their order; a nested mapping becomes dotted names, an empty one nothing.

    Raises:
        ValueError: for a value no field can hold; the message names the field.
        TypeError: for a name that is no text.
    """
    add = msg.fields.add
    for key, value in fields.items():
        name = key if key.__class__ is str else as_text("field name", key)
        if prefix:
            name = prefix + name
        write = _WRITERS.get(value.__class__) or _find_writer(name, value)
        if write is None:
            if depth >= MAX_FIELD_DEPTH:
                raise ValueError(f"field {name!r}: nested more than {MAX_FIELD_DEPTH} levels deep")
            add_fields(msg, value, name + ".", depth + 1)
            continue
        field = add()
        try:
            field.name = name
        except ValueError:  # UnicodeError, with protobuf in C
            field.name = mend_text(name)
        field.representation = ""
        write(field, value)


def _write_text(field: Field, value: str) -> None:
    field.value_type = _STRING
    try:
        field.value_string.append(value)
    except ValueError:  # UnicodeError, with protobuf in C
        field.value_string.append(mend_text(value))


def _write_bytes(field: Field, value: bytes | bytearray | memoryview) -> None:
    field.value_type = _BYTES
    field.value_bytes.append(bytes(value))


def _write_integer(field: Field, value: int) -> None:
    number = int.__index__(value)  # a plain int, also of an enum; runs no code of a subclass
    if -_INT64 <= number < _INT64:
        field.value_type = _INTEGER
        field.value_integer.append(number)
        return
    field.value_type = _STRING
    try:
        field.value_string.append(str(number))
    except ValueError:  # Python refuses to print more than 4,300 digits
        field.value_string.append(hex(number))


def _write_double(field: Field, value: float) -> None:
    field.value_type = _DOUBLE
    field.value_double.append(value)


def _write_bool(field: Field, value: bool) -> None:
    field.value_type = _BOOL
    field.value_bool.append(value)


_WRITERS: dict[type, Callable[[Field, Any], None]] = {
    str: _write_text,
    bool: _write_bool,
    int: _write_integer,
    float: _write_double,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    memoryview: _write_bytes,
}


def _find_writer(name: str, value: object) -> Callable[[Field, Any], None] | None:
    """The writer of a value of a subclass; None for a mapping.

    Raises:
        ValueError: if no field can hold *value*.
    """
    if isinstance(value, Mapping):
        return None
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write
    if value is None:
        raise ValueError(f"field {name!r}: None is not allowed for field values. [{name}]")
    raise ValueError(
        f"field {name!r}: unexpected value type {type(value).__name__}, allowed: str, bytes, int, float, bool, dict"
    )
