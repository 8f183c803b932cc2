"""A finished event to the client's stream: straight into the spool, or as a heka message to a router."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from heka.limited_log import SparseLog
from heka_raven.capture.classes import is_one_of
from heka_raven.capture.values import Walker
from heka_raven.events.encode import MAX_EVENT_SIZE, EncodeError, encode_event, encode_json
from heka_raven.events.event import skeleton
from heka_raven.events.limits import fit_event
from heka_raven.events.version3 import legacy_event
from heka_raven.formats.dsn import Dsn
from heka_raven.formats.raven_payload import decode_raven, encode_raven
from heka_raven.formats.text import clean, cut
from heka_raven.reporting.options import PluginOptions
from heka_raven.reporting.report import Count, Report
from heka_raven.scope import RequestFacts
from heka_raven.scrub.scrubber import Scrubber

MAX_MSG = 8192  # characters of the field msg
SHRINK_TRIES = 12

_FIELD_TYPES = (str, int, float, bool)
_OWN_FIELDS = frozenset({"msg", "dsn", "event_id", "culprit"})


def tell_bare(log: SparseLog, why: str, error: BaseException, *, exc_info: bool = False) -> None:
    """Log that an event goes out without values, and what went wrong."""
    text = "an event goes out without values: %s (%s)"
    log.tell(why, logging.WARNING, text, why, type(error).__name__, exc_info=exc_info)


class Handover:
    """The end of an event's way through one client's plugin.

    Args:
        options: with a dsn: who reports has looked.
        scrubber: for what goes beside the event: the fields of a heka message.
        log: told when an event has to go without its values.
    """

    def __init__(self, options: PluginOptions, scrubber: Scrubber, log: SparseLog) -> None:
        self._options = options
        self._scrubber = scrubber
        self._log = log

    def hand_over(
        self,
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
        options, dsn = self._options, self._dsn
        severity, logger = self._severity_and_logger(report)
        program = os.path.basename((sys.argv or [""])[0])

        def in_protocol(found: dict[str, Any]) -> dict[str, Any]:
            if options.protocol != 7:
                return legacy_event(found, dsn.project, logger, severity, program)
            fit_event(found)
            return found

        try:
            final = in_protocol(event)
            data = encode_event(final)
        except Exception as error:
            # It does not fit, or a before_send gave it a shape of its own.
            tell_bare(self._log, "it cannot be encoded", error)
            count("scrub_failed")
            final = in_protocol(skeleton(event, "encoding failed"))
            data = encode_event(final)
        write_event = getattr(client.stream, "write_event", None)
        if write_event is not None:
            if client.filters and not client.passes_filters(_message(client, logger, severity)):
                count("discarded.event_processor")
                return False
            if options.protocol == 3:
                return bool(write_event(event["event_id"], dsn.with_secret(), encode_raven(data), "raven"))
            return bool(write_event(event["event_id"], dsn.with_secret(), data, "event"))
        kind = "raven" if options.protocol == 3 else options.payload or "raven"
        return bool(
            client.heka(
                "sentry",
                logger=logger,
                severity=severity,
                payload=(encode_raven(data) if kind == "raven" else data).decode("utf-8"),
                fields=self._fields(report, event, facts),
                shrink=_shrinker(final, kind, len(data)),
            )
        )

    def send_payload(self, client: Any, payload: str | bytes, report: Report, count: Count) -> str | None:
        """Give a payload that somebody else made to the stream, as it is.

        Returns:
            The event id, the payload's own if it has one; ``None`` when the stream did not take it.
        """
        severity, logger = self._severity_and_logger(report)
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
                self._log.tell("payload", logging.WARNING, text)
                count("discarded.internal_sdk_error")
                return None
            return event_id if write_event(event_id, self._dsn.with_secret(), data, item) else None
        fields = self._fields(report, {"event_id": event_id, "culprit": event.get("culprit")}, None)
        sent = client.heka("sentry", logger=logger, severity=severity, payload=data.decode("utf-8"), fields=fields)
        return event_id if sent else None

    @property
    def _dsn(self) -> Dsn:
        dsn = self._options.dsn
        assert dsn is not None  # noqa: S101 - Reporter.report() looked
        return dsn

    def _severity_and_logger(self, report: Report) -> tuple[int, str | None]:
        options = self._options
        logger = report.logger or options.logger
        return (
            options.severity if report.severity is None else report.severity,
            logger and self._scrubber.clean_text(logger),
        )

    def _fields(self, report: Report, event: Mapping[str, Any], facts: RequestFacts | None) -> dict[str, Any]:
        """The fields of the heka message, scrubbed: a router may match on them, and log them."""
        dsn = self._dsn
        walker = Walker(time.thread_time, self._scrubber)
        own = walker.show_names((name, value) for name, value in report.fields.items() if name not in _OWN_FIELDS)
        fields: dict[str, Any] = {
            "msg": self._scrubber.clean_text(cut(clean(report.msg), MAX_MSG)),
            "dsn": dsn.with_secret() if self._options.send_secret else dsn.without_secret(),
        }
        for name, value in own.items():
            fields[name] = value if is_one_of(value, *_FIELD_TYPES) else repr(value)
        fields["event_id"] = event["event_id"]
        fields["culprit"] = event.get("culprit") or ""
        if facts is not None:
            known = {name: value for name, value in facts.fields.items() if is_one_of(value, *_FIELD_TYPES)}
            fields.update(self._scrubber.scrub_tree(known))
        return fields


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
            payload = encode_raven(encode_json(event))
            for _ in range(SHRINK_TRIES):
                if len(payload) <= room:
                    return payload.decode("ascii")
                limit = int(limit * min(0.9, room / len(payload)))
                encode_event(event, max(limit, 1))
                payload = encode_raven(encode_json(event))
        except EncodeError:
            return None
        return payload.decode("ascii") if len(payload) <= room else None

    return shrink
