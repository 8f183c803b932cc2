"""The requests in flight of this process, told to `heka-raven watch`. Without the option ``watch`` none passes here."""

# Rule 1: what goes wrong in here is not seen by the request; it is then not told.
# Rule 2: the file is made at the first request, after all forks that a server makes; a child of ours has its own.

from __future__ import annotations

import atexit
import faulthandler
import logging
import mmap
import os
import signal
from collections.abc import Callable, Iterable
from operator import itemgetter
from threading import Lock
from time import monotonic
from typing import Any

from heka.limited_log import TROUBLES
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import (
    BEGAN_AT,
    IN_ORDER,
    REGISTERED,
    ROW_SIZE,
    SLOT_AS_WRITTEN,
    SLOT_SIZE,
    SLOTS,
    Slots,
    Thread,
)
from heka_raven.scope import CURRENT
from heka_raven.spool.watched import make_own, remove
from heka_raven.uwsgi_bridge import in_uwsgi

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]

STACK_SIGNAL = signal.SIGRTMIN + 5
MAX_NAME = 100
WATCHED_KEY = "heka_raven.watched"  # in the environ: the slot of this request

_get = CURRENT.get
_pack_into = SLOT_AS_WRITTEN.pack_into
# Without the query: this is a file, and nothing in it is masked yet.
_KEYS = ("REQUEST_METHOD", "REMOTE_ADDR", "wsgi.url_scheme", "SCRIPT_NAME", "PATH_INFO", "HTTP_HOST")
_values = itemgetter(*_KEYS)
_join = "\n".join


class Own:
    """The row of this process, and where its slots are."""

    def __init__(self, spool_path: str = "", server: str = "") -> None:
        self.path = ""
        self.enabled = False
        # A list's methods hold for threads and greenlets without a lock. What was given back last is cached.
        self.free: list[int] = []
        self.thread = Thread()
        if not spool_path:
            return
        told, self._stacks, self.path = make_own(spool_path, ROW_SIZE)
        try:
            self.memory = mmap.mmap(told, ROW_SIZE)
        finally:
            os.close(told)
        self.begins = memoryview(self.memory)[BEGAN_AT:].cast("Q")
        self._slots = Slots(self.memory)
        self._slots.begin_row(0, os.getpid(), 0)
        self._slots.answer(0, server.encode("utf-8", "replace")[:MAX_NAME])
        self.free.extend(4096 + slot * SLOT_SIZE for slot in range(SLOTS))
        # Its C code writes all threads' stacks, whoever holds the interpreter.
        faulthandler.register(STACK_SIGNAL, file=self._stacks, all_threads=True, chain=False)
        if not faulthandler.is_enabled():  # else it is the application's own
            faulthandler.enable(file=self._stacks, all_threads=True)
            self.enabled = True
        self._slots.set_flag(0, REGISTERED)

    def leave(self) -> None:
        """The process ends in order."""
        self._slots.set_flag(0, IN_ORDER)
        remove(self.path)


class Mark:
    """A request whose body is on its way: over when nobody has it any more, or before, by :func:`end`."""

    __slots__ = ("_at", "_own")

    def __init__(self, own: Own, at: int) -> None:
        self._own = own
        self._at: int | None = at

    def end(self) -> None:
        at, self._at = self._at, None
        if at is not None:
            _end(self._own, at)

    __del__ = end


class _Process:
    """What this process has: no row yet, one, or one without slots."""

    own: Own | None = None
    lock = Lock()
    listens = False


def around(app: Application, client: Any) -> Application:
    """*app*, whose requests are told in the spool of *client*."""
    spool = getattr(getattr(client, "stream", None), "spool", None)
    if spool is None:
        TROUBLES.tell("watch", logging.WARNING, "watch: nothing is told: the client writes into no spool")
        return app
    spool_path, process = spool.path, _Process

    def with_slot(environ: Environ, start_response: Any) -> Iterable[bytes]:
        """*app*, with its request in a slot until its body is through."""
        __traceback_hide__ = True  # of the stack of an error, by Paste's convention
        at = None
        try:
            own = process.own or _begin(spool_path, environ)
            at = own.free.pop()
            if environ.setdefault(WATCHED_KEY, at) is not at:  # a middleware further out has told it
                own.free.append(at)
                at = None
            else:
                try:
                    text = _join(_values(environ)).encode()
                except (LookupError, TypeError, ValueError):  # no HTTP_HOST, as in HTTP/1.0, or what is no text
                    text = _join([str(environ.get(key) or "") for key in _KEYS]).encode("utf-8", "replace")
                _pack_into(own.memory, at, own.thread.numbers, text, monotonic())
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


def _end(own: Own, at: int) -> None:
    if own is _Process.own:  # else this is a child, and the slot is its parent's
        own.begins[at >> 3] = 0
        own.free.append(at)


def _begin(spool_path: str, environ: Environ) -> Own:
    with _Process.lock:
        if _Process.own is not None:
            return _Process.own
        if not _Process.listens:
            _Process.listens = True
            os.register_at_fork(after_in_child=_forget)
            atexit.register(_leave)
        found = Own()
        # Those two have a watch of their own, which asks by the same signal.
        if not in_uwsgi() and EYES.told is None:
            try:
                found = Own(spool_path, str(environ.get("SERVER_SOFTWARE", "")))
            except Exception as error:
                TROUBLES.tell("watch", logging.WARNING, "watch: nothing is told: %s", error)
        _Process.own = found
        return found


def _forget() -> None:
    """In a child: what the parent tells is not ours, nor are its stacks."""
    own, _Process.own, _Process.lock = _Process.own, None, Lock()
    if own is not None and own.path:
        faulthandler.unregister(STACK_SIGNAL)
        if own.enabled:
            faulthandler.disable()


def _leave() -> None:
    if _Process.own is not None and _Process.own.path:
        _Process.own.leave()
