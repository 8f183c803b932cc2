"""Lets a number of requests pass each second (``--rate-limit``), so that clients' handling of 429 can be tried."""

import threading

LONGEST_PAUSE_S = 60


class Quota:
    """A bucket of *rate* tokens that fills again at *rate* a second. ``None`` lets everything pass."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._most = max(1.0, rate) if rate else 0.0
        self._tokens = self._most
        self._at: float | None = None
        self._lock = threading.Lock()

    def pause_s(self, now: float) -> int:
        """Take one token; 0, or the seconds to wait when there is none."""
        if self.rate is None:
            return 0
        with self._lock:
            if self._at is not None:
                self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self.rate)
            self._at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return 0
            return min(LONGEST_PAUSE_S, int((1 - self._tokens) / self.rate) + 1) if self.rate else LONGEST_PAUSE_S
