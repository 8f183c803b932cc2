"""Streams to the terminal, to a file and to memory."""

import collections
import os
import sys
from typing import Any

from heka.exceptions import FileOpenError


class StdOutStream:
    """Writes to ``sys.stdout``, looked up at each write, so that a replaced one is used."""

    def write(self, data: Any) -> None:
        """Write *data*: bytes as they are, where stdout can take bytes."""
        stdout = sys.stdout
        if not isinstance(data, (bytes, bytearray)):
            stdout.write(str(data))
            return
        binary = getattr(stdout, "buffer", None)
        if binary is None:
            stdout.write(data.decode("utf-8", "replace"))
            return
        stdout.flush()  # text printed before comes out before
        binary.write(data)

    def flush(self) -> None:
        """Flush ``sys.stdout``."""
        sys.stdout.flush()


class FileStream:
    """Appends records to a file.

    Each record is one ``write`` to a descriptor in append mode: nothing is buffered that a fork could write twice, and
    the records of several processes do not mix.

    Args:
        filepath: made if it does not exist.

    Raises:
        FileOpenError: if it cannot be opened; a ConfigError, and the OSError it is in heka-py.
    """

    def __init__(self, filepath: str | os.PathLike[str]) -> None:
        self.filepath = os.fspath(filepath)
        try:
            self._file = open(self.filepath, "ab", buffering=0)  # noqa: SIM115 - open as long as the stream
        except OSError as exc:
            raise FileOpenError(
                f"stream_filepath: {self.filepath!r} cannot be opened: {exc.strerror}; required: a file that this "
                "process may append to"
            ) from exc

    def write(self, data: bytes) -> None:
        """Append *data*.

        Raises:
            OSError: if the disk does not take it whole.
        """
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            if not written:
                raise OSError(f"{self.filepath}: nothing more can be written")
            view = view[written:]

    def flush(self) -> None:
        """Nothing to do: nothing is buffered."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class DebugCaptureStream:
    """Keeps the last 100 records in ``msgs``. For debugging and tests; takes and ignores any option."""

    def __init__(self, **kwargs: Any) -> None:
        self.msgs: collections.deque[Any] = collections.deque(maxlen=100)

    def write(self, data: Any) -> None:
        """Keep *data*, whatever the encoder made."""
        self.msgs.append(data)

    def flush(self) -> None:
        """Nothing to do."""
