"""Errors that a framework answers by itself, and answers of 500 or more that no error explains."""

# Rule 1: the answer decides: under 500 there was no error. So an event is made when the framework tells of the error,
#         while everything is as it failed, and goes out, or does not, when the answer is known.
# Rule 2: one error is one event, and so are an error and the one that was raised while it was handled.
# Rule 3: nothing in here raises.

from __future__ import annotations

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any
from weakref import ref

from heka.limited_log import TROUBLES
from heka_raven.capture.exceptions import traceback_of
from heka_raven.middleware.culprit import transaction
from heka_raven.middleware.policy import Verdict
from heka_raven.middleware.state import Answer, Failure, RequestState, enter, leave
from heka_raven.reporting.clients import reporter_of
from heka_raven.reporting.dedupe import reported_as
from heka_raven.reporting.held import Held
from heka_raven.reporting.report import Report
from heka_raven.scope import EVENT_ID_KEY, REPORTED_KEY, Environ

MAX_CHAIN = 50  # errors that were raised one while another was handled

_told: set[str] = set()  # what this process was warned of


Ask = Callable[[Any], Any]
"""Tells a framework's answer to the request, from the body that the application returned."""


def keep(
    state: RequestState,
    framework: str,
    error: BaseException,
    traceback: TracebackType | None = None,
    ask: Ask | None = None,
) -> None:
    """*framework* is going to answer *error*: make its event, and wait for the answer."""
    try:
        _keep(state, {"type": framework, "handled": False}, error, traceback or traceback_of(error))
        if isinstance(state.kept, Held):
            state.kept.ask = ask
    except BaseException as trouble:
        complain("could not report %s", trouble)


def _keep(
    state: RequestState, mechanism: dict[str, object], error: BaseException, traceback: TracebackType | None
) -> None:
    middleware, environ = state.middleware, state.environ or {}
    kept = state.kept
    if isinstance(kept, Held) and reported_as(error, None, environ) == kept.event_id:
        return  # another layer of the framework tells of the same
    reporter = reporter_of(middleware.client)
    if reporter is None or state.status is not None:  # the response is on its way: nothing is to be waited for
        middleware.report(state, error, traceback, state.status, mechanism)
        state.kept = state.kept or Answer.EXPLAINED
        return
    if middleware.judge(state, error) is not Verdict.REPORT:
        state.kept = state.kept or Answer.EXPLAINED
        return
    release(state, error)
    state.failure = Failure(None, traceback)
    try:
        report = Report(exc_info=(type(error), error, traceback), mechanism=mechanism)
        state.kept = reporter.hold(middleware.client, report) or Answer.EXPLAINED
    finally:
        state.failure = None


def release(state: RequestState, error: BaseException) -> None:
    """*error* is the end of the request's call, or the next that is kept: what was kept goes out, unless it is a part
    of *error*'s own event."""
    kept, state.kept = state.kept, None
    if not isinstance(kept, Held):
        return
    environ = state.environ or {}
    if reported_as(error, None, environ) == kept.event_id:
        kept.send(500)
    elif any(reported_as(link, None, environ) == kept.event_id for link in _behind(error)):
        kept.drop()
    else:
        kept.send(status_code(state.status))


def settle(state: RequestState, environ: Environ, last: bool, body: Any = None) -> None:
    """The application has returned, or its body has ended (*last*): what was kept goes out, if the answer is 5xx."""
    kept = state.kept
    try:
        if isinstance(kept, Held):
            status = _status(state, kept, body)
            if status is None and not last:
                return
            state.kept = Answer.EXPLAINED
            if status is None or status >= 500:
                kept.send(status)
            else:
                kept.drop()
        elif kept is Answer.UNEXPLAINED and last:
            state.kept = None
            _unexplained(state, environ)
    except BaseException as trouble:
        complain("could not report %s", trouble)


def _status(state: RequestState, kept: Held, body: Any) -> int | None:
    if state.status is None and kept.ask is not None and body is not None:
        try:
            return status_code(str(kept.ask(body)))
        except Exception:
            return None
    return status_code(state.status)


def _unexplained(state: RequestState, environ: Environ) -> None:
    """An answer of 500 or more: a message event, if that is wanted; else a warning, once."""
    if EVENT_ID_KEY in environ or REPORTED_KEY in environ:
        return
    middleware = state.middleware
    middleware.look()  # a framework may have come with this request
    reporter = reporter_of(middleware.client) if middleware.options.report_5xx else None
    if reporter is not None:
        state.environ, state.failure = environ, Failure(state.status, None)
        token = enter(ref(state))
        try:
            logentry = ("answered %s, and no error was seen", (state.status,), None)
            reporter.report(middleware.client, Report(logentry=logentry, mechanism=None, level="error"))
        finally:
            state.environ = state.failure = None
            leave(token)
    elif "5xx" not in _told:
        _told.add("5xx")
        TROUBLES.tell(
            "5xx",
            logging.WARNING,
            "RavenMiddleware: %s was answered %s, and no error was seen: nothing is reported. Where the application or "
            "its framework catches an error, client.raven() reports it; report_5xx = true makes an event of each such "
            "answer; `heka-raven test --app package.module:name` tells what becomes of an error (docs/middleware.rst). "
            "This is said once",
            transaction(environ),
            state.status,
        )


def _behind(error: BaseException) -> list[BaseException]:
    """What *error* was raised from, or while it was handled; without its own attributes being run."""
    found: list[BaseException] = []
    todo = [error]
    while todo and len(found) < MAX_CHAIN:
        link = todo.pop()
        for name in ("__cause__", "__context__"):
            inner = vars(BaseException)[name].__get__(link)
            if inner is not None and all(inner is not known for known in found):
                found.append(inner)
                todo.append(inner)
    return found


def status_code(status: object) -> int | None:
    """The number of a WSGI status line."""
    digits = status[:3] if type(status) is str else ""
    return int(digits) if digits.isascii() and digits.isdigit() else None


def complain(text: str, error: BaseException) -> None:
    """Log what went wrong in here; a log handler that fails is not the application's business either."""
    try:
        TROUBLES.tell(text, logging.WARNING, text, type(error).__name__, exc_info=True)
    except BaseException:
        pass
