"""What a worker writes while it crashes, through a pipe that holds it: its memory can be read until it is let go.

A pipe of packets with room for one: faulthandler's handler, in the worker, waits at its second write for whoever reads
the first.
"""

# Rule 1: only the watcher and its keeper have the reading ends: without both a write fails, and the worker dies.
# Rule 2: a worker is held for one look of py-spy, and of several that crash at once only one is.

from __future__ import annotations

import fcntl
import os
import re
import select
import time
from collections.abc import Sequence

from heka_raven.spool.watched import close_all

ONE_PACKET = 4096  # bytes: the smallest pipe
QUIET_MS = 50  # who writes nothing for so long has ended, or goes on later
MOST_S = 1.0  # of reading at once
MAX_WORDS = 256 * 1024
FIRST = b"Fatal Python error"
_THREAD = re.compile(rb"Current thread (0x[0-9a-f]+) ")


def make_pipes(count: int) -> tuple[list[int], list[int]]:
    """Reading and writing ends; none where the kernel has no pipes of packets."""
    reads: list[int] = []
    writes: list[int] = []
    try:
        for _ in range(count):
            read, write = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
            reads.append(read)
            writes.append(write)
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, ONE_PACKET)
            os.set_blocking(read, False)
    except OSError:
        close_all(reads)
        close_all(writes)
    return reads, writes


class LastWords:
    """In the watcher: the reading ends, by row."""

    def __init__(self, reads: Sequence[int]) -> None:
        self.reads = reads
        self._words: dict[int, bytes] = {}

    def begun(self) -> list[int]:
        """The rows whose worker waits for its reader."""
        return [place for place, read in enumerate(self.reads) if is_readable(read, 0)]

    def thread(self, place: int, pidfd: int = -1) -> int:
        """Read on until the crashed thread is known, and no further; 0: it is not.

        Args:
            pidfd: of the worker, which may have to wait for a processor before it writes on; -1: it is quiet then.
        """
        found = self._read(place, _THREAD, pidfd)
        return int(found[1], 16) if found is not None else 0

    def let_go(self, place: int) -> None:
        """Read the rest: the worker goes on."""
        self._read(place, None)

    def take(self, place: int) -> str:
        """All words of a worker that has ended."""
        self.let_go(place)
        return self._words.pop(place, b"").decode("utf-8", "replace")

    def _read(self, place: int, mark: re.Pattern[bytes] | None, pidfd: int = -1) -> re.Match[bytes] | None:
        until = time.monotonic() + MOST_S
        while time.monotonic() < until:
            if not is_readable(self.reads[place], QUIET_MS):
                if pidfd >= 0 and not is_readable(pidfd, 0):
                    continue
                break
            piece = os.read(self.reads[place], ONE_PACKET)
            if not piece:
                break
            known = b"" if piece.startswith(FIRST) else self._words.get(place, b"")
            self._words[place] = (known + piece)[:MAX_WORDS]
            found = mark.search(self._words[place]) if mark is not None else None
            if found is not None:
                return found
        return None


def is_readable(descriptor: int, wait_ms: int) -> bool:
    """Whether there is something to read, or the process of a pidfd has ended, within so long."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll(wait_ms))
