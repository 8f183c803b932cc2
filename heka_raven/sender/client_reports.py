"""What the server is told about events it never got (client_report items).

What the sender discarded itself is reported to the DSN it was for. What capturing processes discarded is in the
ledger without a DSN: it goes to the DSN that got an event most recently. Best effort, not persisted, at most once a
minute.
"""

from __future__ import annotations

from heka_raven.formats.dsn import Dsn
from heka_raven.sender.request import ANY_WAY, Way
from heka_raven.spool.ledger import DISCARDED, Snapshot

REPORT_EVERY_S = 60.0
MAX_DSNS = 1000  # that wait to be told; a relay's clients may name as many as they like


class Reports:
    """Counts to tell, by DSN. No I/O; called under the loop's lock."""

    def __init__(self, baseline: Snapshot, tick: float) -> None:
        """Begin at *baseline*: what was discarded before is not told."""
        self._seen = dict(baseline.counts)
        self._counts: dict[Dsn, dict[str, int]] = {}
        self._own: dict[str, int] = {}  # discarded by this sender since the last look at the ledger
        self._takers: dict[str, Way] = {}  # by the key of a DSN whose server took an envelope: how it was reached
        self._last: Dsn | None = None
        self._due_at = tick + REPORT_EVERY_S

    def delivered(self, dsn: Dsn, key: str, takes_reports: bool, way: Way) -> None:
        if takes_reports:
            self._takers[key] = way
            self._last = dsn

    def discarded(self, dsn: Dsn | None, counter: str) -> None:
        """The sender discarded one event, for *dsn* if it could be read."""
        self._own[counter] = self._own.get(counter, 0) + 1
        if dsn is not None:
            self._count(dsn, counter.partition(".")[2], 1)

    def observe(self, snapshot: Snapshot) -> None:
        """Take in what other processes discarded since the last look."""
        for name in DISCARDED:
            n = snapshot[name] - self._seen[name] - self._own.get(name, 0)
            if n > 0 and self._last is not None:
                self._count(self._last, name.partition(".")[2], n)
        if self._last is not None:
            self._seen = dict(snapshot.counts)
            self._own.clear()

    def due(self, tick: float) -> bool:
        return tick >= self._due_at

    def take(self, tick: float) -> list[tuple[Dsn, dict[str, int]]]:
        """What to send now; empty for servers that never took an envelope."""
        self._due_at = tick + REPORT_EVERY_S
        ready = [dsn for dsn in self._counts if dsn.key() in self._takers]
        return [(dsn, self._counts.pop(dsn)) for dsn in ready]

    def way(self, dsn: Dsn) -> Way:
        """How the server that takes reports for this DSN was reached last."""
        return self._takers.get(dsn.key(), ANY_WAY)

    def give_back(self, dsn: Dsn, counts: dict[str, int]) -> None:
        """A report that got no answer: told again later."""
        for reason, n in counts.items():
            self._count(dsn, reason, n)

    def _count(self, dsn: Dsn, reason: str, n: int) -> None:
        if len(self._counts) >= MAX_DSNS and dsn not in self._counts:
            return
        mine = self._counts.setdefault(dsn, {})
        mine[reason] = mine.get(reason, 0) + n
