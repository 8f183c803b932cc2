"""How much the workers compute, so that no more of them are hired than can be of use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

NS = 1e-9


class Workload:
    """Looks at the workers from outside, a few times a second: an event pays nothing for it."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}
        self._looked_at = 0.0

    def share(self, workers: Iterable[threading.Thread], tick: float) -> float:
        """How many processors *workers* used since the last look, of the time in which they could have one.

        The time in which a worker was ready to run and had no processor does not count: on a busy machine it would look
        like waiting for a server.

        Args:
            tick: monotonic time now.
        """
        passed_s = max(tick - self._looked_at, 0.001)
        self._looked_at = tick
        share = 0.0
        for worker in workers:
            number = worker.native_id or 0
            now = _times(number)
            before = self._seen.get(number, (0.0, 0.0))
            self._seen[number] = now
            used_s, queued_s = now[0] - before[0], now[1] - before[1]
            share += used_s / max(passed_s - queued_s, used_s, 0.001)
        return share


def _times(number: int) -> tuple[float, float]:
    """Seconds that a thread of ours ran, and that it was ready and waited for a processor."""
    try:
        with open(f"/proc/self/task/{number}/schedstat", "rb") as file:
            ran, queued = file.read().split()[:2]
        return int(ran) * NS, int(queued) * NS
    except (OSError, ValueError):
        return time.process_time(), 0.0  # no such file here: what else the process computes is in it
