"""The way of one event: captured, scrubbed, encoded, handed over.

The edge of the pure modules around it: the only one of them that tells the time, makes ids and throws dice.
"""

# Rule 1: nothing raises out of report(): the app's own exception is what the app must see.
# Rule 2: an event that was begun ends in exactly one place of the stream's ledger.
# Rule 3: scrubbing fails closed: what could not be scrubbed goes out as the skeleton.

from __future__ import annotations

import logging
import os
import platform
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, TypeVar

import orjson

from heka.limited_log import SparseLog
from heka_raven import __version__
from heka_raven.capture.classes import bare_name, module_name, mro_of, plain_dict, type_name
from heka_raven.capture.exceptions import Capturer, exception_tree
from heka_raven.capture.sensitive import hide_form
from heka_raven.capture.values import Walker
from heka_raven.events.encode import encode_json
from heka_raven.events.event import build_event, level_name, skeleton, timestamp_text
from heka_raven.events.given import add_given
from heka_raven.events.logentry import logentry_of
from heka_raven.reporting.app_code import AppCode
from heka_raven.reporting.dedupe import NOT_SENT, PASSED, mark_reported, reported_as
from heka_raven.reporting.handover import Handover, tell_bare
from heka_raven.reporting.held import Held
from heka_raven.reporting.options import PluginOptions
from heka_raven.reporting.report import (
    Count,
    ExcInfo,
    Report,
    begin_reporting,
    fingerprint_of,
    has_room,
    is_reporting,
)
from heka_raven.reporting.source import SourceReader, installed_modules
from heka_raven.scope import EVENT_ID_KEY, RequestFacts, breadcrumbs, current_environ, describe_current
from heka_raven.scrub.scrubber import Scrubber

T = TypeVar("T")

LOCK_WAIT_S = 0.05
LOCALS_BUDGET_S = 0.015
REST_BUDGET_S = 0.005  # for what else an event shows of values: request, extra, user, breadcrumbs


class Reporter:
    """Everything that reports of one client share."""

    def __init__(self, options: PluginOptions, app_code: AppCode | None = None) -> None:
        self.options = options
        self.scrubber = Scrubber(options.scrub_keys, options.scrub_allow, send_pii=options.send_pii)
        self.app_code = app_code or AppCode(options.in_app_include, options.in_app_exclude)
        self.is_library = self.app_code.is_library
        self.capturer = Capturer(SourceReader(), self.app_code.in_app, self.scrubber.clean_source)
        self.static: dict[str, Any] = {
            "platform": "python",
            "server_name": options.server_name or socket.gethostname(),
            "sdk": {"name": "heka-raven", "version": __version__},
            "contexts": {
                "runtime": {"name": platform.python_implementation(), "version": platform.python_version()},
            },
            "modules": {**installed_modules(), "heka-raven": __version__},
        }
        for name in ("release", "environment"):
            if getattr(options, name):
                self.static[name] = getattr(options, name)
        if options.tags:
            self.static["tags"] = options.tags
        self.troubles = SparseLog()
        self._handover = Handover(options, self.scrubber, self.troubles)
        self._told_no_dsn = False
        self._throttle_lock = threading.Lock()

    def add_application(self, app: Any, caller: FrameType | None = None) -> None:
        """Count the code of the application *app*, or of who called, as the application's own."""
        if self.app_code.add_application(app, caller):
            self.capturer.forget()

    # -- the front door ------------------------------------------------------------------------------------------

    def report(self, client: Any, report: Report) -> str | None:
        """Report; never raises.

        Returns:
            The event id, or ``None`` when nothing was sent.
        """
        return self._guarded(client, report, self._report)

    def hold(self, client: Any, report: Report) -> Held | None:
        """Make the event now, while all is as it failed; the caller says later whether it goes out. Never raises.

        Returns:
            ``None`` when there is nothing to send.
        """
        return self._guarded(client, report, self._hold)

    def _guarded(self, client: Any, report: Report, work: Callable[[Any, Report, Count], T | None]) -> T | None:
        if is_reporting() or not has_room(report.exc_info):
            return None  # something that runs inside a report (a before_send) fails or logs: no report about reports
        busy = begin_reporting()
        count = _counter(client)
        try:
            if self.options.dsn is None:
                self._tell_no_dsn()
                return None
            count("captured")
            return work(client, report, count)
        except Exception as error:
            self._count_lost(count, error)
            self._mark_lost(report.exc_info)
            return None
        except BaseException:
            count("discarded.internal_sdk_error")  # a signal's handler ends the program, or a timer the request
            raise
        finally:
            busy[0] = False

    def report_made(self, client: Any, event: dict[str, Any], report: Report) -> str | None:
        """Report an *event* that another room made, unscrubbed: sampled, throttled and filtered as every other.

        Args:
            report: its logger and level; ``msg`` is what the throttle knows it by.
        """

        def send(client: Any, report: Report, count: Count) -> str | None:
            reason, _ = self._admit(report)
            if reason is not None:
                count(f"discarded.{reason}")
                return None
            final, word = self._ask_before_send(self.scrubbed(event), report)
            if word is None:
                count("discarded.before_send")
                return None
            if word == "skeleton":
                count("scrub_failed")
            return final["event_id"] if self._handover.hand_over(client, report, final, None, count) else None

        return self._guarded(client, report, send)

    def send_payload(self, client: Any, payload: str | bytes, report: Report) -> str | None:
        """Send *payload* as it is: somebody else made the event."""
        count = _counter(client)
        try:
            if self.options.dsn is None:
                self._tell_no_dsn()
                return None
            count("captured")
            return self._handover.send_payload(client, payload, report, count)
        except Exception as error:
            self._count_lost(count, error)
            return None

    def _count_lost(self, count: Count, error: Exception) -> None:
        count("discarded.internal_sdk_error")
        # In too deep a recursion there is no room to log; a layer further up reports the error.
        if not isinstance(error, RecursionError):
            text = "an event was lost: %s in the reporter"
            self.troubles.tell("lost", logging.WARNING, text, type(error).__name__, exc_info=True)

    def _tell_no_dsn(self) -> None:
        if not self._told_no_dsn:
            self._told_no_dsn = True
            self.troubles.tell("dsn", logging.WARNING, "the raven plugin has no dsn: nothing is reported")

    # -- one event -----------------------------------------------------------------------------------------------

    def _report(self, client: Any, report: Report, count: Count) -> str | None:
        made = self._make(client, report, count)
        if made is None:
            return None
        event_id: str = made[0]["event_id"]
        if not self._handover.hand_over(client, report, *made, count):
            self._mark(report.exc_info, PASSED + event_id, current_environ())
            return None
        self._tell(report, event_id)
        return event_id

    def _hold(self, client: Any, report: Report, count: Count) -> Held | None:
        made = self._make(client, report, count)
        if made is None:
            return None
        self._tell(report, made[0]["event_id"])
        report.exc_info, report.hint = None, {}  # its frames hold the request, which holds what is held
        return Held(partial(self._handover.hand_over, client, report), *made, count)

    def _tell(self, report: Report, event_id: str) -> None:
        """Other layers are told of the event by the exception's mark, pages by the environ."""
        environ = current_environ()
        self._mark(report.exc_info, event_id, environ)
        if environ is not None:
            environ[EVENT_ID_KEY] = event_id

    def _make(self, client: Any, report: Report, count: Count) -> tuple[dict[str, Any], RequestFacts | None] | None:
        """The finished event, and what is known of the request; or None, counted, when there is nothing to send."""
        environ = current_environ()
        event_id = report.event_id or os.urandom(16).hex()
        exc_info = report.exc_info
        if exc_info is not None and (known := reported_as(exc_info[1], exc_info[2], environ)) is not None:
            count("discarded.event_processor")
            if environ is not None and not known.startswith(NOT_SENT):
                environ[EVENT_ID_KEY] = known  # whatever was reported meanwhile: this is the error on its way
            return None
        reason, held_back = self._admit(report)
        if reason is not None:
            count(f"discarded.{reason}")
            # Another client may ignore other classes.
            self._mark(exc_info, (PASSED if reason == "event_processor" else NOT_SENT) + event_id, environ)
            return None
        facts = describe_current()
        event, final = self._build(client, report, event_id, environ, facts, held_back)
        if final is None:
            event, final = self._finish(event, report)
        if final is None:
            count("discarded.before_send")
            self._mark(exc_info, NOT_SENT + event_id, environ)
            return None
        if final == "skeleton":
            count("scrub_failed")
        return event, facts

    def _mark(self, exc_info: ExcInfo | None, event_id: str, environ: dict[str, Any] | None) -> None:
        if exc_info is not None:
            mark_reported(exc_info[1], exc_info[2], event_id, environ)

    def _mark_lost(self, exc_info: ExcInfo | None) -> None:
        try:
            self._mark(exc_info, PASSED + os.urandom(16).hex(), current_environ())
        except Exception:
            pass  # in too deep a recursion; a layer further up has it

    # -- whether ---------------------------------------------------------------------------------------------------

    def _admit(self, report: Report) -> tuple[str | None, int]:
        """Why there is to be no event of *report* (a name of the ledger's), and how many like it were held back."""
        options = self.options
        if report.exc_info is not None and self._ignored(report.exc_info[0]):
            return "event_processor", 0
        rate = options.sample_rate if report.sample_rate is None else report.sample_rate
        if rate < 1 and random.random() >= rate:  # noqa: S311 - a sample, not a secret
            return "sample_rate", 0
        if options.max_per_fingerprint is None:
            return None, 0
        # A fork while another thread holds the lock must not stop the child's requests: wait, but not for ever.
        locked = self._throttle_lock.acquire(timeout=LOCK_WAIT_S)
        try:
            admission = options.max_per_fingerprint.admit(fingerprint_of(report), time.monotonic())
        finally:
            if locked:
                self._throttle_lock.release()
        return None if admission.allowed else "throttled", admission.held_back

    def _ignored(self, cls: type) -> bool:
        if not self.options.ignore:
            return False
        names = set()
        for base in mro_of(cls):
            names |= {bare_name(base), type_name(base), f"{module_name(base)}.{bare_name(base)}"}
        return any(
            name in names or (name.endswith("*") and any(n.startswith(name[:-1]) for n in names))
            for name in self.options.ignore
        )

    # -- what ------------------------------------------------------------------------------------------------------

    def _build(
        self,
        client: Any,
        report: Report,
        event_id: str,
        environ: dict[str, Any] | None,
        facts: RequestFacts | None,
        held_back: int,
    ) -> tuple[dict[str, Any], str | None]:
        """The unscrubbed event; or a skeleton, and the word for it, when it could not be captured."""
        options = self.options
        severity = options.severity if report.severity is None else report.severity
        now = time.time() if report.timestamp is None else report.timestamp
        try:
            # Local variables have a budget of their own: the request is shown however many there are.
            walker, rest = self._walker(LOCALS_BUDGET_S), self._walker(LOCALS_BUDGET_S + REST_BUDGET_S)
            exceptions = None
            if report.exc_info is not None:
                mechanism = _mechanism(report.mechanism)
                exceptions = self.capturer.exceptions(report.exc_info[1], report.exc_info[2], walker, mechanism)
            if request := plain_dict(report.request):
                facts = facts or RequestFacts()
                facts.request = request
            event = build_event(
                event_id=event_id,
                now=now,
                level=level_name(report.level, severity),
                logger=report.logger or options.logger or getattr(client, "logger", "") or "",
                static=self.static,
                walker=rest,
                exceptions=exceptions,
                logentry=logentry_of(*report.logentry, rest) if report.logentry is not None else None,
                facts=facts,
                tags=report.tags,
                extra=self._extra(report, held_back),
                user=report.user,
                fingerprint=report.fingerprint,
                contexts=report.contexts,
                breadcrumbs=report.breadcrumbs or (breadcrumbs(environ) if environ is not None else None),
                culprit=report.culprit,
                transaction=report.transaction,
            )
            if "uwsgi" in sys.modules:
                _add_worker(event["contexts"])
            if walker.hidden_fields:
                hide_form(event, walker.hidden_fields, self.scrubber.mask)
            if report.stack is not None:
                event["stacktrace"] = {"frames": self.capturer.stack(report.stack, walker)}
            if report.given:
                add_given(event, report.given, rest)
            return event, None
        except RecursionError:
            raise
        except Exception as error:
            tell_bare(self.troubles, "capture failed", error, exc_info=True)
            bare: dict[str, Any] = {"event_id": event_id, "timestamp": timestamp_text(now)}
            bare.update(self.static, level=level_name(None, severity))
            if report.exc_info is not None:
                bare["exception"] = {"values": _bare_exceptions(report.exc_info)}
            return skeleton(bare, "capture failed"), "skeleton"

    def _walker(self, budget_s: float) -> Walker:
        options = self.options
        call_repr = options.locals == "repr"
        return Walker(
            time.perf_counter if call_repr else time.thread_time,
            self.scrubber,
            legacy=options.protocol == 3,
            call_repr=call_repr,
            is_library=self.is_library,
            show_locals=options.locals != "off",
            budget_s=budget_s,
        )

    def _extra(self, report: Report, held_back: int) -> dict[str, Any]:
        extra = dict(report.fields) if self.options.protocol == 7 else {}
        extra.update(plain_dict(report.extra))
        if report.msg or self.options.protocol == 3:
            extra["msg"] = report.msg
        if held_back:
            extra["held_back"] = held_back
        return extra

    def _finish(self, event: dict[str, Any], report: Report) -> tuple[dict[str, Any], str | None]:
        """Scrub, then ask before_send. The word is ``whole``, ``skeleton``, or ``None``: dropped by before_send."""
        try:
            self.scrubber.scrub_event(event)
        except Exception as error:
            tell_bare(self.troubles, "scrubbing failed", error)
            return skeleton(event, "scrubbing failed"), "skeleton"
        return self._ask_before_send(event, report)

    def _ask_before_send(self, event: dict[str, Any], report: Report) -> tuple[dict[str, Any], str | None]:
        if self.options.before_send is None:
            return event, "whole"
        fallback = skeleton(event, "before_send failed")
        try:
            # A copy: source lines, modules and the runtime are shared with the events to come, values between frames.
            own = orjson.loads(encode_json(event))
            changed = self.options.before_send(own, {"exc_info": report.exc_info, **report.hint})
            if changed is None:
                return event, None
            if not isinstance(changed, dict):
                raise TypeError(f"before_send returned a {type(changed).__name__}")
            encode_json(changed)
        except BaseException as error:
            # Whatever a privacy filter does, the event must not leave without it.
            tell_bare(self.troubles, "before_send failed", error)
            return fallback, "skeleton"
        changed["event_id"] = fallback["event_id"]
        return changed, "whole"

    def scrubbed(self, event: dict[str, Any]) -> dict[str, Any]:
        """A finished event of somebody else's making, scrubbed; its skeleton if that fails."""
        try:
            self.scrubber.scrub_event(event)
            # What the walker masked while it showed it, of an event of ours.
            made = ("exception", "stacktrace", "template", "threads")
            rest = {name: part for name, part in event.items() if name in made or name.startswith("sentry.interfaces.")}
            self.scrubber.scrub_tree(rest)
            event.update(rest)
            return event
        except Exception:
            return skeleton(event, "scrubbing failed")


def _mechanism(given: Any) -> dict[str, Any]:
    """How the exception came to be reported, in Sentry's form."""
    mechanism: dict[str, Any] = {"type": "generic", "handled": True}
    for name, kind in (("type", str), ("handled", bool), ("description", str)):
        value = plain_dict(given).get(name)
        if type(value) is kind:
            mechanism[name] = value
    return mechanism


def _counter(client: Any) -> Count:
    ledger = getattr(getattr(client, "stream", None), "ledger", None)
    add: Count = ledger.add if ledger is not None else _count_nowhere
    return add


def _count_nowhere(name: str) -> None:
    """A stream to a router keeps no ledger: the client counts what it loses."""


def _bare_exceptions(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """Types and places only, for the skeleton of an event that could not be captured."""
    values = []
    for link in exception_tree(exc_info[1], exc_info[2])[:5]:
        frames: list[dict[str, Any]] = []
        traceback = link.traceback
        while traceback is not None and len(frames) < 250:
            code = traceback.tb_frame.f_code
            frames.append({"filename": code.co_filename, "function": code.co_name, "lineno": traceback.tb_lineno or 0})
            traceback = traceback.tb_next
        values.append({"type": bare_name(type(link.exc)), "module": "", "stacktrace": {"frames": frames}})
    values.reverse()
    return values


def _add_worker(contexts: dict[str, Any]) -> None:
    """Which worker of uWSGI this is, so that its errors stand beside what the server says of it."""
    from heka_raven import uwsgi_bridge

    number = uwsgi_bridge.worker_number()
    if number:
        contexts.setdefault("uwsgi", {"worker": number})
