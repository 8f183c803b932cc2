"""What the holder of the lock does beside sending: state on disk, dead processes' ledgers, orphans, drift."""

from __future__ import annotations

import contextlib
import os

from heka_raven.spool import ledger, spares
from heka_raven.spool.spool import Spool, read_backlog

HOUSE_EVERY_S = 60.0


class House:
    """The housekeeping of one sender."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._due_at = float("-inf")
        self._drift = (0, 0)

    def due(self, tick: float) -> bool:
        """Whether a minute has passed; asking starts the next one."""
        if tick < self._due_at:
            return False
        self._due_at = tick + HOUSE_EVERY_S
        return True

    def keep(self, now: float) -> None:
        self._spool.ledger.write_missing()
        with contextlib.suppress(OSError):  # a spool that went away: the loop finds its lock gone and ends
            self._spool.sweep(now)
            ledger.fold(self._spool.path)
            self._correct_drift()
            spares.keep(os.path.join(self._spool.path, "state", "ledger"), ledger.SIZE)

    def _correct_drift(self) -> None:
        """Killed processes, and hands that delete files, leave the level's counters wrong: set them right.

        Only where two looks, a housekeeping apart, agree, and nothing was counted meanwhile: between its rename and its
        count every write looks like drift.
        """
        before = ledger.read_snapshot(self._spool.path)
        found = read_backlog(self._spool.path)
        drift = (found.count - before.pending, found.size - before.pending_bytes)
        if ledger.read_snapshot(self._spool.path).counts != before.counts:
            drift = (0, 0)
        elif drift == self._drift:
            for value, unit in zip(drift, ("count", "bytes"), strict=True):
                if value:
                    self._spool.ledger.add(f"spooled.{unit}" if value > 0 else f"removed.{unit}", abs(value))
            drift = (0, 0)
        self._drift = drift
