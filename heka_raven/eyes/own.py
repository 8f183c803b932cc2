"""The row of this process, in files that `heka-raven watch` looks at: what is in flight, stacks, an answer."""

# Rule 1: the files are made at the first request or job, after all forks that a server makes; a child has its own.
# Rule 2: what is asked by a signal is answered masked, between two instructions of the main thread; else not at all.

from __future__ import annotations

import atexit
import faulthandler
import logging
import mmap
import os
import signal
import sys
import threading
from collections.abc import Callable
from threading import Lock
from time import monotonic
from types import FrameType
from typing import Any

import orjson

from heka.limited_log import TROUBLES
from heka_raven.eyes.answers import write_answer
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import (
    ANSWERS,
    BEGAN_AT,
    IN_ORDER,
    MAX_TEXT,
    REGISTERED,
    ROW_SIZE,
    SLOT_AS_WRITTEN,
    SLOT_SIZE,
    SLOTS,
    Slots,
    Thread,
)
from heka_raven.spool.watched import make_own, remove
from heka_raven.uwsgi_bridge import in_uwsgi

STACK_SIGNAL = signal.SIGRTMIN + 5
ANSWER_SIGNAL = signal.SIGRTMIN + 6
MAX_NAME = 100
MAX_KNOWN = 4000  # bytes of what is known of a request

pack_into = SLOT_AS_WRITTEN.pack_into


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
        told, self._stacks, self._values, self.path = make_own(spool_path, ROW_SIZE)
        try:
            self.memory = mmap.mmap(told, ROW_SIZE)
        finally:
            os.close(told)
        self.begins = memoryview(self.memory)[BEGAN_AT:].cast("Q")
        self._slots = Slots(self.memory)
        self._slots.begin_row(0, os.getpid(), os.getppid())
        self._slots.answer(0, server.encode("utf-8", "replace")[:MAX_NAME])
        self.free.extend(4096 + slot * SLOT_SIZE for slot in range(SLOTS))
        EYES.tell(self._tell_rules)
        # Its C code writes the stack of the thread that is signalled, whoever holds the interpreter: see asking.py.
        faulthandler.register(STACK_SIGNAL, file=self._stacks, all_threads=False, chain=False)
        if not faulthandler.is_enabled():  # else it is the application's own
            faulthandler.enable(file=self._stacks, all_threads=True)
            self.enabled = True
        self._slots.set_flag(0, REGISTERED)
        if signal.getsignal(ANSWER_SIGNAL) is _answer:
            self._slots.set_flag(0, ANSWERS)

    def begin(self, text: bytes) -> int | None:
        """A request or a job begins; None: there is no slot for it, or not enough room in one."""
        if not self.free or len(text) > MAX_TEXT:
            return None
        at = self.free.pop()
        pack_into(self.memory, at, self.thread.numbers, text, monotonic())
        return at

    def end(self, at: int) -> None:
        """What began there is over."""
        if self is Process.own:  # else this is a child, and the slot is its parent's
            self.begins[at >> 3] = 0
            self.free.append(at)

    def answer(self, frame: FrameType | None) -> None:
        """The frames of the thread that is asked about, with values, and what is known of its request: both masked."""
        number, thread = self._slots.question(0)
        found = (sys._current_frames().get(thread) if thread else None) or frame
        known = orjson.dumps(EYES.mask_known(Process.describe(found) or {}))
        known = known if len(known) <= MAX_KNOWN else b"{}"
        write_answer(self._values, number, known + b"\n" + EYES.look(thread, frame, bare=True))

    def leave(self) -> None:
        """The process ends in order."""
        if self.path:
            self._slots.set_flag(0, IN_ORDER)
            remove(self.path)

    def forget(self) -> None:
        """In a child: what the parent tells is not ours, nor are its stacks."""
        if self.path:
            EYES.tell(None)
            faulthandler.unregister(STACK_SIGNAL)
            if self.enabled:
                faulthandler.disable()

    def _tell_rules(self, lines: bytes) -> None:
        self._slots.tell_rules(0, lines)


class Process:
    """What this process has: no row yet, one, or one without slots."""

    own: Own | None = None
    lock = Lock()
    listens = False
    # What is known of the request that a frame is in.
    describe: Callable[[FrameType | None], dict[str, Any] | None] = staticmethod(lambda frame: None)


def begin_row(spool_path: str, server: str) -> Own:
    """The row of this process, made if there is none. Never raises."""
    with Process.lock:
        if Process.own is not None:
            return Process.own
        if not Process.listens:
            Process.listens = True
            os.register_at_fork(after_in_child=_forget)
            atexit.register(_leave)
        found = Own()
        # Those two have a watch of their own, which asks by the same signal.
        if not in_uwsgi() and not EYES.tells():
            try:
                found = Own(spool_path, server)
            except Exception as error:
                TROUBLES.tell("watch", logging.WARNING, "watch: nothing is told: %s", error)
        Process.own = found
        return found


def listen() -> None:
    """Answer when a watch asks, in this process and in its children, where the signal is nobody's yet."""
    try:
        # mod_wsgi refuses all signals, with a traceback in Apache's log.
        if in_uwsgi() or "mod_wsgi" in sys.modules or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(ANSWER_SIGNAL) is signal.SIG_DFL:
            signal.signal(ANSWER_SIGNAL, _answer)
            EYES.hide(__file__)
    except Exception:
        return  # another interpreter's main thread: values are not told, then


def _answer(signum: int, frame: FrameType | None) -> None:
    try:
        if Process.own is not None and Process.own.path:
            Process.own.answer(frame)
    except BaseException:
        return


def _forget() -> None:
    own, Process.own, Process.lock = Process.own, None, Lock()
    if own is not None:
        own.forget()


def _leave() -> None:
    if Process.own is not None:
        Process.own.leave()
