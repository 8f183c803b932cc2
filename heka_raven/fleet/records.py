"""From a Heka message of type sentry, or an envelope from a broker, to an event for the spool.

Pure. Whatever comes from the network is judged here, within limits: a payload is unpacked to MAX_EVENT_SIZE and no
further, so that a zlib bomb costs what a large event costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from heka.message import Field, Message
from heka_raven.fleet.allow import AllowList
from heka_raven.formats.dsn import Dsn, DsnError
from heka_raven.formats.envelope import EnvelopeError, parse_envelope
from heka_raven.formats.raven_payload import TooLarge, UnpackError, encode_raven, unpack_raven

EVENT_TYPE = "sentry"  # the Heka message type of an error event
MAX_EVENT_SIZE = 1024 * 1024  # bytes of unpacked JSON; Sentry refuses more with 413
MAX_ENVELOPE_SIZE = 2 * MAX_EVENT_SIZE  # bytes; an event with its headers, or its v3 blob, is under that
LEGACY = ("event", "raven")
V3_PREFIX = "sentry.interfaces."  # the flat keys of Sentry's protocol 2 and 3
HK_TAKEN = {
    "api",
    "debug",
    "timeout_s",
}  # of an envelope from the broker; how its server is reached is for the relay's host to decide

_EVENT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Refused(Exception):
    """A message that no event comes of; ``counter`` says where it is counted."""

    def __init__(self, counter: str, why: str) -> None:
        super().__init__(why)
        self.counter = counter


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event for the spool."""

    event_id: str
    dsn: Dsn
    item_type: str  # event (JSON) or raven (v3 blob)
    payload: bytes
    hk: Mapping[str, Any] | None = None


def read_message(message: Message, allowed: AllowList, legacy: str = "event") -> Incoming:
    """The event in a message of type ``sentry``.

    Args:
        legacy: what becomes of an event of protocol 3: ``event`` is its JSON in an envelope, which servers of today
            take; ``raven`` is the blob as it came, to ``/store/``. To a ``udp://`` server it always goes as the blob.

    Raises:
        Refused: with the counter and the reason.
    """
    dsn = _allowed(allowed, _dsn_text(message))
    packed = message.payload.strip().encode("utf-8")
    unpacked = packed if packed[:1] == b"{" else unpack(packed)
    event = _parse_event(unpacked)
    event_id = _event_id(event.get("event_id")) or message.uuid.hex()
    is_v3 = any(key.startswith(V3_PREFIX) for key in event)
    if is_v3 and (legacy == "raven" or dsn.scheme == "udp"):
        blob = packed if packed is not unpacked else encode_raven(unpacked)
        return Incoming(event_id, dsn, "raven", blob)
    return Incoming(event_id, dsn, "event", unpacked)


def read_envelope(data: bytes, allowed: AllowList) -> Incoming:
    """The event in a spool envelope that came over a broker.

    Raises:
        Refused: with the counter and the reason.
    """
    if len(data) > MAX_ENVELOPE_SIZE:
        raise Refused("refused.envelope", f"{len(data)} bytes, at most {MAX_ENVELOPE_SIZE} are taken")
    try:
        header, items = parse_envelope(data)
    except EnvelopeError as error:
        raise Refused("refused.envelope", str(error)) from None
    event_id = _event_id(header.get("event_id"))
    item = next((item for item in items if item.type in ("event", "raven")), None)
    dsn_text = header.get("dsn")
    if event_id is None or item is None or not isinstance(dsn_text, str):
        raise Refused("refused.envelope", "it needs an event_id, a dsn, and an item of type event or raven")
    dsn = _allowed(allowed, dsn_text)
    _parse_event(item.payload if item.type == "event" else unpack(item.payload))
    hk = header.get("hk")
    kept = {key: value for key, value in hk.items() if key in HK_TAKEN} if isinstance(hk, dict) else None
    return Incoming(event_id, dsn, item.type, item.payload, kept or None)


def unpack(blob: bytes) -> bytes:
    """The JSON in a raven payload, base64 of zlib; at most MAX_EVENT_SIZE bytes are ever unpacked.

    Raises:
        Refused: when it is none, is cut off, or is larger.
    """
    try:
        return unpack_raven(blob, MAX_EVENT_SIZE, strict=True)
    except TooLarge:
        raise Refused("refused.too_large", f"it unpacks to more than {MAX_EVENT_SIZE} bytes") from None
    except UnpackError as error:
        raise Refused("refused.payload", f"neither JSON nor base64 of zlib: {error}") from None


def _dsn_text(message: Message) -> str:
    for field in message.fields:
        if field.name == "dsn" and field.value_type == Field.STRING and field.value_string:
            return str(field.value_string[0])
    raise Refused("refused.dsn", "it has no field dsn")


def _allowed(allowed: AllowList, text: str) -> Dsn:
    try:
        dsn = allowed.resolve(text)
    except DsnError as error:
        raise Refused("refused.dsn", str(error)) from None
    if dsn is None:
        raise Refused("refused.dsn", "its server and project are not on the allow-list (--dsn)")
    return dsn


def _parse_event(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_EVENT_SIZE:
        raise Refused("refused.too_large", f"{len(data)} bytes, at most {MAX_EVENT_SIZE} are taken")
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        raise Refused("refused.payload", "the payload holds no JSON object")
    return event


def _event_id(value: object) -> str | None:
    text = value.replace("-", "").lower() if isinstance(value, str) and len(value) <= 36 else ""
    return text if _EVENT_ID.fullmatch(text) else None
