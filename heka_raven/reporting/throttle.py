"""At most so many events of one fingerprint in so many seconds.

Pure: `now` is passed in. One instance serves one process; the caller serialises its calls. Memory is bounded: of more
than MAX_KEYS fingerprints the one that reported least recently is forgotten.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from heka.exceptions import ConfigError

MAX_KEYS = 10_000
MAX_EVENTS = 1_000_000
MAX_PER_S = 7 * 86400.0

_TEXT = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([smhd]?)\s*", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an event goes, and if so how many like it were held back since the last that went."""

    allowed: bool
    held_back: int = 0


@dataclass(slots=True)
class _Window:
    began: float
    passed: int
    held_back: int


class Throttle:
    """A fixed window per fingerprint: the first *max_events* of each *per_s* seconds go, the rest is held back."""

    def __init__(self, max_events: int, per_s: float) -> None:
        if not 1 <= max_events <= MAX_EVENTS:
            raise ConfigError(f"max_per_fingerprint: {max_events} events is outside 1..{MAX_EVENTS}")
        if not 0 < per_s <= MAX_PER_S:
            raise ConfigError(f"max_per_fingerprint: {per_s:g} s is outside 0..{MAX_PER_S:g} s")
        self.max_events = max_events
        self.per_s = per_s
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()

    @classmethod
    def parse(cls, text: str) -> Throttle:
        """From a setting such as ``100/60s`` (units s m h d; none means seconds).

        Raises:
            ConfigError: naming what is allowed.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ConfigError(f"max_per_fingerprint: {text!r} is not EVENTS/SECONDS, as in 100/60s")
        return cls(int(found.group(1)), float(found.group(2)) * _UNITS[found.group(3)])

    def admit(self, key: Hashable, now: float) -> Admission:
        """Decide about one event of the fingerprint *key* at the time *now* (any clock, in seconds)."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= MAX_KEYS:
                self._windows.popitem(last=False)
            self._windows[key] = _Window(now, 1, 0)
            return Admission(True)
        self._windows.move_to_end(key)
        if not 0 <= now - window.began < self.per_s:  # over, or the clock went backwards
            window.began, window.passed = now, 0
        if window.passed >= self.max_events:
            window.held_back += 1
            return Admission(False)
        window.passed += 1
        held_back, window.held_back = window.held_back, 0
        return Admission(True, held_back)
