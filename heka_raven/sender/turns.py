"""When a program that sends has its turn at the lock, and when SIGTERM or SIGINT ends it."""

from __future__ import annotations

import logging
import os
import signal
import time
from typing import Protocol

from heka_raven.sender.lock import SenderLock, holder_pid

LOCK_EVERY_S = 1.0
NAP_S = 0.05  # how soon a signal is noticed

logger = logging.getLogger("heka_raven")


def name_holder(pid: int | None) -> str:
    """Who holds the lock, in words."""
    return f"pid {pid}" if pid else "one that wrote no pid"


class Stoppable(Protocol):
    """A sender or a publisher. Its ``stop`` takes no lock: a signal handler calls it."""

    def stop(self) -> None: ...


class Turns:
    """Waits for the lock, again and again, until a signal comes."""

    def __init__(self, spool_path: str, lock: SenderLock) -> None:
        """Take SIGTERM and SIGINT over."""
        self.over = False
        self.current: Stoppable | None = None
        self._spool_path = spool_path
        self._lock = lock
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def _end(self, *_: object) -> None:
        # A flag, no threading.Event: its `set` would wait for the lock that `wait`, which the signal met, may hold.
        self.over = True
        if self.current is not None:
            self.current.stop()

    def take(self) -> bool:
        """Wait for the lock; False when it is over."""
        told = False
        while not self.over:
            if self._lock.acquire():
                return True
            if not told:
                told = self._tell()
            self.wait()
        return False

    def wait(self) -> None:
        """A moment's rest."""
        until = time.monotonic() + LOCK_EVERY_S
        while not self.over and time.monotonic() < until:
            time.sleep(NAP_S)

    def _tell(self) -> bool:
        pid = holder_pid(self._spool_path)
        if self._lock.trouble is not None:
            logger.error("spool %s: waiting, the lock cannot be had: %s", self._spool_path, self._lock.trouble)
        elif pid is not None:
            logger.info("spool %s: waiting, the sender is %s", self._spool_path, name_holder(pid))
        elif not os.path.isdir(self._spool_path):
            logger.info("spool %s: waiting, it is gone: the next event makes it anew", self._spool_path)
        else:
            return False  # the lock was given back just now
        return True
