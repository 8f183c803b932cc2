"""The message types of the wire, their limits, and how to read one field. Pure."""

from typing import Any

from heka.message_pb2 import Field, Header, Message

__all__ = [
    "MAX_HEADER_SIZE",
    "MAX_MESSAGE_SIZE",
    "RECORD_SEPARATOR",
    "UNIT_SEPARATOR",
    "UUID_SIZE",
    "Field",
    "Header",
    "InvalidMessage",
    "Message",
    "field_values",
    "first_value",
]

MAX_HEADER_SIZE = 255  # bytes; the length of the header is one byte of the record
MAX_MESSAGE_SIZE = 64 * 1024  # bytes; hekad refuses a bigger Message
RECORD_SEPARATOR = 0x1E
UNIT_SEPARATOR = 0x1F
UUID_SIZE = 16  # bytes

_VALUES_OF_TYPE = {
    Field.STRING: "value_string",
    Field.BYTES: "value_bytes",
    Field.INTEGER: "value_integer",
    Field.DOUBLE: "value_double",
    Field.BOOL: "value_bool",
}


class InvalidMessage(Exception):
    """A message or a record that breaks a rule of the wire format."""


def field_values(field: Field) -> list[Any]:
    """The values of *field*, of whichever type it declares."""
    return list(getattr(field, _VALUES_OF_TYPE[field.value_type]))


def first_value(msg: Message, name: str) -> Any:
    """The first value of the first field called *name*; None if there is no such field or it is empty."""
    for field in msg.fields:
        if field.name == name:
            values = field_values(field)
            return values[0] if values else None
    return None
