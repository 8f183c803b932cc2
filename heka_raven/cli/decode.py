"""`heka-raven decode`: bytes to lines of JSON, for people and jq.

Heka records are read as they come and survive garbage between them; a raven payload (base64 of zlib of JSON) or an
envelope is read whole. Each gives lines of the same nine keys.
"""

from __future__ import annotations

import base64
import math
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from heka.message import field_values
from heka.wire import Record, RecordReader
from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Parser
from heka_raven.formats.dsn import DsnError, parse_dsn
from heka_raven.formats.envelope import MAX_ENVELOPE_SIZE, EnvelopeError, parse_envelope
from heka_raven.formats.raven_payload import MAX_DECODED_SIZE, TooLarge, UnpackError, unpack_raven

CHUNK = 64 * 1024
SEVERITY_OF_LEVEL = {"fatal": 2, "error": 3, "warning": 4, "info": 6, "debug": 7, 50: 2, 40: 3, 30: 4, 20: 6, 10: 7}
HEKA_MARK = b"\x1e"  # JSON and base64 never hold it raw


class DecodeError(ValueError):
    """Input that is none of the formats; one line for people."""


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven decode",
        description="Heka records, raven payloads (one a line) and envelopes as lines of JSON with the keys uuid "
        "timestamp type logger severity payload pid hostname fields. Exit code 1: the end was cut off, or something "
        "was none of these.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="default: standard input")
    parser.add_argument(
        "--format",
        choices=("auto", "heka", "raven", "envelope"),
        default="auto",
        help="of the input; auto: by what is in it (default: auto)",
    )
    parser.add_argument(
        "--unpack", action="store_true", help="show the event inside the payload of heka records of type sentry"
    )
    arguments = parser.parse_args(argv)
    code = EXIT_OK
    for name in arguments.files or ["-"]:
        try:
            if name == "-" and sys.stdin is None:
                raise DecodeError("it is closed")
            if name == "-":
                _decode(sys.stdin.buffer, arguments.format, arguments.unpack)
            else:
                with open(name, "rb") as file:
                    _decode(file, arguments.format, arguments.unpack)
        except DecodeError as error:
            print(f"heka-raven decode: {'standard input' if name == '-' else name}: {error}", file=sys.stderr)
            code = EXIT_FAILED
        except OSError as error:
            if error.filename is None:  # of the output, not of this file
                raise
            print(f"heka-raven decode: {name}: {error.strerror}", file=sys.stderr)
            code = EXIT_USAGE
    return code


def _decode(file: BinaryIO, kind: str, unpack: bool) -> None:
    head = b""
    while kind == "auto" and HEKA_MARK not in head and len(head) <= MAX_ENVELOPE_SIZE:
        chunk = _read(file)
        if not chunk:
            break
        head += chunk
    if kind == "auto":
        kind = "heka" if HEKA_MARK in head else "envelope" if head.lstrip()[:1] == b"{" else "raven"
    if kind == "heka":
        _decode_heka(file, head, unpack)
        return
    while len(head) <= MAX_ENVELOPE_SIZE and (chunk := _read(file)):
        head += chunk
    if len(head) > MAX_ENVELOPE_SIZE:
        raise DecodeError(f"larger than {MAX_ENVELOPE_SIZE} bytes and no heka record")
    for row in decode_envelope(head) if kind == "envelope" else decode_raven(head):
        _write(row)


def _read(file: BinaryIO) -> bytes:
    """What is there, without waiting for a full chunk: a record is shown when it has arrived."""
    read1 = getattr(file, "read1", file.read)
    data: bytes = read1(CHUNK)
    return data


def _decode_heka(file: BinaryIO, head: bytes, unpack: bool) -> None:
    reader = RecordReader()
    found = 0
    chunk = head or _read(file)
    while chunk:
        for record in reader.feed(chunk):
            found += 1
            _write_record(record, unpack)
        chunk = _read(file)
    pending = reader.pending
    for record in reader.finish():
        found += 1
        _write_record(record, unpack)
    if pending:
        raise DecodeError(
            f"the end is cut off: a record of which only {pending} bytes are there, after {found} whole ones"
        )
    if not found:
        raise DecodeError("no heka record in it")
    if reader.skipped:
        print(f"heka-raven decode: {reader.skipped} bytes between the records were none", file=sys.stderr)


def _write_record(record: Record, unpack: bool) -> None:
    try:
        _write(heka_row(record, unpack))
    except DecodeError:  # the event inside is nested too deeply: the others are to be shown all the same
        _write(heka_row(record))


def heka_row(record: Record, unpack: bool = False) -> dict[str, Any]:
    message = record.message

    def value(name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    payload = value("payload")
    if unpack and payload and message.type == "sentry":
        try:
            payload = unpack_event(payload.encode("utf-8"))
        except DecodeError:
            pass  # a payload that is no event is shown as it is
    fields: dict[str, Any] = {}
    for field in message.fields:
        values = [_plain(item) for item in field_values(field)]
        fields.setdefault(field.name, []).extend(values)
    return {
        "uuid": message.uuid.hex(),
        "timestamp": value("timestamp"),
        "type": value("type"),
        "logger": value("logger"),
        "severity": value("severity"),
        "payload": payload,
        "pid": value("pid"),
        "hostname": value("hostname"),
        "fields": {name: values[0] if len(values) == 1 else values for name, values in fields.items()},
    }


def decode_raven(data: bytes) -> Iterator[dict[str, Any]]:
    """One payload a line."""
    lines = data.split()
    if not lines:
        raise DecodeError("nothing to decode")
    for line in lines:
        yield event_row("raven", unpack_event(line), {})


def decode_envelope(data: bytes) -> Iterator[dict[str, Any]]:
    try:
        header, items = parse_envelope(data)
    except EnvelopeError as error:
        raise DecodeError(f"no envelope: {error}") from None
    fields: dict[str, Any] = {name: header[name] for name in ("event_id", "sent_at", "hk") if name in header}
    hk = fields.get("hk")
    if isinstance(hk, dict) and isinstance(hk.get("proxy"), str) and "@" in hk["proxy"]:
        fields["hk"] = {**hk, "proxy": "…@" + hk["proxy"].rpartition("@")[2]}  # its password, as that of the DSN
    if isinstance(header.get("dsn"), str):
        try:
            fields["dsn"] = parse_dsn(
                header["dsn"]
            ).without_secret()  # a terminal's scrollback is no place for a secret
        except DsnError as error:
            fields["dsn"] = f"({error})"
    for item in items:
        if item.type == "raven":
            payload: Any = unpack_event(item.payload)
        else:
            try:
                payload = orjson.loads(item.payload)
            except orjson.JSONDecodeError:
                payload = item.payload.decode("utf-8", "replace")
        yield event_row(item.type, payload, fields)


def unpack_event(blob: bytes) -> Any:
    """The event in a payload: JSON, or base64 of zlib of JSON."""
    try:
        return orjson.loads(unpack_raven(blob, MAX_DECODED_SIZE))
    except TooLarge:
        raise DecodeError(f"the payload unpacks to more than {MAX_DECODED_SIZE} bytes") from None
    except UnpackError as error:
        raise DecodeError(f"no heka record, no envelope, and no base64 of zlib: {error}") from None
    except orjson.JSONDecodeError:
        raise DecodeError("the payload holds no JSON") from None


def event_row(kind: str, event: Any, fields: dict[str, Any]) -> dict[str, Any]:
    found = event if isinstance(event, dict) else {}
    level = found.get("level")
    return {
        "uuid": found.get("event_id") or fields.get("event_id"),
        "timestamp": found.get("timestamp"),
        "type": kind,
        "logger": found.get("logger"),
        "severity": SEVERITY_OF_LEVEL.get(level) if isinstance(level, (str, int)) else None,
        "payload": event,
        "pid": None,
        "hostname": found.get("server_name"),
        "fields": fields,
    }


def _plain(value: Any) -> Any:
    """A field's value for JSON, which knows no bytes and no infinity."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _write(row: dict[str, Any]) -> None:
    try:
        line = orjson.dumps(row)
    except TypeError:
        raise DecodeError("it is nested too deeply to be shown") from None
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
