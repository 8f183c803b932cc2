"""Locks that a fork cannot leave locked.

A lock that another thread holds at the moment of a fork stays locked in the child for ever. ``os.register_at_fork``
does not help: uWSGI forks without running Python's hooks unless it is told to. So every process gets a lock of its own.
"""

import os
import threading


class ProcessLocks:
    """One lock per process, made when the process first asks."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}

    def current(self) -> threading.Lock:
        """The lock of this process. Use it at once (``with locks.current():``), never across a fork."""
        pid = os.getpid()
        # setdefault is atomic: two threads that come first at the same time get the same lock.
        return self._locks.get(pid) or self._locks.setdefault(pid, threading.Lock())
