"""The middleware itself: where an application can fail, and what happens then."""

# Rule 1: the server sees what it would see without us: same bytes, same calls, same exception object.
# Rule 2: a request that goes well pays for its state, a weak reference and a bound method; the rest after a failure.
# Rule 3: nothing that goes wrong in here reaches the application or the server.

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import ref

from heka_raven.capture.exceptions import traceback_of
from heka_raven.middleware import frameworks, watch_notes, watch_slots
from heka_raven.middleware.body import watch
from heka_raven.middleware.errorpage import respond
from heka_raven.middleware.kept import complain, release, settle
from heka_raven.middleware.options import MiddlewareOptions, make_client, parse_options
from heka_raven.middleware.policy import Policy, Verdict
from heka_raven.middleware.state import MECHANISM, Failure, RequestState
from heka_raven.middleware.tee import InputTee
from heka_raven.reporting.clients import tell_application
from heka_raven.reporting.dedupe import pass_on
from heka_raven.scope import CURRENT, EVENT_ID_KEY, current_request
from heka_raven.uwsgi_bridge import in_uwsgi, show_stacks

if TYPE_CHECKING:
    from heka.client import HekaClient

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_get = CURRENT.get
_set = CURRENT.set
_reset = CURRENT.reset


UWSGI_REFUSED = ("<built-in function uwsgi_spit> returned a result with an exception set",)
MAX_CAUSES = 5
UNSEEN = 63  # requests under uWSGI, whose answers are not looked at, between two that are


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

    __slots__ = (
        "__weakref__",
        "_app",
        "_in_uwsgi",
        "_looks",
        "_unseen",
        "_wanted",
        "app",
        "client",
        "disconnects",
        "options",
        "policy",
    )

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
        self._wanted = _with_what_is_wanted(app, parsed, self.client)
        self._app: Application | None = None  # until it is known which frameworks are in use
        self._looks = 0
        self._in_uwsgi = in_uwsgi()
        self._unseen = 0
        show_stacks()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application that a server calls."""
        state = RequestState()
        state.environ = environ
        state.start_response = start_response
        state.middleware = self
        state.status = state.tee = state.failure = state.kept = None
        app = self._app  # Python 3.11 can make a call of an attribute fast only if it is a method
        if app is None:
            app = self._begin()
        if self._in_uwsgi:
            start = start_response  # this server is so fast that a wrapper would cost more than all else here
            self._unseen -= 1
            if self._unseen < 0:
                self._unseen = 0 if self.options.report_5xx else UNSEEN
                start = state.start_in_uwsgi
        else:
            start = state.start
        outer = _get()
        token = _set(ref(state))
        try:
            body = app(environ, start)
        except BaseException as error:
            page = self.failed(state, error)
            if page is None:
                raise
            return page
        finally:
            state.environ = None
            around = None if outer is None else outer()
            if around is not None and around.environ is not None:
                _reset(token)  # to the request around this one; else what stays costs less than to take it away
        if type(body) is list:
            if state.kept is not None:
                settle(state, environ, True, body)
            return body
        watched = watch(body, state, environ)
        if state.kept is not None:
            settle(state, environ, watched is body, body)
        return watched

    def failed(
        self, state: RequestState, error: BaseException, begun: bool = False, body: Any = None
    ) -> Iterable[bytes] | None:
        """An exception is on its way to the server: report it.

        Args:
            state: of the request.
            error: what left the application.
            begun: whether a part of the response is on its way already.
            body: that it came out of, if the application had returned one.

        Returns:
            The error page, if there is one to answer with; else the caller raises *error* again. Never raises.
        """
        traceback = traceback_of(error)
        inner = traceback.tb_next if traceback is not None else None  # without the frame of the middleware
        own = _beneath(error) if self._in_uwsgi else error
        if own is not error:
            pass_on(error, traceback, state.environ)
            inner = traceback_of(own)
        if self.options.watch:
            watch_slots.end(state)  # what failed may live on in a cycle
        if state.kept is not None:
            release(state, own)
        status = state.status if begun else "500"  # which the server answers, whatever was announced
        verdict, event_id = self.report(state, own, inner or traceback, status, MECHANISM, body)
        if begun or not self.options.catchall or verdict is not Verdict.REPORT:
            return None
        if not issubclass(type(error), Exception):
            return None  # it is meant to end more than a request
        try:
            environ = state.environ or {}
            if self.policy.is_raw(environ):
                return None
            if event_id is None and type(environ.get(EVENT_ID_KEY)) is str:
                event_id = environ[EVENT_ID_KEY]  # a layer further in has reported it
            return respond(environ, state.start_response, error, event_id, self.options.error_page)
        except BaseException as refused:
            if refused is not error:
                # Whatever it was, the application's own exception is what the server must see.
                complain("no error page for %s", error)
            # A start_response that raised it has added its own frames.
            BaseException.with_traceback(error, traceback)
            return None

    def report(
        self,
        state: RequestState,
        error: BaseException,
        traceback: TracebackType | None,
        status: str | None,
        mechanism: dict[str, Any],
        body: Any = None,
    ) -> tuple[Verdict, str | None]:
        """Report *error* of the request of *state*, if it is one to report.

        Returns:
            What the policy says of it, and the event id, or None if nothing was sent. Never raises.
        """
        verdict = Verdict.PASS
        try:
            verdict = self.judge(state, error)
            if verdict is not Verdict.REPORT:
                pass_on(error, traceback, state.environ)
                return verdict, None
            state.failure = Failure(status, traceback, body)
            try:
                exc_info = (type(error), error, traceback)
                return verdict, self.client.raven("", exc_info=exc_info, mechanism=dict(mechanism))
            finally:
                state.failure = None  # the traceback's frames hold start_response, which holds the state: a cycle
        except BaseException:
            complain("could not report %s", error)
            return verdict, None

    def _begin(self) -> Application:
        """One of the first requests: an application may import its framework with the very first."""
        self.look()
        self._looks += 1
        if self._looks == 2:
            self._app = self._wanted
        return self._wanted

    def look(self) -> None:
        """Listen to the frameworks that are in use by now."""
        frameworks.look(self)

    def judge(self, state: RequestState, error: BaseException) -> Verdict:
        """What the policy says of *error*; a visitor who went away is counted."""
        verdict = self.policy.verdict(error, state.environ or {})
        if verdict is Verdict.DISCONNECT:
            self._count_disconnect()
        return verdict

    def _count_disconnect(self) -> None:
        self.disconnects += 1
        ledger = getattr(self.client.stream, "ledger", None)
        if ledger is not None:
            ledger.add("captured")
            ledger.add("discarded.client_disconnect")


def _beneath(error: BaseException) -> BaseException:
    """The application's own error, where *error* is what uWSGI's ``start_response`` made of its ``exc_info``."""
    for _ in range(MAX_CAUSES):
        args = vars(BaseException)["args"].__get__(error)
        cause = vars(BaseException)["__cause__"].__get__(error)
        if type(error) is not SystemError or cause is None or args != UWSGI_REFUSED:
            break
        error = cause
    return error


def _with_what_is_wanted(app: Application, options: MiddlewareOptions, client: Any) -> Application:
    """*app* with the body's tee and with what those who watch are told, where one or the other is wanted."""
    if options.body:
        app = partial(_with_tee, app, options.body)
    if watch_notes.is_wanted(client):
        app = partial(watch_notes.with_telling, app, options.trusted_proxies)
    if options.watch:
        app = watch_slots.around(app, client)
    return app


def _with_tee(app: Application, limit: int, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """*app*, reading its request's body through a tee."""
    __traceback_hide__ = True  # of the stack of an error, by Paste's convention
    source = environ.get("wsgi.input")
    state = current_request()
    if source is not None and type(state) is RequestState:
        state.tee = tee = InputTee(limit)
        environ["wsgi.input"] = tee.around(source)
    return app(environ, start_response)
