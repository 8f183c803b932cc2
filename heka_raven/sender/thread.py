"""The sender as a thread of the app's process.

It starts at the first event, tries for the lock once a second, delivers while it has it, and is gone after a fork:
the child's first event starts the child's own. At exit the process waits a moment for what can still go.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from heka_raven.sender.lock import SenderLock
from heka_raven.sender.options import SenderOptions
from heka_raven.spool.spool import Spool

if TYPE_CHECKING:
    from heka_raven.sender.loop import Sender

LOCK_EVERY_S = 1.0

# A fork while the thread is inside an import would leave the child with modules that no thread will ever finish
# loading: every fork waits for the import, which takes a tenth of a second, once.
_importing = threading.Lock()


class SenderThread:
    """The sender thread of one spool in this process."""

    def __init__(self, spool: Spool, options: SenderOptions) -> None:
        self._spool = spool
        self._options = options
        self._reset()
        self._registered = False
        _threads.add(self)

    def _reset(self) -> None:
        self._guard = threading.Lock()
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._sender: Sender | None = None
        self._lock = SenderLock(self._spool.path)
        self._wake = threading.Event()
        self._stopping = False
        self._ended = False
        self._exit_by: float | None = None

    def running(self) -> bool:
        return self._pid == os.getpid() and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start unless it runs. Cheap: the heavy imports happen in the thread."""
        if self._pid != os.getpid():  # forked by somebody who told Python nothing (uWSGI without py-call-osafterfork)
            self._lock.release()
            self._reset()
        # Another thread is at it, or this very one, and a signal handler reports: it must not wait for itself.
        if not self._guard.acquire(blocking=False):
            return
        try:
            if self.running() or self._stopping or self._ended:
                return
            self._exit_by = None
            self._wake.clear()
            self._thread = threading.Thread(target=self._run, name="heka-raven-sender", daemon=True)
            self._thread.start()
            if not self._registered:
                self._registered = True
                atexit.register(_stop_at_exit, weakref.ref(self))
        finally:
            self._guard.release()

    def stop(self, wait_s: float) -> None:
        """Deliver what can go within *wait_s*, then end the thread; what is left stays in the spool."""
        if not self.running():
            return
        self._exit_by = time.monotonic() + wait_s
        self._stopping = True
        self._wake.set()
        sender, thread = self._sender, self._thread
        if sender is not None:
            sender.stop(drain_until=self._exit_by)
        if thread is not None:
            thread.join(max(0.0, self._exit_by - time.monotonic()))
        self._stopping = False

    def at_exit(self) -> None:
        """For the last time: a thread begun for the event of a later exit handler would be cut off within a send."""
        self._ended = True
        self.stop(self._options.exit_wait_s)

    def _run(self) -> None:
        with _importing:
            from heka_raven.sender.loop import Sender
        while True:
            if self._lock.acquire():
                try:
                    sender = self._sender = Sender(self._spool, self._options, still_ours=self._lock.held)
                    if self._exit_by is not None:
                        sender.stop(drain_until=self._exit_by)
                    sender.run()
                except Exception as error:  # never through the app's excepthook; the next round tries again
                    self._spool.log_sparingly("sender", "the sender stopped, events wait in the spool: %r", error)
                finally:
                    self._sender = None
                    self._lock.release()
            elif self._lock.trouble is not None:
                self._spool.log_sparingly("lock", "the sender cannot start, events wait: %s", self._lock.trouble)
            if self._exit_by is not None:
                return
            self._wake.wait(LOCK_EVERY_S)  # set by stop() alone


_threads: weakref.WeakSet[SenderThread] = weakref.WeakSet()


def _stop_at_exit(reference: weakref.ref[SenderThread]) -> None:
    thread = reference()
    if thread is not None:
        thread.at_exit()


def _after_fork_in_child() -> None:
    global _importing
    _importing = threading.Lock()
    for thread in list(_threads):
        thread._lock.release()
        thread._reset()


os.register_at_fork(
    before=lambda: _importing.acquire(),
    after_in_parent=lambda: _importing.release(),
    after_in_child=_after_fork_in_child,
)
