"""State/sender.lock. Whoever holds it delivers for everyone; the kernel frees it when its holder dies.

An flock belongs to the open file description, which a fork shares: a child that kept the descriptor would keep the
lock alive after its parent's death. So every child closes it at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import time
import weakref

from heka_raven.spool.directory import SpoolError, close_read, is_at, make_spool

SOON_TRIES = 5
SOON_PAUSE_S = 0.02

_LOOK = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # the spool may be another user's

_held: weakref.WeakSet[SenderLock] = weakref.WeakSet()
_opening = threading.RLock()  # no fork while a lock file is open and not in _held


class SenderLock:
    """The right to deliver from one spool."""

    def __init__(self, spool_path: str) -> None:
        self._spool_path = spool_path
        self.path = os.path.join(spool_path, "state", "sender.lock")
        self._fd = -1
        self._pid = -1
        self.trouble: str | None = None  # why the last try failed, if not because another holds it

    def acquire(self) -> bool:
        """Try once; False when another holds it, the directory is gone, or there is trouble."""
        if self.held():
            return True
        self.release()
        self.trouble = None
        if not os.path.isdir(os.path.dirname(self.path)) and os.path.isdir(self._spool_path):
            try:
                make_spool(self._spool_path)  # somebody deleted state/ alone: no event would make it anew
            except SpoolError as error:
                self.trouble = str(error)
                return False
        with _opening:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:  # no spool: the next event makes it anew
                return False
            except OSError as error:
                self.trouble = f"{self.path}: {error.strerror}"
                return False
            self._fd, self._pid = fd, os.getpid()
            _held.add(self)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                self.trouble = f"{self.path}: {error.strerror}"
            self.release()
            return False
        if not self.held():  # deleted and made anew between open and flock
            self.release()
            return False
        # For people, and for commands that name the holder. On a full disk it is not written, and the lock is ours all
        # the same: who else would empty the spool?
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % self._pid, 0)
        return True

    def acquire_soon(self) -> bool:
        """Try a few times: a look at the lock by `status` holds it for microseconds."""
        for _ in range(SOON_TRIES):
            if self.acquire():
                return True
            time.sleep(SOON_PAUSE_S)
        return False

    def held(self) -> bool:
        """Whether we still have it: a lock file that was deleted protects nothing."""
        return self._fd >= 0 and self._pid == os.getpid() and is_at(self._fd, self.path)

    def release(self) -> None:
        with _opening:
            fd, self._fd = self._fd, -1
            # Whoever daemonises closes every descriptor; in a child the number may be a file of the app's by now.
            if fd >= 0 and (self._pid == os.getpid() or is_at(fd, self.path)):
                try:
                    os.close(fd)
                except OSError:
                    pass  # closed by such a parent
            _held.discard(self)


def holder_pid(spool_path: str) -> int | None:
    """Who holds the lock now; None when nobody does. Takes nothing: a shared try, given back at once."""
    try:
        fd = os.open(os.path.join(spool_path, "state", "sender.lock"), _LOOK)
    except OSError:
        return None
    try:
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(fd, 16).strip()
            return int(text) if text.isdigit() else 0
        return None
    except OSError:
        return None
    finally:
        close_read(fd)


def _close_in_child() -> None:
    global _opening
    _opening = threading.RLock()
    for lock in list(_held):
        lock.release()


os.register_at_fork(
    before=lambda: _opening.acquire(),
    after_in_parent=lambda: _opening.release(),
    after_in_child=_close_in_child,
)
