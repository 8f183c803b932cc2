"""The middleware itself: where an application can fail, and what happens then."""

# Rule 1: the server sees what it would see without us: same bytes, same calls, same exception object.
# Rule 2: a request that goes well pays for one list and one bound method; everything else is made after a failure.
# Rule 3: nothing that goes wrong in here reaches the application or the server.

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from heka.limited_log import TROUBLES
from heka_raven.capture.exceptions import traceback_of
from heka_raven.middleware import watch_notes
from heka_raven.middleware.body import DESCRIBE, ENVIRON, MIDDLEWARE, START_RESPONSE, STATUS, State, watch
from heka_raven.middleware.errorpage import respond
from heka_raven.middleware.options import MiddlewareOptions, make_client, parse_options
from heka_raven.middleware.policy import Policy, Verdict
from heka_raven.middleware.request import describe
from heka_raven.middleware.tee import InputTee
from heka_raven.reporting.clients import tell_application
from heka_raven.scope import CURRENT, EVENT_ID_KEY, RequestFacts
from heka_raven.uwsgi_bridge import in_uwsgi

if TYPE_CHECKING:
    from heka.client import HekaClient

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_get = CURRENT.get
_set = CURRENT.set
_reset = CURRENT.reset

_MECHANISM = {"type": "wsgi", "handled": False}
_CAUGHT = {"type": "wsgi", "handled": True}
_NOTHING: Any = object()


def _started(state: State, status: str, headers: Any = _NOTHING, exc_info: Any = None) -> Any:
    """The ``start_response`` that the application gets, bound to the state of its request."""
    if exc_info is not None:
        return _started_anew(state, status, headers, exc_info)
    if headers is _NOTHING:
        return state[2](status)  # wrong, and the server is to say so in its own way
    write = state[2](status, headers)
    state[3] = status
    return write


def _started_anew(state: State, status: str, headers: Any, exc_info: Any) -> Any:
    """The application dealt with an exception of its own and tells the server of it."""
    mechanism = _MECHANISM  # of a server that refuses: the visitor has a part of another response
    try:
        write = state[START_RESPONSE](status, headers, exc_info)
        state[STATUS] = status
        mechanism = _CAUGHT
        return write
    finally:
        if type(exc_info) is tuple and len(exc_info) == 3 and issubclass(type(exc_info[1]), BaseException):
            middleware: RavenMiddleware = state[MIDDLEWARE]
            middleware.report(state, exc_info[1], exc_info[2], state[STATUS], mechanism)


class RavenMiddleware:
    """Report what fails in *app*, at the call, while its body is iterated, and when it is closed; then raise it again.

    Args:
        app: the WSGI application.
        client: a heka client with the raven plugin.
        dsn: instead of a client: where to report to. A client of its own is made, which writes into the spool.
        options: see docs/middleware.rst; with ``dsn`` also those of the raven plugin and ``stream_*``.

    Raises:
        ConfigError: naming the option that does not exist, or has a value that is not allowed.
    """

    __slots__ = ("_app", "_describe", "_start", "app", "client", "disconnects", "options", "policy")

    def __init__(
        self, app: Application, client: HekaClient | None = None, dsn: str | None = None, **options: Any
    ) -> None:
        parsed, client_options = parse_options(options)
        self.app = app
        self.client: Any = make_client(client, dsn, client_options, parsed.ignore)
        tell_application(self.client, app, sys._getframe(1))
        self.options: MiddlewareOptions = parsed
        self.policy = Policy(parsed)
        self.disconnects = 0
        self._app = _with_what_is_wanted(app, parsed)
        self._describe: Callable[[Environ], RequestFacts] = partial(describe, trusted_proxies=parsed.trusted_proxies)
        # uWSGI's own start_response is not wrapped: beside so fast a server the wrapper would be the dearest part of
        # all, and there is nothing to see: given an exc_info it raises SystemError from the application's own error,
        # which is reported when it comes out.
        self._start: Callable[[State], StartResponse] | None = None if in_uwsgi() else _started.__get__

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application that a server calls."""
        state = [self._describe, environ, start_response, None, self]
        app, start = self._app, self._start  # Python 3.11 can make a call of an attribute fast only if it is a method
        outer = _get()
        token = _set(state)
        try:
            body = app(environ, start_response if start is None else start(state))
        except BaseException as error:
            page = self.failed(state, error)
            state[0] = state[2] = None
            if page is None:
                raise
            return page
        finally:
            state[1] = None
            if outer is not None and outer[1] is not None:
                _reset(token)  # to the request around this one; else what stays costs less than to take it away
        if type(body) is list:
            state[0] = state[2] = None  # what stays holds nothing of the request
            return body
        watched = watch(body, state, environ)
        if watched is body:
            state[0] = state[2] = None
        return watched

    def failed(self, state: State, error: BaseException, begun: bool = False) -> Iterable[bytes] | None:
        """An exception is on its way to the server: report it.

        Args:
            state: of the request.
            error: what left the application.
            begun: whether a part of the response is on its way already.

        Returns:
            The error page, if there is one to answer with; else the caller raises *error* again. Never raises.
        """
        traceback = traceback_of(error)
        inner = traceback.tb_next if traceback is not None else None  # without the frame of the middleware
        status = state[STATUS] if begun else "500"  # which the server answers, whatever was announced
        verdict, event_id = self.report(state, error, inner or traceback, status, _MECHANISM)
        if begun or not self.options.catchall or verdict is not Verdict.REPORT:
            return None
        if not issubclass(type(error), Exception):
            return None  # it is meant to end more than a request
        try:
            environ = state[ENVIRON]
            if self.policy.is_raw(environ):
                return None
            if event_id is None and type(environ.get(EVENT_ID_KEY)) is str:
                event_id = environ[EVENT_ID_KEY]  # a layer further in has reported it
            return respond(environ, state[START_RESPONSE], error, event_id, self.options.error_page)
        except BaseException as refused:
            if refused is not error:
                # Whatever it was, the application's own exception is what the server must see.
                _complain("no error page for %s", error)
            # A start_response that raised it has added its own frames.
            BaseException.with_traceback(error, traceback)
            return None

    def report(
        self,
        state: State,
        error: BaseException,
        traceback: TracebackType | None,
        status: str | None,
        mechanism: dict[str, Any],
    ) -> tuple[Verdict, str | None]:
        """Report *error* of the request of *state*, if it is one to report.

        Returns:
            What the policy says of it, and the event id, or None if nothing was sent. Never raises.
        """
        verdict = Verdict.PASS
        try:
            verdict = self.policy.verdict(error, state[ENVIRON])
            if verdict is Verdict.DISCONNECT:
                self._count_disconnect()
            if verdict is not Verdict.REPORT:
                return verdict, None
            plain = state[DESCRIBE]
            state[DESCRIBE] = partial(plain, status=status, traceback=traceback)
            try:
                exc_info = (type(error), error, traceback)
                return verdict, self.client.raven("", exc_info=exc_info, mechanism=dict(mechanism))
            finally:
                state[DESCRIBE] = plain  # the traceback's frames hold start_response, which holds the state: a cycle
        except BaseException:
            _complain("could not report %s", error)
            return verdict, None

    def _count_disconnect(self) -> None:
        self.disconnects += 1
        ledger = getattr(self.client.stream, "ledger", None)
        if ledger is not None:
            ledger.add("captured")
            ledger.add("discarded.client_disconnect")


def _complain(text: str, error: BaseException) -> None:
    """Log what went wrong in here; a log handler that fails is not the application's business either."""
    try:
        TROUBLES.tell(text, logging.WARNING, text, type(error).__name__, exc_info=True)
    except BaseException:
        pass


def _with_what_is_wanted(app: Application, options: MiddlewareOptions) -> Application:
    """*app* with the body's tee and with what sentry-watch is told, where one or the other is wanted."""
    if options.body:
        app = partial(_with_tee, app, options.body)
    if watch_notes.is_wanted():
        app = partial(watch_notes.with_telling, app, options.trusted_proxies)
    return app


def _with_tee(app: Application, limit: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """*app*, reading its request's body through a tee."""
    __traceback_hide__ = True  # of the stack of an error, by Paste's convention
    source = environ.get("wsgi.input")
    state = CURRENT.get()
    if source is not None and state is not None:
        tee = InputTee(source, limit)
        environ["wsgi.input"] = tee.stream
        state[DESCRIBE] = partial(state[DESCRIBE], tee=tee)
    return app(environ, start_response)
