"""Which event goes next.

Pure: no I/O, no clock, no threads of its own: the loop calls it under its lock. The DSN of an event stands inside its
file, so a name is `fresh` until a worker has read it; an event that cannot go now is held in a queue of its DSN. Oldest
first, per DSN.

Two clocks come in: `now`, Unix time, for rate limits and ages; `tick`, monotonic, for backoff.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heka_raven.sender.policy import backoff_s

if TYPE_CHECKING:
    from heka_raven.sender.limits import Limits

SHARE_OF_ONE = 0.75  # of the connections, for one DSN: a server that hangs must leave some to the others


@dataclass(slots=True)
class Destination:
    """One DSN: what waits for it, and how it has been answering."""

    held: list[str] = field(default_factory=list)  # a heap; names sort by time
    in_flight: int = 0
    failures: int = 0  # rounds that failed in a row
    tries_failed: int = 0  # tries that failed in a row
    probe_at: float = 0.0  # tick before which nothing is sent
    round: int = 0
    own_way: bool = False  # events that name no certificates or proxy go by the sender's


class Schedule:
    """What waits, what may go, and what must wait for how long."""

    def __init__(self, connections: int, limits: Limits, *, discard_limited: bool = False, once: bool = False) -> None:
        """Begin empty.

        Args:
            discard_limited: events for a paused DSN are handed out, to be discarded.
            once: one try per event and no backoff; a DSN that failed *connections* tries in a row is left alone.
        """
        self.limits = limits
        self._connections = connections
        self._share = max(1, int(connections * SHARE_OF_ONE))
        self._discard_limited = discard_limited
        self._once = once
        self._known: set[str] = set()
        self._fresh: deque[str] = deque()
        self._destinations: dict[str, Destination] = {}

    def found(self, names: list[str]) -> int:
        """Take in a listing, oldest first; returns how many were new."""
        new = [name for name in names if name not in self._known]
        self._known.update(new)
        self._fresh.extend(new)
        return len(new)

    @property
    def waiting(self) -> int:
        """Names that are known and not finished; of those that get one try, the ones that were not tried."""
        return len(self._known)

    @property
    def in_flight(self) -> int:
        return sum(destination.in_flight for destination in self._destinations.values())

    def next(self, now: float, tick: float) -> str | None:
        """The name to read next, or None when nothing may go."""
        for key, destination in self._destinations.items():
            if destination.held and self._open(key, destination, now, tick):
                return heapq.heappop(destination.held)
        return self._fresh.popleft() if self._fresh else None

    def ready(self, now: float, tick: float) -> bool:
        """Whether `next` would hand one out."""
        return bool(self._fresh) or any(
            destination.held and self._open(key, destination, now, tick)
            for key, destination in self._destinations.items()
        )

    def begin(self, name: str, key: str, now: float, tick: float) -> int | None:
        """May this event, whose DSN is known now, go? Its round for `end`; None: it is held."""
        destination = self._destinations.setdefault(key, Destination())
        if not self._open(key, destination, now, tick):
            heapq.heappush(destination.held, name)
            return None
        destination.in_flight += 1
        return destination.round

    def own_way(self, key: str) -> bool:
        """Whether events that name no certificates and no proxy go by the sender's own now.

        "None" is not the last word of an app: it may have been told of them since. So where nobody answers, both are
        tried, by turns; what worked stays.
        """
        return self._destinations[key].own_way

    def limited(self, key: str, now: float) -> bool:
        """Whether an event handed out is to be discarded, because its DSN is paused and the option says so."""
        return self._discard_limited and self.limits.seconds_left(key, now) > 0

    def end(self, name: str, key: str, began: int, tick: float, dice: float, *, failed: bool, finished: bool) -> None:
        """A try is over.

        Args:
            began: what `begin` returned. Of one round only the first failure makes a step of the backoff.
            failed: no server answered (or a proxy in front of a dead one).
            finished: the event left the spool; else it is held.
        """
        destination = self._destinations[key]
        destination.in_flight -= 1
        if not failed:
            destination.failures = destination.tries_failed = 0
            destination.probe_at = 0.0
        else:
            destination.tries_failed += 1
            if began == destination.round:
                destination.round += 1
                destination.failures += 1
                destination.own_way = not destination.own_way
                destination.probe_at = tick + backoff_s(destination.failures, dice)
        if finished or self._once:
            self._known.discard(name)
        else:
            heapq.heappush(destination.held, name)
        if not (destination.held or destination.in_flight or destination.tries_failed):
            del self._destinations[key]  # of a relay's thousands of DSNs, `next` looks at those that have work

    def waits(self, now: float, tick: float) -> dict[str, float]:
        """For how many seconds nothing goes to a DSN, for those that must wait."""
        found = {}
        for key, destination in self._destinations.items():
            left = max(destination.probe_at - tick if destination.failures else 0.0, self.limits.seconds_left(key, now))
            if left > 0:
                found[key] = left
        return found

    def gone(self, name: str) -> None:
        """Forget a name: its file vanished or was finished without a try."""
        self._known.discard(name)

    def expired(self, oldest_name: str, now: float, tick: float) -> Iterator[tuple[str, str]]:
        """Held events older than *oldest_name* whose server does not answer or asks for quiet.

        Yields:
            ``(name, counter)``; they are forgotten here.
        """
        for key, destination in self._destinations.items():
            paused = self.limits.seconds_left(key, now) > 0
            if not paused and destination.failures == 0:
                continue
            while destination.held and destination.held[0] < oldest_name:
                name = heapq.heappop(destination.held)
                self._known.discard(name)
                yield name, "discarded.ratelimit_backoff" if paused else "discarded.network_error"

    def _open(self, key: str, destination: Destination, now: float, tick: float) -> bool:
        if not self._discard_limited and self.limits.seconds_left(key, now) > 0:
            return False
        if self._once:
            return destination.tries_failed < self._connections and destination.in_flight < self._connections
        if destination.failures:
            return tick >= destination.probe_at and destination.in_flight == 0  # one probe
        return destination.in_flight < self._share
