"""Asks another process for a stack so that it outlives the question: Python first, faulthandler where that is safe."""

# Rule 1: Python's own handler answers between two instructions, with the interpreter held. faulthandler's, which is C
# and runs wherever the signal finds a thread, reads frames that Python may be changing: a busy process dies of one
# question in 150 (Python 3.13) to 1,500 (3.11). So it is only sent to a thread that stands still, or that is in C code,
# and it shows that thread alone.
# Rule 2: only a process that said it has the handlers is ever signalled: what has none, it dies of.

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable
from typing import Any

from heka_raven.gunicorn.threads import cpu_ns, look_at

STILL_S = 0.03  # so long without a processor: who waits for the interpreter, wakes up each 5 ms
IN_C_NS = 20_000_000  # of a processor since the question: Python would have come to the end of an instruction
BEGUN_S = 1.5  # the most that an answer takes once it was begun, on a busy machine
SETTLED_S = 1.0  # and until it is known what a thread is at that gets no processor
STACK_S = 0.1

_tgkill: Any = getattr(ctypes.CDLL(None, use_errno=True), "tgkill", None)  # glibc 2.30


class Question:
    """What the threads had run when Python was asked.

    Args:
        asked: whether Python was: None of its handler may be there.
    """

    def __init__(self, pid: int, tid: int, asked: bool) -> None:
        self._pid = pid
        self._tid = tid = tid or pid
        self._ran = cpu_ns(pid, tid)
        self._asked = asked

    def wait(
        self, read: Callable[[], bytes | None], begun: Callable[[], bool], limit_s: float
    ) -> tuple[bytes | None, bool]:
        """The answer of Python's handler; where none comes: whether faulthandler may look at the thread.

        Args:
            begun: whether the handler runs.
            limit_s: for it to begin.
        """
        asked_s = time.monotonic()
        until_s = asked_s + max(limit_s, SETTLED_S)
        while time.monotonic() < until_s or (begun() and time.monotonic() < asked_s + BEGUN_S):
            if self._asked and (data := read()) is not None:
                return data, False
            if begun() or (self._asked and time.monotonic() < asked_s + limit_s):
                time.sleep(0.005)
            elif look_at(self._pid, self._tid) is None:
                break
            elif self._may_dump():
                return None, not begun()
        return None, False

    def _may_dump(self) -> bool:
        """After no answer began."""
        pid, tid = self._pid, self._tid
        before, main_before = cpu_ns(pid, tid), cpu_ns(pid, pid)
        time.sleep(STILL_S)
        thread, main = look_at(pid, tid), look_at(pid, pid)
        after, main_after = cpu_ns(pid, tid), cpu_ns(pid, pid)
        if thread is None or main is None or not before:
            return False
        if thread.state in ("waiting", "uninterruptible"):
            return before == after
        if not self._asked or thread.state != "running" or after - self._ran < IN_C_NS:
            return False
        # In C code. Which keeps the interpreter, if the main thread waits for that: it wakes up, and does not answer.
        return tid == pid or (main.state == "waiting" and main_after != main_before)

    def dump(self, pidfd: int, number: int, descriptor: int) -> None:
        """Send the thread the signal *number*, and wait until faulthandler has written into *descriptor*.

        Raises:
            OSError: it is gone.
        """
        if _tgkill is None or select.select([pidfd], [], [], 0)[0]:
            return  # a pidfd keeps no number from being used again: that would have to happen between here and there
        if _tgkill(self._pid, self._tid, number):
            raise OSError(ctypes.get_errno(), "tgkill")
        size, until_s = -1, time.monotonic() + STACK_S
        while time.monotonic() < until_s:
            time.sleep(0.01)
            now = os.fstat(descriptor).st_size
            if now and now == size:
                break
            size = now
