"""A finished event to the client's stream: straight into the spool, or as a heka message to a router."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heka_raven.capture.classes import is_one_of
from heka_raven.capture.values import Walker
from heka_raven.events.encode import MAX_EVENT_SIZE, EncodeError, decode_raven, encode_event, encode_raven
from heka_raven.events.event import skeleton
from heka_raven.events.version3 import legacy_event
from heka_raven.formats.text import clean, cut
from heka_raven.scope import RequestFacts

if TYPE_CHECKING:
    from heka_raven.formats.dsn import Dsn
    from heka_raven.reporting.reporter import Reporter

ExcInfo = tuple[type[BaseException], BaseException, "types.TracebackType | None"]
Count = Callable[[str], None]
MAX_MSG = 8192  # characters of the field msg
SHRINK_TRIES = 12


@dataclass(slots=True)
class Report:
    """One call: what the caller says of the event. What is None is found out, or left out."""

    msg: str = ""
    exc_info: ExcInfo | None = None
    logger: str | None = None
    severity: int | None = None
    level: Any = None
    tags: Any = None
    extra: Any = None
    user: Any = None
    fingerprint: Any = None
    contexts: Any = None
    mechanism: dict[str, Any] | None = None
    logentry: tuple[Any, Any, Any] | None = None  # template, parameters, text: a message with or without an exception
    breadcrumbs: Any = None
    request: dict[str, Any] | None = None
    culprit: str | None = None
    transaction: str | None = None
    stack: types.FrameType | None = None
    timestamp: float | None = None
    sample_rate: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    hint: dict[str, Any] = field(default_factory=dict)


def hand_over(
    reporter: Reporter,
    client: Any,
    report: Report,
    event: dict[str, Any],
    facts: RequestFacts | None,
    count: Count,
) -> bool:
    """Encode *event* within its limits and give it to the stream of *client*.

    Returns:
        Whether the stream took it; if not, it is counted.
    """
    options = reporter.options
    dsn = _dsn_of(reporter)
    severity, logger = _severity_and_logger(reporter, report)
    program = os.path.basename((sys.argv or [""])[0])

    def in_protocol(found: dict[str, Any]) -> dict[str, Any]:
        return found if options.protocol == 7 else legacy_event(found, dsn.project, logger, severity, program)

    try:
        final = in_protocol(event)
        data = encode_event(final)
    except Exception as error:
        # It does not fit, or a before_send gave it a shape of its own.
        reporter.tell_bare("it cannot be encoded", error)
        count("scrub_failed")
        final = in_protocol(skeleton(event, "encoding failed"))
        data = encode_event(final)
    write_event = getattr(client.stream, "write_event", None)
    if write_event is not None:
        if client.filters and not client.passes_filters(_message(client, logger, severity)):
            count("discarded.event_processor")
            return False
        if options.protocol == 3:
            return bool(write_event(event["event_id"], dsn.with_secret(), encode_raven(final), "raven"))
        return bool(write_event(event["event_id"], dsn.with_secret(), data, "event"))
    kind = "raven" if options.protocol == 3 else options.payload or "raven"
    return bool(
        client.heka(
            "sentry",
            logger=logger,
            severity=severity,
            payload=(encode_raven(final) if kind == "raven" else data).decode("utf-8"),
            fields=_fields(reporter, report, event, facts),
            shrink=_shrinker(final, kind, len(data)),
        )
    )


def send_payload(reporter: Reporter, client: Any, payload: str | bytes, report: Report, count: Count) -> str | None:
    """Give a payload that somebody else made to the stream, as it is.

    Returns:
        The event id, the payload's own if it has one; ``None`` when the stream did not take it.
    """
    severity, logger = _severity_and_logger(reporter, report)
    item, data = "event", payload.encode("utf-8") if isinstance(payload, str) else bytes(payload)
    event: Any = None
    try:
        if data.lstrip()[:1] == b"{":
            event = json.loads(data)
        else:
            event = decode_raven(data)
            item = "raven"
    except ValueError:
        event = {}
    event_id = event.get("event_id")
    if not isinstance(event_id, str) or len(event_id) != 32:
        event_id = os.urandom(16).hex()
    write_event = getattr(client.stream, "write_event", None)
    if write_event is not None:
        if not event:
            text = "a payload was refused: the spool takes events, as JSON or as a raven payload"
            reporter.troubles.tell("payload", logging.WARNING, text)
            count("discarded.internal_sdk_error")
            return None
        return event_id if write_event(event_id, _dsn_of(reporter).with_secret(), data, item) else None
    fields = _fields(reporter, report, {"event_id": event_id, "culprit": event.get("culprit")}, None)
    sent = client.heka("sentry", logger=logger, severity=severity, payload=data.decode("utf-8"), fields=fields)
    return event_id if sent else None


def _dsn_of(reporter: Reporter) -> Dsn:
    dsn = reporter.options.dsn
    assert dsn is not None  # noqa: S101 - Reporter.report() looked
    return dsn


def _severity_and_logger(reporter: Reporter, report: Report) -> tuple[int, str | None]:
    options = reporter.options
    logger = report.logger or options.logger
    return (
        options.severity if report.severity is None else report.severity,
        logger and reporter.scrubber.clean_text(logger),
    )


def _fields(reporter: Reporter, report: Report, event: Mapping[str, Any], facts: RequestFacts | None) -> dict[str, Any]:
    """The fields of the heka message, scrubbed: a router may match on them, and log them."""
    dsn = _dsn_of(reporter)
    walker = Walker(time.thread_time, reporter.scrubber)
    own = walker.show_names((name, value) for name, value in report.fields.items() if name not in _OWN_FIELDS)
    fields: dict[str, Any] = {
        "msg": reporter.scrubber.clean_text(cut(clean(report.msg), MAX_MSG)),
        "dsn": dsn.with_secret() if reporter.options.send_secret else dsn.without_secret(),
    }
    for name, value in own.items():
        fields[name] = value if is_one_of(value, *_FIELD_TYPES) else repr(value)
    fields["event_id"] = event["event_id"]
    fields["culprit"] = event.get("culprit") or ""
    if facts is not None:
        known = {name: value for name, value in facts.fields.items() if is_one_of(value, *_FIELD_TYPES)}
        fields.update(reporter.scrubber.scrub_tree(known))
    return fields


_FIELD_TYPES = (str, int, float, bool)
_OWN_FIELDS = frozenset({"msg", "dsn", "event_id", "culprit"})


def _message(client: Any, logger: str | None, severity: int) -> Any:
    """A message as the filters of *client* see it; nothing of it is encoded."""
    from heka.message import Message

    message = Message()
    message.type = "sentry"
    message.severity = severity
    message.logger = client.logger if logger is None else logger
    return message


def _shrinker(event: dict[str, Any], kind: str, size: int) -> Callable[[int], str | None]:
    """A function that encodes *event* anew within a number of payload bytes."""

    def shrink(room: int) -> str | None:
        limit = min(size, MAX_EVENT_SIZE)
        try:
            if kind == "json":
                return encode_event(event, room).decode("utf-8")
            # What compresses to `room` is found by trying: the ratio differs from event to event.
            payload = encode_raven(event)
            for _ in range(SHRINK_TRIES):
                if len(payload) <= room:
                    return payload.decode("ascii")
                limit = int(limit * min(0.9, room / len(payload)))
                encode_event(event, max(limit, 1))
                payload = encode_raven(event)
        except EncodeError:
            return None
        return payload.decode("ascii") if len(payload) <= room else None

    return shrink
