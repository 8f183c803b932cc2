"""`heka-raven test --app`: would an error of the application arrive? One that is made on purpose tells.

The application answers a page twice as it always does, which shows where its own code is called; a third request fails
there.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any
from urllib.parse import unquote, urlsplit

from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from heka_raven.middleware import RavenMiddleware
from heka_raven.middleware.frameworks import FRAMEWORKS, version_of
from heka_raven.middleware.state import RequestState
from heka_raven.reporting.clients import reporter_of
from heka_raven.scope import EVENT_ID_KEY
from heka_raven.sender.lock import holder_pid
from heka_raven.spool.ledger import read_snapshot

DELIVERY_S = 10.0
MAX_DEPTH = 1000
_MIDDLEWARE = RavenMiddleware.__call__.__code__
_STARTS = (RequestState.start.__code__, RequestState.start_in_uwsgi.__code__)
_LOST = {
    "event_processor": "it is ignored: an option `ignore`, or a filter of the client",
    "sample_rate": "sample_rate dropped this one; another may arrive",
    "throttled": "max_per_fingerprint dropped it",
    "before_send": "before_send dropped it",
    "client_disconnect": "it counts as a visitor who went away",
    "cache_overflow": "the spool refused it",
    "internal_sdk_error": "the reporter failed",
}


class MadeOnPurpose(Exception):
    """What `heka-raven test --app` raises inside the application."""


def test_app(name: str, url: str) -> int:
    """Say what would become of an error of the application *name*; the exit code is 0 if it would arrive."""
    try:
        app = load(name)
    except _Wrong as error:
        print(f"heka-raven test: {error}", file=sys.stderr)
        return EXIT_USAGE
    with _warnings() as warned:
        lines, arrives = _try(app, name, url, warned)
    for line in lines:
        print(line, file=sys.stdout if arrives else sys.stderr)
    return EXIT_OK if arrives else EXIT_FAILED


class _Wrong(Exception):
    """There is no such application."""


def load(name: str) -> Callable[..., Any]:
    """The WSGI application ``package.module:name``, or what ``package.module:factory()`` makes, found as servers do.

    Raises:
        _Wrong: in one line.
    """
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
        for part in (attribute or "application").removesuffix("()").split("."):
            found = getattr(found, part)
        if attribute.endswith("()"):
            found = found()
    except Exception as error:
        text = " ".join(str(error).split())
        raise _Wrong(f"--app {name}: {type(error).__name__}: {text}") from None
    if not callable(found):
        raise _Wrong(f"--app {name}: it is no WSGI application, but a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _try(app: Callable[..., Any], name: str, url: str, warned: list[str]) -> tuple[list[str], bool]:
    probe = Probe()
    Answer(app, url)  # much is imported with the first request
    with probe.watching():
        first = Answer(app, url)
    middleware, page = probe.middleware, f"GET {urlsplit(url).path or '/'}"
    if middleware is None:
        text = f"{name}: no RavenMiddleware is around it: its errors are not seen ({page} passed none, and was answered"
        return [f"{text} {first.status})"], False
    lines = [f"{name}: is in RavenMiddleware, which listens to {_listens_to(middleware)}"]
    reporter = reporter_of(middleware.client)
    if reporter is None or reporter.options.dsn is None:
        return [*lines, "its client has no dsn: nothing is reported"], False
    if probe.view is None:
        text = f"{page} was answered {first.status}, by no code of the application's own: give a page of it with --url"
        return [*lines, text], False
    where = f"{probe.view.co_name}, {probe.view.co_filename} line {probe.view.co_firstlineno}"
    counts = _counts(middleware)
    with probe.failing(), _taking(middleware.client.stream) as taken:
        second = Answer(app, url)
    if not probe.has_failed:
        return [
            *lines,
            f"{page} called {where}, but not again: give another page of the application's with --url",
        ], False
    lines.append(f"{page} calls {where}: an error was made there, and answered {second.status}")
    if second.event_id is not None and (taken is None or taken.get(second.event_id)):
        more, arrives = _delivery(middleware, second.event_id)
        return [*lines, *more], arrives
    if taken:
        return [*lines, f"no event: {_LOST['cache_overflow']}{_said(warned)}"], False
    return [*lines, _why(middleware, counts, second, warned)], False


@contextlib.contextmanager
def _taking(stream: Any) -> Iterator[dict[str, bool] | None]:
    """Whether the spool took an event, by its id; None where the stream is none to a spool."""
    taken: dict[str, bool] = {}
    write_event = getattr(stream, "write_event", None)
    if write_event is None:
        yield None
        return

    def watched(event_id: str, *args: Any, **keywords: Any) -> bool:
        taken[event_id] = write_event(event_id, *args, **keywords)
        return taken[event_id]

    stream.write_event = watched
    try:
        yield taken
    finally:
        del stream.write_event


def _said(warned: list[str]) -> str:
    return f" ({warned[-1]})" if warned else ""


def _listens_to(middleware: RavenMiddleware) -> str:
    found = [f"{name} {version_of(name)}" for name in middleware.options.frameworks if FRAMEWORKS[name] in sys.modules]
    return ", ".join(found) or "no framework"


def _counts(middleware: RavenMiddleware) -> dict[str, int]:
    spool = getattr(middleware.client.stream, "spool", None)
    return {} if spool is None else dict(read_snapshot(spool.path).discarded)


def _lost_to(middleware: RavenMiddleware, before: dict[str, int]) -> str | None:
    for reason, count in _counts(middleware).items():
        if count > before.get(reason, 0):
            return reason
    return None


def _why(middleware: RavenMiddleware, before: dict[str, int], answer: Answer, warned: list[str]) -> str:
    """Where the error got lost."""
    reason = _lost_to(middleware, before)
    if answer.is_good():
        return f"no event: a handler of the application's own answered {answer.status}, which is no error"
    if reason is not None:
        return f"no event: {_LOST.get(reason, reason)}{_said(warned)}"
    if answer.raised is not None:
        return f"no event: {type(answer.raised).__name__} left the application, and is not reported{_said(warned)}"
    keepers = [name for name, module in FRAMEWORKS.items() if module in sys.modules]
    off = [name for name in keepers if name not in middleware.options.frameworks]
    hint = f"; frameworks leaves {', '.join(off)} out" if off else ""
    return f"no event: somebody within the middleware kept the error and answered {answer.status}{hint}"


def _delivery(middleware: RavenMiddleware, event_id: str) -> tuple[list[str], bool]:
    """The event is made: what becomes of it."""
    stream = middleware.client.stream
    spool = getattr(stream, "spool", None)
    if spool is None:
        return [f"event {event_id} was given to {type(stream).__name__}: whoever reads there has it"], True
    end = time.monotonic() + DELIVERY_S
    while (waits := _waits(spool, event_id)) and stream.sender != "off" and time.monotonic() < end:
        time.sleep(0.05)
    if not waits:
        if any(event_id in name for name in spool.dead_names()):
            text = f"event {event_id} was refused by the server: `heka-raven test` without --app says why"
            return [text], False
        return [f"event {event_id} was delivered: an error of the application arrives"], True
    text = f"event {event_id} waits in the spool {spool.path}"
    pid = holder_pid(spool.path)
    if pid is not None and pid != os.getpid():
        return [f"{text}: the sender with pid {pid} delivers it"], True
    if pid is not None:
        return [f"{text}: no server took it yet; `heka-raven test` without --app asks the server"], False
    return [f"{text}, and no sender delivers from there: run `heka-raven send`, or uWSGI with the plugin"], False


def _waits(spool: Any, event_id: str) -> bool:
    return any(event_id in name for name in spool.names())


class Answer:
    """One request, and what came of it."""

    def __init__(self, app: Callable[..., Any], url: str) -> None:
        self.status = "nothing"
        self.raised: BaseException | None = None
        environ = make_environ(url)
        body: Any = None
        try:
            body = app(environ, self._start)
            for _chunk in body:
                pass
        except Exception as error:
            self.raised = error
            self.status = f"by the server, because {type(error).__name__} was raised"
        finally:
            with contextlib.suppress(Exception):
                if hasattr(body, "close"):
                    body.close()
        found = environ.get(EVENT_ID_KEY)
        self.event_id: str | None = found if type(found) is str else None

    def _start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        self.status = str(status)
        return lambda data: None

    def is_good(self) -> bool:
        """Whether the visitor saw no error."""
        return self.raised is None and self.status[:1] in ("1", "2", "3", "4")


def make_environ(url: str) -> dict[str, Any]:
    """The environ of a GET of *url*, which may be a path alone."""
    parts = urlsplit(url)
    host = parts.netloc or "localhost"
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path or "/", "latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "heka-raven test --app",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme or "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


class Probe:
    """Finds the middleware and the application's own code that a request runs, and makes that code fail.

    Attributes:
        middleware: the innermost that the request passed.
        view: the application's own code that others call, the deepest of it.
        has_failed: whether an error was made there.
    """

    def __init__(self) -> None:
        self.middleware: RavenMiddleware | None = None
        self.view: CodeType | None = None
        self.has_failed = False
        self._depth = -1
        self._over = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While a request runs: look."""
        with _tracing(self._look):
            yield

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """While a request runs: the view raises."""
        with _tracing(self._call):
            yield

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code is _MIDDLEWARE:
            self.middleware = frame.f_locals["self"]
        elif frame.f_code in _STARTS:
            self._over = self.view is not None  # what runs now tidies up
        elif self._over or frame.f_code.co_name == "<module>":
            return
        elif self.middleware is not None and self._is_own(frame) and not self._is_own(frame.f_back):
            depth = _depth(frame)
            if depth > self._depth:
                self._depth, self.view = depth, frame.f_code

    def _is_own(self, frame: FrameType | None) -> bool:
        reporter = None if self.middleware is None else reporter_of(self.middleware.client)
        if reporter is None or frame is None:
            return False
        module = frame.f_globals.get("__name__")
        return reporter.app_code.in_app(str(module), frame.f_code.co_filename, frame.f_globals)

    def _call(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._fail if frame.f_code is self.view else None

    def _fail(self, frame: FrameType, event: str, _: Any) -> Any:
        self.has_failed = True
        raise MadeOnPurpose("heka-raven test --app: this error was made on purpose")


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None and depth < MAX_DEPTH:
        frame, depth = frame.f_back, depth + 1
    return depth


@contextlib.contextmanager
def _tracing(trace: Callable[[FrameType, str, Any], Any]) -> Iterator[None]:
    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """What heka-raven's own loggers warn of meanwhile."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(" ".join(record.getMessage().split()))

    handler = Collector(logging.WARNING)
    loggers = [logging.getLogger("heka"), logging.getLogger("heka_raven")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
