"""The golden heka messages, and how to send them through this client."""

import base64
import datetime
import json
from typing import Any

from heka.client import HekaClient
from heka.message import Field, Message
from heka.streams import DebugCaptureStream
from heka.testing import sent_messages
from support.paths import DATA

GOLDEN = json.loads((DATA / "heka_messages.json").read_text(encoding="utf-8"))
NOW = 1385683200.125  # seconds; what time.time() gave when the golden messages were made


def by_name(part: str) -> dict[str, dict[str, Any]]:
    """The cases of one part of the golden file, by name."""
    return {case["name"]: case for case in GOLDEN[part]}


def from_golden(value: Any) -> Any:
    """A Python value of its form in the golden file. Text that was a Python 2 ``str`` of bytes comes as bytes."""
    if isinstance(value, list):
        return [from_golden(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$repeat" in value:
        text, times = value["$repeat"]
        return text * times
    if "$float" in value:
        return float(value["$float"])
    if set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    kind = value.get("$py2")
    if kind is None:
        return {key: from_golden(item) for key, item in value.items()}
    if kind == "str":
        return base64.b64decode(value["base64"])
    convert = {"unicode": str, "long": int, "float": float, "datetime": datetime.datetime.fromisoformat}[kind]
    return convert(value["repr"] if kind == "float" else value["value"])


def record_bytes(record: dict[str, Any]) -> bytes:
    """The bytes of a golden record."""
    if "framed_hex" in record:
        return bytes.fromhex(record["framed_hex"])
    parts = (
        part if isinstance(part, str) else part["$repeat"][0] * part["$repeat"][1]
        for part in record["framed_hex_parts"]
    )
    return bytes.fromhex("".join(parts))


def golden_client(case: dict[str, Any], **options: Any) -> HekaClient:
    """A client as the one that made the golden *case*, on a DebugCaptureStream."""
    settings = case["client"]
    client = HekaClient(
        DebugCaptureStream(), settings["logger"], settings["severity"], hmc=case["hmac_config"], **options
    )
    client.hostname, client.pid = settings["hostname"], settings["pid"]
    return client


def message_of(content: dict[str, Any]) -> Message:
    """The Message that a golden record says it holds; what is null there stays unset."""
    msg = Message(uuid=bytes.fromhex(content["uuid"]))
    for name in ("timestamp", "type", "logger", "severity", "payload", "env_version", "pid", "hostname"):
        if content[name] is not None:
            setattr(msg, name, from_golden(content[name]))
    for golden in content["fields"]:
        field = msg.fields.add(name=golden["name"])
        if golden["value_type_set"]:
            field.value_type = Field.ValueType.Value(golden["value_type"])
        if golden["representation"] is not None:
            field.representation = golden["representation"]
        getattr(field, f"value_{golden['value_type'].lower()}").extend(from_golden(golden["values"]))
    return msg


def only(client: HekaClient) -> Message:
    """The one message that *client* sent."""
    (msg,) = sent_messages(client)
    return msg
