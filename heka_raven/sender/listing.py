"""When to list new/, for whoever empties it."""

from __future__ import annotations

import time

from heka_raven.spool.spool import Spool

TICK_S = 0.1  # how often new/ is looked at
FRESH_MTIME_S = 0.2  # a directory that changed this recently may change again within one mtime: list it once more
LIST_SHARE = 20  # of a large backlog: one listing for 20 times its cost of work
AGAIN_S = 1.0  # after which a file that could not be read is looked for again


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
        self._asked_for: float | None = None

    def look(self) -> list[str]:
        """The names in ``new/``, oldest first, if it changed since the last look; else none."""
        tick = time.monotonic()
        if tick < self._again_at or (self._once and self.done):
            return []
        asked_for = self._asked_for is not None and tick >= self._asked_for
        mtime_ns = self._spool.new_mtime_ns()
        # Between the two: neither a slow listing nor a pause right here makes a directory that is recent look old.
        now = time.time()
        if mtime_ns == self._mtime_ns and not asked_for:
            return []
        if asked_for:
            self._asked_for = None
        try:
            names = self._spool.names()
        except OSError:  # no descriptor is free, as a rule: at the next look
            return []
        cost_s = time.monotonic() - tick
        if cost_s > TICK_S / LIST_SHARE:
            self._again_at = tick + cost_s * LIST_SHARE
        recent = abs(now - mtime_ns / 1e9) < FRESH_MTIME_S
        self._mtime_ns = -1 if recent else mtime_ns
        self.done = True
        return names

    def again(self) -> None:
        """List once more in a second, changed or not: a file is there and could not be read. Any thread may ask."""
        self._asked_for = time.monotonic() + AGAIN_S
