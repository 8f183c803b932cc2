"""Counts what was not delivered, and says so once a minute for each reason, never into the application."""

import logging
import time
from collections.abc import Callable

from heka.process import ProcessLocks

LOGGER_NAME = "heka"
QUIET_S = 60.0  # between two log lines of one reason

_log = logging.getLogger(LOGGER_NAME)


class Losses:
    """Losses by reason. ``losses["too_big"]`` is a number; an unknown reason is 0.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._locks = ProcessLocks()
        self._counts: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    def __getitem__(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    def as_dict(self) -> dict[str, int]:
        """A copy of all counts."""
        return dict(self._counts)

    def add(self, reason: str, text: str, *args: object) -> None:
        """Count one loss, and log ``text % args`` unless this reason was logged within the last minute."""
        now = self._clock()
        with self._locks.current():
            count = self._counts[reason] = self._counts.get(reason, 0) + 1
            last = self._logged_at.get(reason)
            if last is not None and now - last < QUIET_S:
                return
            # Set before logging: a log handler that fails in the same way must not come back here for ever.
            self._logged_at[reason] = now
        log(text + " (%s so far: %d)", *args, reason, count)

    def count(self, reason: str) -> None:
        """Count one loss that is logged elsewhere, or not at all."""
        with self._locks.current():
            self._counts[reason] = self._counts.get(reason, 0) + 1


def log(text: str, *args: object) -> None:
    """Log a warning of the heka package itself."""
    try:
        _log.warning(text, *args)
    except Exception:
        pass  # a handler of the application's logging that raises is not a reason to raise here
