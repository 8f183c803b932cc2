"""One request as the middleware knows it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from heka_raven.middleware.request import describe
from heka_raven.middleware.tee import InputTee
from heka_raven.scope import CurrentRequest, Environ, RequestFacts

if TYPE_CHECKING:
    from heka_raven.middleware.wsgi import RavenMiddleware

MECHANISM = {"type": "wsgi", "handled": False}
CAUGHT = {"type": "wsgi", "handled": True}
_NOTHING: Any = object()


class Failure(NamedTuple):
    """What is being reported of a request."""

    status: str | None  # of the response, as far as it is known
    traceback: TracebackType | None


class RequestState(CurrentRequest):
    """Made for each request, and filled by ``RavenMiddleware.__call__``: an ``__init__`` would cost as much again.

    Attributes:
        middleware: that the request came through.
        start_response: the server's.
        status: of the response, once the application began it. Under uWSGI it stays None.
        tee: what the application reads its body through, with the option ``body``.
        failure: while it is reported.
    """

    __slots__ = ("failure", "middleware", "start_response", "status", "tee")

    middleware: RavenMiddleware
    start_response: Callable[..., Any]
    status: str | None
    tee: InputTee | None
    failure: Failure | None

    def describe(self, environ: Environ) -> RequestFacts:
        """What an event may know of the request."""
        status, traceback = self.failure or (None, None)
        proxies = self.middleware.options.trusted_proxies
        return describe(environ, trusted_proxies=proxies, status=status, traceback=traceback, tee=self.tee)

    def start(self, status: str, headers: Any = _NOTHING, exc_info: Any = None) -> Any:
        """The ``start_response`` that the application gets."""
        if exc_info is not None:
            return self._start_anew(status, headers, exc_info)
        if headers is _NOTHING:
            return self.start_response(status)  # wrong, and the server is to say so in its own way
        write = self.start_response(status, headers)
        self.status = status
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
