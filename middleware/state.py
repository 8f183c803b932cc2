"""One request as the middleware knows it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from heka_raven.middleware.request import describe
from heka_raven.middleware.tee import InputTee
from heka_raven.scope import CURRENT, CurrentRequest, Environ, RequestFacts

if TYPE_CHECKING:
    from heka_raven.middleware.wsgi import RavenMiddleware

MECHANISM = {"type": "wsgi", "handled": False}
CAUGHT = {"type": "wsgi", "handled": True}
_NOTHING: Any = object()

_get = CURRENT.get
_set = CURRENT.set

Reference = Callable[[], CurrentRequest | None]
Entered = Token[Reference | None]


def enter(reference: Reference) -> Entered | None:
    """Make the request of *reference* the current one of this context.

    Returns:
        What to :func:`leave` with if another request is running around this one. If none is, *reference* stays: it
        keeps nothing, and costs less than to take it away.
    """
    outer = _get()
    token = _set(reference)
    around = None if outer is None else outer()
    return None if around is None or around.environ is None else token


def leave(token: Entered | None) -> None:
    """Go back to the request that :func:`enter` found running."""
    if token is not None:
        CURRENT.reset(token)


class Failure(NamedTuple):
    """What is being reported of a request."""

    status: str | None  # of the response, as far as it is known
    traceback: TracebackType | None
    body: Any = None  # that it came out of: the framework may have forgotten its request by then


class Answer(Enum):
    """What is known of an answer of 500 or more, where no event waits for it."""

    UNEXPLAINED = "nobody said why"
    EXPLAINED = "its error is reported, or is none to report"


class RequestState(CurrentRequest):
    """Made for each request, and filled by ``RavenMiddleware.__call__``: an ``__init__`` would cost as much again.

    Attributes:
        middleware: that the request came through.
        start_response: the server's.
        status: of the response, once the application began it; None where that is not looked at (uWSGI).
        tee: what the application reads its body through, with the option ``body``.
        failure: while it is reported.
        kept: the event of an error that a framework keeps, until it is known how it answers.
        in_flight: with the option ``watch``, while the body is iterated; else it is not set.
    """

    __slots__ = ("failure", "in_flight", "kept", "middleware", "start_response", "status", "tee")

    middleware: RavenMiddleware
    start_response: Callable[..., Any]
    status: str | None
    tee: InputTee | None
    failure: Failure | None
    in_flight: Any
    kept: Any  # Held, Answer or None; mypy would take it for the None that it begins as

    def describe(self, environ: Environ) -> RequestFacts:
        """What an event may know of the request."""
        failure = self.failure or Failure(None, None)
        left = () if failure.body is None else (failure.body, self.middleware.app)
        return describe(
            environ,
            trusted_proxies=self.middleware.options.trusted_proxies,
            status=failure.status,
            traceback=failure.traceback,
            tee=self.tee,
            left=left,
        )

    def start(self, status: str, headers: Any = _NOTHING, exc_info: Any = None) -> Any:
        """The ``start_response`` that the application gets."""
        if exc_info is not None:
            return self._start_anew(status, headers, exc_info)
        if headers is _NOTHING:
            return self.start_response(status)  # wrong, and the server is to say so in its own way
        write = self.start_response(status, headers)
        self.status = status
        try:
            if status >= "5" and self.kept is None:
                self.kept = Answer.UNEXPLAINED
        except TypeError:
            pass  # no text: that is between the application and the server
        return write

    def start_in_uwsgi(self, status: str, /, *more: Any) -> Any:
        """The same for the few requests of uWSGI that are looked at.

        Its own takes no keywords. Given an ``exc_info`` it raises SystemError from the application's own error, which
        is reported when it comes out.
        """
        write = self.start_response(status, *more)
        self.status = status
        if type(status) is str and status >= "5" and self.kept is None:
            self.kept = Answer.UNEXPLAINED
        return write

    def _start_anew(self, status: str, headers: Any, exc_info: Any) -> Any:
        """The application dealt with an exception of its own and tells the server of it."""
        mechanism = MECHANISM  # of a server that refuses: the visitor has a part of another response
        try:
            write = self.start_response(status, headers, exc_info)
            self.status = status
            mechanism = CAUGHT
            return write
        finally:
            if type(exc_info) is tuple and len(exc_info) == 3 and issubclass(type(exc_info[1]), BaseException):
                self.middleware.report(self, exc_info[1], exc_info[2], self.status, mechanism)
