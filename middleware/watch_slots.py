"""The requests in flight of this process, told to `heka-raven watch`. Without the option ``watch`` none passes here."""

# Rule 1: what goes wrong in here is not seen by the request; it is then not told.

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from operator import itemgetter
from time import monotonic
from types import FrameType
from typing import Any

from heka.limited_log import TROUBLES
from heka_raven.eyes.own import Own, Process, begin_row, listen, pack_into
from heka_raven.middleware.state import RequestState
from heka_raven.scope import CURRENT

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]

WATCHED_KEY = "heka_raven.watched"  # in the environ: the slot of this request
MAX_FRAMES = 1000
MAX_TEXT = 200  # characters of a transaction

_get = CURRENT.get
# Without the query: this is a file, and nothing in it is masked yet.
_KEYS = ("REQUEST_METHOD", "REMOTE_ADDR", "wsgi.url_scheme", "SCRIPT_NAME", "PATH_INFO", "HTTP_HOST")
_values = itemgetter(*_KEYS)
_join = "\n".join


class Mark:
    """A request whose body is on its way: over when nobody has it any more, or before, by :func:`end`."""

    __slots__ = ("_at", "_own")

    def __init__(self, own: Own, at: int) -> None:
        self._own = own
        self._at: int | None = at

    def end(self) -> None:
        at, self._at = self._at, None
        if at is not None:
            self._own.end(at)

    __del__ = end


def around(app: Application, client: Any) -> Application:
    """*app*, whose requests are told in the spool of *client*."""
    spool = getattr(getattr(client, "stream", None), "spool", None)
    if spool is None:
        TROUBLES.tell("watch", logging.WARNING, "watch: nothing is told: the client writes into no spool")
        return app
    listen()
    Process.describe = staticmethod(_describe)
    spool_path, process = spool.path, Process

    def with_slot(environ: Environ, start_response: Any) -> Iterable[bytes]:
        """*app*, with its request in a slot until its body is through."""
        __traceback_hide__ = True  # of the stack of an error, by Paste's convention
        at = None
        try:
            own = process.own or begin_row(spool_path, str(environ.get("SERVER_SOFTWARE", "")))
            at = own.free.pop()
            if environ.setdefault(WATCHED_KEY, at) is not at:  # a middleware further out has told it
                own.free.append(at)
                at = None
            else:
                try:
                    text = _join(_values(environ)).encode()
                except (LookupError, TypeError, ValueError):  # no HTTP_HOST, as in HTTP/1.0, or what is no text
                    text = _join([str(environ.get(key) or "") for key in _KEYS]).encode("utf-8", "replace")
                pack_into(own.memory, at, own.thread.numbers, text, monotonic())
        except Exception:
            pass  # more requests at once than slots, or nobody to tell
        if at is None:
            return app(environ, start_response)
        try:
            body = app(environ, start_response)
            if type(body) is not list and (state := _state_of(environ)) is not None:
                state.in_flight = Mark(own, at)
                at = None
            return body
        finally:
            if at is not None and own is process.own:  # else this is a child, and the slot is its parent's
                own.begins[at >> 3] = 0
                own.free.append(at)

    return with_slot


def _state_of(environ: Environ) -> Any:
    """The middleware's state of this request, which lives as long as its body."""
    reference = _get()
    state: Any = None if reference is None else reference()
    return state if state is not None and state.environ is environ else None


def end(state: Any) -> None:
    """The request of *state* is over, whoever still has its body. Never raises."""
    mark = getattr(state, "in_flight", None)
    if mark is not None:
        mark.end()


def _describe(frame: FrameType | None) -> dict[str, Any] | None:
    """What the middleware knows of the request that *frame*, of whatever thread, is in."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            break
        if frame.f_code.co_name == "__call__" and frame.f_globals.get("__name__") == "heka_raven.middleware.wsgi":
            state = frame.f_locals.get("state")
            if type(state) is RequestState and state.environ is not None:
                facts = state.describe(state.environ)
                return {"transaction": facts.transaction[:MAX_TEXT], "user": facts.user, "trace": facts.trace}
        frame = frame.f_back
    return None
