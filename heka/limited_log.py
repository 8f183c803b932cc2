"""What this package logs of its own troubles: each kind once a minute, and never into the application."""

from __future__ import annotations

import logging
import time

LOG_EVERY_S = 60.0  # between two lines of one kind
MAX_KINDS = 1000  # that are remembered: some have the name of a DSN or a file, which others choose
LOGGER = logging.getLogger("heka_raven")


class SparseLog:
    """Logs each kind of trouble at most once a minute.

    Args:
        logger: where to; default: the package's own.
    """

    def __init__(self, logger: logging.Logger = LOGGER) -> None:
        self._logger = logger
        self._logged_at: dict[str, float] = {}

    def tell(self, kind: str, level: int, message: str, *args: object, exc_info: bool = False) -> None:
        """Log ``message % args``, unless this *kind* was logged within the last minute. Never raises.

        Args:
            exc_info: with the traceback of the exception in flight.
        """
        now = time.monotonic()
        if now - self._logged_at.get(kind, float("-inf")) < LOG_EVERY_S:
            return
        if len(self._logged_at) >= MAX_KINDS:
            self._logged_at.clear()
        # Set before logging: a log handler that fails in the same way must not come back here for ever.
        self._logged_at[kind] = now
        try:
            self._logger.log(level, message, *args, exc_info=exc_info)
        except Exception:
            pass  # a broken log handler of the app must not reach its request


TROUBLES = SparseLog()  # of what has no instance of its own to ask: decorators, error pages, middlewares
