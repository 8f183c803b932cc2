"""What this package logs of its own troubles: each kind once a minute, and never into the application."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LOG_EVERY_S = 60.0  # between two lines of one kind
MAX_KINDS = 1000  # that are remembered: some have the name of a DSN or a file, which others choose
LOGGER = logging.getLogger("heka_raven")


class SparseLog:
    """Logs each kind of trouble at most once a minute.

    Args:
        logger: where to; default: the package's own.
        clock: seconds that never go back; default: the system's.
    """

    def __init__(self, logger: logging.Logger = LOGGER, clock: Callable[[], float] | None = None) -> None:
        self._logger = logger
        self._clock = clock
        self._logged_at: dict[str, float] = {}

    def tell(self, kind: str, level: int, message: str, *args: object, exc_info: bool = False) -> None:
        """Log ``message % args``, unless this *kind* was logged within the last minute. Never raises.

        Args:
            exc_info: with the traceback of the exception in flight.
        """
        if self.is_due(kind):
            self.log(level, message, *args, exc_info=exc_info)

    def is_due(self, kind: str) -> bool:
        """Whether *kind* may be logged; if so, it may not for a minute."""
        now = (self._clock or time.monotonic)()
        if now - self._logged_at.get(kind, float("-inf")) < LOG_EVERY_S:
            return False
        if len(self._logged_at) >= MAX_KINDS:
            self._logged_at.clear()
        # Set before logging: a log handler that fails in the same way must not come back here for ever.
        self._logged_at[kind] = now
        return True

    def log(self, level: int, message: str, *args: object, exc_info: bool = False) -> None:
        """Log it in any case. Never raises."""
        try:
            self._logger.log(level, message, *args, exc_info=exc_info)
        except Exception:
            pass  # a broken log handler of the app must not reach its request


TROUBLES = SparseLog()  # of what has no instance of its own to ask: decorators, error pages, middlewares
