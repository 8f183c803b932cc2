"""From the logging module of the standard library into a client."""

import logging
from contextvars import ContextVar

from heka.client import HekaClient
from heka.levels import LOGLEVEL_MAP, SEVERITY_MAP
from heka.losses import LOGGER_NAME
from heka.severity import SEVERITY

__all__ = ["LOGLEVEL_MAP", "SEVERITY_MAP", "HekaHandler", "hook_logger"]


# The handlers that are sending, in this thread, task or greenlet: threading.local is of greenlets only where gevent was
# there first. What copies the context meanwhile shares the list, so that the end is seen there, too.
_SENDING: ContextVar[list["HekaHandler"] | None] = ContextVar("heka_sending", default=None)


class HekaHandler(logging.Handler):
    """Sends log records as messages of type ``oldstyle``.

    The payload is the formatted record with its traceback, ``logger`` the record's logger, the field ``loglevel`` its
    level. A formatter set with ``setFormatter`` is used. What the heka package itself logs is left out, and so is what
    is logged while a record is being sent: both would come round for ever.
    """

    def __init__(self, heka_client: HekaClient) -> None:
        super().__init__()
        self.heka_client = heka_client

    def emit(self, record: logging.LogRecord) -> None:
        """Send *record*; what fails goes to ``handleError``, as with every handler."""
        sending = _SENDING.get()
        if record.name == LOGGER_NAME or (sending is not None and self in sending):
            return
        sending = [self, *(sending or ())]
        token = _SENDING.set(sending)
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
            sending.clear()
            _SENDING.reset(token)


def hook_logger(logger_name: str | None, client: HekaClient) -> None:
    """Send what the logger called *logger_name* logs through *client*, once however often this is called."""
    logger = logging.getLogger(logger_name)
    for existing in logger.handlers:
        if isinstance(existing, HekaHandler) and existing.heka_client is client:
            return
    logger.addHandler(HekaHandler(client))
