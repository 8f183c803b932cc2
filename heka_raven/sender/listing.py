# sender/listing.py: when to list new/, for whoever empties it.

from __future__ import annotations

import time

from heka_raven.spool import Spool

TICK_S = 0.1  # how often new/ is looked at
FRESH_MTIME_S = 0.2  # a directory that changed this recently may change again within one mtime: list it once more
LIST_SHARE = 20  # of a large backlog: one listing for 20 times its cost of work


class Listing:
    """Lists new/ when it changed, but never spends more than a small share of the time on it."""

    def __init__(self, spool: Spool, *, once: bool = False) -> None:
        """Nothing is listed yet.

        Args:
            once: list a single time.
        """
        self.done = False  # whether it was listed at all
        self._spool = spool
        self._once = once
        self._mtime_ns = -1
        self._again_at = 0.0

    def look(self) -> list[str]:
        """The names in ``new/``, oldest first, if it changed since the last look; else none."""
        tick = time.monotonic()
        if tick < self._again_at or (self._once and self.done):
            return []
        now = time.time()  # before the listing: it may take longer than a directory is recent
        mtime_ns = self._spool.new_mtime_ns()
        if mtime_ns == self._mtime_ns:
            return []
        names = self._spool.names()
        cost_s = time.monotonic() - tick
        if cost_s > TICK_S / LIST_SHARE:
            self._again_at = tick + cost_s * LIST_SHARE
        recent = abs(now - mtime_ns / 1e9) < FRESH_MTIME_S
        self._mtime_ns = -1 if recent else mtime_ns
        self.done = True
        return names
