"""For tests of programs that send heka messages: a client that keeps what it sends, and readers of the bytes."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from heka import wire
from heka.client import HekaClient
from heka.fields import add_fields
from heka.message import UUID_SIZE, Header, InvalidMessage, Message, field_values
from heka.streams import DebugCaptureStream

__all__ = [
    "assert_message",
    "capture_client",
    "decode_message",
    "dict_to_msg",
    "fields_of",
    "sent_messages",
]


def capture_client(logger: str = "test", **options: Any) -> HekaClient:
    """A client on a :class:`DebugCaptureStream`; *options* as for :class:`HekaClient`."""
    return HekaClient(DebugCaptureStream(), logger, **options)


def decode_message(data: bytes) -> tuple[Header, Message]:
    """The Header and the Message of one record.

    Raises:
        InvalidMessage: if *data* is no record.
    """
    record = wire.parse_record(data)
    return record.header, record.message


def sent_messages(client: HekaClient) -> list[Message]:
    """What *client* sent to its :class:`DebugCaptureStream`, oldest first; NullEncoder's messages as they are."""
    return [data if isinstance(data, Message) else decode_message(data)[1] for data in client.stream.msgs]


def fields_of(msg: Message) -> dict[str, Any]:
    """The fields of *msg*: a value, or the list of them where a field has not exactly one."""
    found = {}
    for field in msg.fields:
        values = field_values(field)
        found[field.name] = values[0] if len(values) == 1 else values
    return found


def assert_message(msg: Message, *, fields: Mapping[str, Any] | None = None, **expected: Any) -> None:
    """Check attributes of *msg* (``type=``, ``payload=``, …) and that it has these *fields*, others may be there too.

    Raises:
        AssertionError: naming each difference.
    """
    wrong = [
        f"{name}: {getattr(msg, name)!r}, expected {value!r}"
        for name, value in expected.items()
        if getattr(msg, name) != value
    ]
    found = fields_of(msg)
    for name, value in (fields or {}).items():
        if name not in found:
            wrong.append(f"field {name!r} is missing, expected {value!r}")
        elif found[name] != value or type(found[name]) is not type(value):
            wrong.append(f"field {name!r}: {found[name]!r}, expected {value!r}")
    if wrong:
        raise AssertionError("; ".join(wrong))


def dict_to_msg(py_data: Mapping[str, Any]) -> Message:
    """A Message of a dict with ``type logger severity payload env_version heka_pid heka_hostname fields``.

    ``uuid`` and ``timestamp`` (nanoseconds) are made up where they are not given.

    Raises:
        InvalidMessage: if the uuid has not 16 bytes.
    """
    identity = py_data.get("uuid") or uuid.uuid4().bytes
    msg = Message(
        uuid=identity.encode("latin-1") if isinstance(identity, str) else identity,  # Python 2 took its str
        timestamp=py_data.get("timestamp") or time.time_ns(),
        type=py_data["type"],
        logger=py_data["logger"],
        severity=py_data["severity"],
        payload=py_data["payload"],
        env_version=py_data["env_version"],
        pid=py_data["heka_pid"],
        hostname=py_data["heka_hostname"],
    )
    if len(msg.uuid) != UUID_SIZE:
        raise InvalidMessage(f"uuid: {len(msg.uuid)} bytes, allowed: {UUID_SIZE}")
    add_fields(msg, py_data["fields"])
    return msg
