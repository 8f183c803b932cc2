"""``heka_raven.init()``: one line for everything that is no WSGI request."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from functools import partial
from types import FrameType
from typing import Any

from heka.client import HekaClient
from heka.exceptions import ConfigError
from heka.holder import CLIENT_HOLDER
from heka_raven.jobs.imports import when_imported
from heka_raven.jobs.interpreter import install
from heka_raven.jobs.job import Reporting, in_job
from heka_raven.jobs.options import InitOptions, parse_options
from heka_raven.jobs.watched import watch
from heka_raven.logging import RavenHandler
from heka_raven.reporting.clients import build_client, reporter_of, tell_application

CLIENT_NAME = "heka_raven"
DSN_VARIABLES = ("SENTRY_DSN", "HEKA_RAVEN_DSN")

# The library: the module whose import is waited for, and ours that hooks it.
_LIBRARIES = {
    "celery": ("celery.signals", "heka_raven.jobs.celery_tasks"),
    "rq": ("rq", "heka_raven.jobs.rq_jobs"),
    "dramatiq": ("dramatiq", "heka_raven.jobs.dramatiq_messages"),
}
# What these log of a job that failed is the event that their hook has reported.
_ONLY_OF_JOBS = ("celery.app.trace", "celery.worker.request")
_OF_JOBS = ("rq.worker", "dramatiq.worker")

_hooked: set[str] = set()
_handler: RavenHandler | None = None


def init(dsn: str | None = None, client: HekaClient | None = None, **options: Any) -> HekaClient:
    """Report what fails in this process outside of WSGI requests: in the program, its threads, its tasks, its jobs.

    Args:
        dsn: where to report to; default: ``$SENTRY_DSN``, ``$HEKA_RAVEN_DSN``.
        client: instead of a dsn, a heka client with the raven plugin.
        options: ``excepthook threads asyncio unraisable logging libraries`` (docs/jobs.rst), those of the raven plugin,
            and ``stream_*``.

    Returns:
        The client, for ``client.raven()`` and ``RavenMiddleware(app, client)``.

    Raises:
        ConfigError: naming the option that does not exist, or has a value that is not allowed.
    """
    parsed, rest = parse_options(options)
    made = _make_client(dsn, client, rest)
    Reporting.client = made
    CLIENT_HOLDER.set_client(CLIENT_NAME, made)
    tell_application(made, None, _caller())
    install(excepthook=parsed.excepthook, threads=parsed.threads, unraisable=parsed.unraisable, asyncio=parsed.asyncio)
    _log_to(made, parsed)
    watch(made, parsed.watch)
    for name in parsed.libraries:
        if name not in _hooked:
            _hooked.add(name)
            module, ours = _LIBRARIES[name]
            when_imported(module, partial(_hook, ours))
    return made


def _caller() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in (__name__, "heka_raven"):
        frame = frame.f_back
    return frame


def _hook(ours: str, module: Any) -> None:
    importlib.import_module(ours).install()


def _make_client(dsn: str | None, client: HekaClient | None, options: dict[str, Any]) -> HekaClient:
    if client is not None:
        if isinstance(client, str):
            raise ConfigError("init: a text is no client; a DSN is the first argument, or dsn=...")
        if dsn is not None:
            raise ConfigError("init: there are both a client and a dsn: the client has its own")
        if options:
            raise ConfigError(f"init: {', '.join(sorted(options))}: to be set where the client is made")
        if reporter_of(client) is None:
            raise ConfigError("init: the client has no raven plugin: make it with heka_raven.raven_plugin.build_client")
        return client
    if dsn is None:
        dsn = next((os.environ[name] for name in DSN_VARIABLES if os.environ.get(name)), None)
    return build_client(dsn, **options)


def _log_to(client: HekaClient, options: InitOptions) -> None:
    """Log records to *client*, or to nobody: what the last ``init()`` says."""
    global _handler
    _handler = None
    if options.logging is None:
        return
    _handler = RavenHandler(client, event_level=options.logging)
    _handler.addFilter(_is_no_double)
    if "logging" not in _hooked:
        _hooked.add("logging")
        _watch_logging()


def _watch_logging() -> None:
    """See every record before its handlers do.

    A handler on the root logger would change the program: basicConfig() does nothing where there is one, what goes to
    standard error without any would go nowhere, and Celery's worker takes it away.
    """
    previous = logging.Logger.callHandlers

    @functools.wraps(previous)
    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:
        try:
            if _handler is not None:
                _handler.handle(record)
        finally:
            previous(self, record)

    logging.Logger.callHandlers = callHandlers  # type: ignore[method-assign]


def _is_no_double(record: logging.LogRecord) -> bool:
    if record.name in _ONLY_OF_JOBS or (record.name == "multiprocessing" and "/billiard/" in record.pathname):
        return False  # the last: Celery's pool, of a process that ended
    return not (record.name.startswith(_OF_JOBS) and (record.exc_info or in_job()))
