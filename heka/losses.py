"""Counts what was not delivered, and says so once a minute for each reason, never into the application."""

import logging
from collections.abc import Callable

from heka.limited_log import SparseLog
from heka.process import ProcessLocks

LOGGER_NAME = "heka"

_LOGGER = logging.getLogger(LOGGER_NAME)


class Losses:
    """Losses by reason. ``losses["too_big"]`` is a number; an unknown reason is 0.

    Args:
        clock: seconds that never go back; default: the system's.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._locks = ProcessLocks()
        self._counts: dict[str, int] = {}
        self._log = SparseLog(_LOGGER, clock)

    def __getitem__(self, reason: str) -> int:
        return self._counts.get(reason, 0)

    def as_dict(self) -> dict[str, int]:
        """A copy of all counts."""
        return dict(self._counts)

    def add(self, reason: str, text: str, *args: object) -> None:
        """Count one loss, and log ``text % args`` unless this reason was logged within the last minute."""
        with self._locks.current():
            count = self._counts[reason] = self._counts.get(reason, 0) + 1
            due = self._log.is_due(reason)
        if due:
            self._log.log(logging.WARNING, text + " (%s so far: %d)", *args, reason, count)

    def count(self, reason: str) -> None:
        """Count one loss that is logged elsewhere, or not at all."""
        with self._locks.current():
            self._counts[reason] = self._counts.get(reason, 0) + 1

    def log(self, text: str, *args: object) -> None:
        """Log a warning that counts nothing."""
        self._log.log(logging.WARNING, text, *args)
