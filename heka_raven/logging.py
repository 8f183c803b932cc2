"""Log records as events and breadcrumbs."""

# Rule 1: nothing that is logged while this package reports or sends becomes an event, whoever logs it, in whatever
#         thread: no report about reports.
# Rule 2: a record's text is made without running the application's code: arguments that are no plain values stand in it
#         as '<module.Class object>'. Only a message that is no text is asked for it, as the logging module does.

from __future__ import annotations

import logging
import threading
import types
from typing import Any

from heka.client import HekaClient
from heka.exceptions import ConfigError
from heka_raven.capture.classes import find_in_class, type_name
from heka_raven.capture.messages import exception_text
from heka_raven.capture.values import Walker
from heka_raven.capture.written import spoken
from heka_raven.events.logentry import MAX_MESSAGE, format_message
from heka_raven.formats.text import clean, cut
from heka_raven.reporting.clients import find_client, reporter_of
from heka_raven.reporting.report import Report, caller_frame, is_reporting, resolve_exc_info
from heka_raven.scope import breadcrumbs, current_environ
from heka_raven.scrub.scrubber import Scrubber

MAX_BREADCRUMB = 1024  # characters of its message

_OWN_LOGGERS = ("heka_raven", "heka", "raven")
_OWN_THREADS = ("heka-raven", "heka-lookup")  # as the names of the threads that send begin
_GUARD = Scrubber()  # by the default rules; the client's own are applied when an event takes the breadcrumbs
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_EVENT_ATTRIBUTES = ("tags", "user", "fingerprint", "extra", "contexts")


class RavenHandler(logging.Handler):
    """Error records become events; lower ones become breadcrumbs of the current request.

    An exception that a record brings is reported once: the middleware does not report it again.

    Args:
        client: the client to report with; else the one called *client_name*; else the default one, as of each record.
        level: records below this are not looked at.
        event_level: records from this level on become events.
    """

    def __init__(
        self,
        client: HekaClient | None = None,
        client_name: str = "",
        level: int | str = logging.NOTSET,
        event_level: int | str = logging.ERROR,
    ) -> None:
        super().__init__(level)
        if client is not None and not isinstance(client, HekaClient):
            # raven's SentryHandler takes a DSN or a raven client; here either would report nothing, without a word.
            raise ConfigError(
                f"client: a {type(client).__name__} is not allowed: a heka client, as of build_client(dsn)"
            )
        self._client = client
        self._client_name = client_name
        self.event_level = _level("event_level", event_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record. Never raises."""
        try:
            if _is_ours(record):
                return
            if record.levelno >= self.event_level:
                self._report(record)
            else:
                _add_breadcrumb(record)
        except Exception:
            # logging.raiseExceptions prints to stderr elsewhere; here the app's own handlers have the record anyway.
            return

    def _report(self, record: logging.LogRecord) -> None:
        client = find_client(self._client, self._client_name)
        reporter = reporter_of(client)
        if reporter is None:
            return
        report = Report(
            exc_info=resolve_exc_info(record.exc_info) if record.exc_info else None,
            logger=record.name,
            level=record.levelno,
            logentry=(_text_of(record.msg), record.args or None, None),
            mechanism={"type": "logging", "handled": True},
            timestamp=record.created,
            hint={"log_record": record},
        )
        own = {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name[:1] != "_"}
        for name in _EVENT_ATTRIBUTES:
            if name in own and not (name == "user" and type(own[name]) is not dict):
                setattr(report, name, own.pop(name))
        extra = report.extra if type(report.extra) is dict else {}
        stack: Any = record.stack_info is not None
        if own.get("stack") is True or type(own.get("stack")) in (list, tuple, types.GeneratorType):
            stack = own.pop("stack")
        if stack:
            report.stack = caller_frame(stack, record.pathname)
            if report.stack is None and record.stack_info:
                own["stack_info"] = record.stack_info  # of a record that another thread, or process, made
        report.extra = {**own, **extra, "thread": record.threadName, "path": f"{record.pathname}:{record.lineno}"}
        report.culprit = f"{record.module} in {record.funcName}" if report.exc_info is None else None
        reporter.report(client, report)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether *record* was made by this package, or while it reported or sent."""
    if record.name.split(".", 1)[0] in _OWN_LOGGERS or record.name.startswith("sentry.errors") or is_reporting():
        return True
    # A record may be handled in another thread than it was made in; without logThreads it has no name.
    thread = record.threadName or threading.current_thread().name
    return thread.startswith(_OWN_THREADS)


def _text_of(message: Any) -> Any:
    """The text of a record's message: a text, an exception, or an object that was made to be one."""
    kind = type(message)
    if kind is str or issubclass(kind, str):
        return message if kind is str else str.__getitem__(message, slice(None))
    walker = Walker(lambda: 0.0, _GUARD)
    if issubclass(kind, BaseException):
        return exception_text(walker, message)
    if type(find_in_class(kind, "__str__")) is types.FunctionType:
        try:
            return cut(str(message), MAX_MESSAGE)
        except Exception:
            return f"<{type_name(kind)} object, its __str__ raised>"
    return spoken(message, _GUARD)


def _level(key: str, value: int | str) -> int:
    number = value if isinstance(value, int) else logging.getLevelName(str(value).upper())
    if not isinstance(number, int):
        raise ConfigError(f"{key}: {value!r} is not allowed: a level of the logging module")
    return number


def _add_breadcrumb(record: logging.LogRecord) -> None:
    environ = current_environ()
    if environ is None:
        return
    found = breadcrumbs(environ, create=True)
    if found is not None:
        walker = Walker(lambda: 0.0, _GUARD)
        text = _text_of(record.msg)
        if record.args:
            text = format_message(text, record.args, walker)
        found.append(
            {
                "timestamp": record.created,
                "type": "default",
                "category": record.name,
                "level": "warning" if record.levelno >= 30 else "info" if record.levelno >= 20 else "debug",
                "message": cut(clean(text), MAX_BREADCRUMB),
            }
        )
