"""From the logging module of the standard library into a client."""

import logging
import threading

from heka.client import HekaClient
from heka.levels import LOGLEVEL_MAP, SEVERITY_MAP
from heka.losses import LOGGER_NAME
from heka.severity import SEVERITY

__all__ = ["LOGLEVEL_MAP", "SEVERITY_MAP", "HekaHandler", "hook_logger"]


class HekaHandler(logging.Handler):
    """Sends log records as messages of type ``oldstyle``.

    The payload is the formatted record with its traceback, ``logger`` the record's logger, the field ``loglevel`` its
    level. A formatter set with ``setFormatter`` is used. What the heka package itself logs is left out, and so is what
    is logged while a record is being sent: both would come round for ever.
    """

    def __init__(self, heka_client: HekaClient) -> None:
        super().__init__()
        self.heka_client = heka_client
        self._sending = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*; what fails goes to ``handleError``, as with every handler."""
        if record.name == LOGGER_NAME or getattr(self._sending, "now", False):
            return
        self._sending.now = True
        try:
            self.heka_client.heka(
                type="oldstyle",
                logger=record.name,
                severity=SEVERITY_MAP.get(record.levelno, SEVERITY.WARNING),
                payload=self.format(record),
                fields={"loglevel": record.levelno},
            )
        except Exception:
            self.handleError(record)
        finally:
            self._sending.now = False


def hook_logger(logger_name: str | None, client: HekaClient) -> None:
    """Send what the logger called *logger_name* logs through *client*, once however often this is called."""
    logger = logging.getLogger(logger_name)
    for existing in logger.handlers:
        if isinstance(existing, HekaHandler) and existing.heka_client is client:
            return
    logger.addHandler(HekaHandler(client))
