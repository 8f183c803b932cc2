# wsgi.py: the middleware itself: where an application can fail, and what happens then.
#
# Rule 1: the server sees what it would see without us: same bytes, same calls, same exception object.
# Rule 2: a request that goes well pays for one scope and one wrapper; everything else is made after a failure.
# Rule 3: nothing that goes wrong in here reaches the application or the server.
"""``RavenMiddleware``: reports the exceptions of a WSGI application and raises them again."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from heka.exceptions import ConfigError
from heka_raven.middleware.body import watch
from heka_raven.middleware.policy import Policy
from heka_raven.middleware.request import describe
from heka_raven.scope import CURRENT

if TYPE_CHECKING:
    from heka.client import HekaClient

log = logging.getLogger("heka_raven")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_set = CURRENT.set
_reset = CURRENT.reset


class RavenMiddleware:
    """Report what fails in *app*, at the call, while its body is iterated, and when it is closed; then raise it again.

    Args:
        app: the WSGI application.
        client: a heka client with the raven plugin.
        dsn: instead of a client: where to report to. A client of its own is made, which writes into the spool.
    """

    def __init__(self, app: Application, client: HekaClient | None = None, dsn: str | None = None) -> None:
        if (client is None) == (dsn is None):
            raise ConfigError("RavenMiddleware: give either a client or a dsn")
        if client is None:
            from heka_raven.raven_plugin import build_client

            client = build_client(dsn)
        self.app = app
        self.client: Any = client
        self.policy = Policy()
        self.describe = describe

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def started(status: str, headers: list[tuple[str, str]], *exc_info: Any, **keywords: Any) -> Any:
            if exc_info or keywords:
                self.caught(environ, exc_info, keywords, status)
            state[0] = status
            return start_response(status, headers, *exc_info, **keywords)

        state: list[str | None] = [None]
        token = _set((self.describe, environ))
        try:
            body = self.app(environ, started)
        except BaseException as error:
            self.failed(environ, error, state[0])
            raise
        finally:
            _reset(token)
        kind = type(body)
        if kind is list or kind is tuple:
            return body
        return watch(body, self, environ, state)

    def caught(self, environ: Environ, exc_info: tuple[Any, ...], keywords: dict[str, Any], status: str) -> None:
        """The application dealt with an exception of its own and tells the server of it."""
        given = exc_info[0] if exc_info else keywords.get("exc_info")
        if type(given) is tuple and len(given) == 3 and isinstance(given[1], BaseException):
            self.report(environ, (given[0], given[1], given[2]), status)

    def failed(self, environ: Environ, error: BaseException, status: str | None) -> str | None:
        """An exception is on its way to the server; the caller raises it again."""
        traceback = error.__traceback__
        if traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next  # without the frame of the middleware
        return self.report(environ, (type(error), error, traceback), status)

    def report(self, environ: Environ, exc_info: ExcInfo, status: str | None) -> str | None:
        """Report an exception of the request of *environ*, if it is one to report.

        Returns:
            The event id, or None if nothing was sent. Never raises.
        """
        try:
            if not self.policy.wants(exc_info[1], environ):
                return None
            token = _set((partial(self.describe, status=status, traceback=exc_info[2]), environ))
            try:
                event_id: str | None = self.client.raven("", exc_info=exc_info)
            finally:
                _reset(token)
            return event_id
        except BaseException:
            # Whatever it was, the application's own exception is what the server must see.
            log.warning("could not report %s", exc_info[0], exc_info=sys.exc_info())
            return None
