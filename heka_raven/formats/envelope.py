"""Sentry envelopes, as they lie in the spool and as they go over the wire.

Pure. An envelope is a header line of JSON, then items: each a header line of JSON and a payload. In the spool the
header carries the DSN with its secret and `hk`, what the sender must know of the event's handler; neither leaves the
host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_ENVELOPE_SIZE = 20 * 1024 * 1024  # bytes; Sentry's own limit for a compressed envelope, far over any event of ours
MAX_HEADER_LINE = 64 * 1024  # bytes; ours are under 2 KiB


class EnvelopeError(ValueError):
    """Bytes that are no envelope; the message says where."""


@dataclass(slots=True)
class Item:
    """One item: its header without ``length``'s authority (the payload has its own), and the payload."""

    headers: dict[str, Any]
    payload: bytes

    @property
    def type(self) -> str:
        found = self.headers.get("type")
        return found if isinstance(found, str) else ""


def encode_item(item_type: str, payload: bytes) -> bytes:
    return b'{"type":%b,"length":%d}\n%b\n' % (orjson.dumps(item_type), len(payload), payload)


def encode_spool_envelope(
    event_id: str, dsn_text: str, item_type: str, payload: bytes, hk: Mapping[str, Any] | None = None
) -> bytes:
    """What a file of the spool holds: one event of type ``event`` (v7 JSON) or ``raven`` (v3 blob).

    Args:
        dsn_text: with its secret, if it has one: the file is 0600 in a directory that is 0700.
        hk: what the sender must know of the event's handler (``no_verify timeout_s debug api``).
    """
    return encode_spool_head(event_id, dsn_text, item_type, len(payload), hk) + payload + b"\n"


def encode_spool_head(
    event_id: str, dsn_text: str, item_type: str, size: int, hk: Mapping[str, Any] | None = None
) -> bytes:
    """The same file's bytes up to the payload of *size* bytes, after which one newline is missing.

    A request writes the two without joining them: a copy of 30 KB costs it as much as all else but the system calls.
    """
    header: dict[str, Any] = {"event_id": event_id, "dsn": dsn_text}
    if hk:
        header["hk"] = dict(hk)
    return b'%b\n{"type":%b,"length":%d}\n' % (orjson.dumps(header), orjson.dumps(item_type), size)


def encode_wire_envelope(event_id: str | None, dsn_public: str, sent_at: str, items: bytes) -> bytes:
    """What a server gets: a new header (``event_id``, DSN without secret, ``sent_at``) before *items* as they are."""
    header: dict[str, Any] = {} if event_id is None else {"event_id": event_id}
    header["dsn"] = dsn_public
    header["sent_at"] = sent_at
    return orjson.dumps(header) + b"\n" + items


def split_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The envelope's header and the offset at which its items begin."""
    end = data.find(b"\n", 0, MAX_HEADER_LINE)
    if end < 0:
        if len(data) > MAX_HEADER_LINE:
            raise EnvelopeError(f"line 1: the header line is longer than {MAX_HEADER_LINE} bytes")
        end = len(data)
    return _object(data[:end], "line 1: the header line"), min(end + 1, len(data))


def parse_items(data: bytes, offset: int = 0) -> list[Item]:
    """The items from *offset* on; an item without ``length`` ends at its line's end, as the specification has it."""
    items: list[Item] = []
    while offset < len(data):
        end = data.find(b"\n", offset)
        if end < 0:
            end = len(data)
        if end == offset:  # empty lines between and after items are allowed
            offset += 1
            continue
        line = data.count(b"\n", 0, offset) + 1
        what = f"line {line}: the header of item {len(items) + 1}"
        headers = _object(data[offset:end], what)
        start = end + 1
        length = headers.get("length")
        if length is None:
            stop = data.find(b"\n", start)
            stop = len(data) if stop < 0 else stop
        elif type(length) is not int or length < 0:
            raise EnvelopeError(f"{what} has a length that is no byte count")
        else:
            stop = start + length
            if stop > len(data) and length:  # an empty one may end with its header
                raise EnvelopeError(f"line {line + 1}: item {len(items) + 1} ends before its length, {length}")
            if stop < len(data) and data[stop] != 0x0A:
                raise EnvelopeError(f"line {line + 1}: item {len(items) + 1} goes on after its length, {length}")
        items.append(Item(headers, data[start:stop]))
        offset = stop + 1
    return items


def parse_envelope(data: bytes) -> tuple[dict[str, Any], list[Item]]:
    """Take an envelope apart.

    Raises:
        EnvelopeError: with the place that is wrong.
    """
    if len(data) > MAX_ENVELOPE_SIZE:
        raise EnvelopeError(f"larger than {MAX_ENVELOPE_SIZE} bytes")
    header, offset = split_header(data)
    return header, parse_items(data, offset)


def _object(line: bytes, what: str) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise EnvelopeError(f"{what} is no JSON") from None
    if not isinstance(found, dict):
        raise EnvelopeError(f"{what} is no JSON object")
    return found
