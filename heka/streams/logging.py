"""A stream into the logging module of the standard library."""

import logging

from heka.encoders import TYPE_SIZE


class StdLibLoggingStream:
    """Logs each message as ``type: payload``. Only for what StdlibPayloadEncoder makes.

    Args:
        logger_name: the logger to use; None: the root logger.
    """

    def __init__(self, logger_name: str | None = None) -> None:
        self.logger = logging.getLogger(logger_name)

    def write(self, data: bytes) -> None:
        """Log one stdlib payload at the level its first byte gives."""
        end = 1 + TYPE_SIZE
        kind = data[1:end].decode("utf-8", "replace").strip()
        payload = data[end:].decode("utf-8", "replace")
        # Without arguments: a percent sign in the payload is no format.
        self.logger.log(data[0], f"{kind}: {payload}")

    def flush(self) -> None:
        """Nothing to do."""
