"""A job as events show it: its name, its arguments, and what the queue says of it.

While a job runs, it is what a request is elsewhere: events of its context name it, and an exception is reported once.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from heka.limited_log import TROUBLES
from heka_raven.capture.exceptions import traceback_of
from heka_raven.jobs import watched
from heka_raven.reporting.clients import reporter_of
from heka_raven.reporting.report import Report
from heka_raven.scope import CURRENT, CurrentRequest, Environ, RequestFacts

MAX_ENTRIES = 10_000  # of a traceback that are looked through


@dataclass(slots=True)
class Job:
    """What is known of one job.

    Attributes:
        library: ``celery``, ``rq``, ``dramatiq``, ``run``, ``python``.
        arguments: by the names of the function's parameters, so that private ones are masked.
        more: what else the library knows: retries, worker.
    """

    library: str
    name: str
    id: str | None = None
    queue: str | None = None
    arguments: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    def extra(self) -> dict[str, Any]:
        known = {"name": self.name, "id": self.id, "queue": self.queue, "arguments": self.arguments, **self.more}
        return {"job": {name: value for name, value in known.items() if value is not None}}

    def tags(self) -> dict[str, str]:
        return {"job": self.library, **({"queue": self.queue} if self.queue else {})}

    def facts(self) -> RequestFacts:
        return RequestFacts(transaction=self.name, extra=self.extra(), tags=self.tags())


class Reporting:
    """With which client jobs are reported: the one of the last ``init()``."""

    client: Any = None


class _Running(CurrentRequest):
    """A job in progress: to whoever makes an event it is what a request is."""

    __slots__ = ("_describe", "around", "before", "slot")

    def __init__(self, describe: Callable[[], Job]) -> None:
        self.environ = {}
        self._describe = describe
        self.around = CURRENT.get()
        self.before = _RUNNING.get()
        self.slot = watched.begin(describe) if watched.Watched.spool_path else None

    def describe(self, environ: Environ) -> RequestFacts:
        return self._describe().facts()


_RUNNING: ContextVar[_Running | None] = ContextVar("heka_raven_job", default=None)  # CURRENT keeps nothing alive


def begin_job(describe: Callable[[], Job]) -> None:
    """From now on, until :func:`end_job`, what this context reports is of the job that *describe* tells of."""
    running = _Running(describe)
    _RUNNING.set(running)
    CURRENT.set(weakref.ref(running))


def end_job() -> None:
    """The job that was begun last in this context is over."""
    running = _RUNNING.get()
    if running is not None:
        running.environ = None
        watched.end(running.slot)
        CURRENT.set(running.around)
        _RUNNING.set(running.before)


def in_job() -> bool:
    """Whether this context runs a job."""
    return _RUNNING.get() is not None


def report_job(
    job: Job | None,
    error: BaseException | None,
    traceback: TracebackType | None = None,
    *,
    kind: str,
    handled: bool = False,
    **said: Any,
) -> str | None:
    """Report an error of *job*, or with ``logentry`` a message. Never raises.

    Args:
        kind: the type of the mechanism.
        said: more of :class:`Report`; ``extra`` is merged.

    Returns:
        The event id, or ``None`` if nothing was sent.
    """
    try:
        reporter = reporter_of(Reporting.client)
        if reporter is None:
            return None
        if job is not None:
            said["extra"] = {**job.extra(), **said.get("extra", {})}
            said["tags"] = {**job.tags(), **said.get("tags", {})}
            said.setdefault("transaction", job.name)
        exc_info = None if error is None else (type(error), error, traceback)
        report = Report(exc_info=exc_info, mechanism={"type": kind, "handled": handled}, **said)
        return reporter.report(Reporting.client, report)
    except Exception:
        TROUBLES.tell("job", logging.WARNING, "an error of a job could not be reported", exc_info=True)
        return None


def flush() -> None:
    """Deliver what can go, for at most ``stream_exit_wait_s``: this process is about to end without exit handlers."""
    watched.leave()
    try:
        close = getattr(getattr(Reporting.client, "stream", None), "close", None)
        if close is not None:
            close()
    except Exception:
        return  # it waits in the spool


def named_arguments(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments under the names of the parameters of *function*.

    A value without a name says nothing of how private it is: where the names are not known, it is only counted.
    """
    try:
        bound = inspect.signature(function).bind_partial(*args, **kwargs)
        return dict(bound.arguments)
    except Exception:
        shown: dict[str, Any] = {f"<{len(args)} by position>": None} if args else {}
        return {**shown, **kwargs}


def without_library(error: BaseException, packages: tuple[str, ...]) -> TracebackType | None:
    """The traceback of *error* without the frames of *packages* that called the job: they hold its arguments."""
    entry = traceback_of(error)
    for _ in range(MAX_ENTRIES):
        if entry is None:
            break
        name = dict.get(entry.tb_frame.f_globals, "__name__")
        if type(name) is not str or name.partition(".")[0] not in packages:
            return entry
        entry = entry.tb_next
    return None
