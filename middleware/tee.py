# tee.py: remembers the beginning of what the application read of its request's body.
#
# Rule: it never reads by itself, neither ahead nor after; what the application leaves unread is still there.
"""A bounded tee on ``wsgi.input``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any


class InputTee:
    """Stands for *source*, remembers up to *limit* bytes of what is read from it.

    Attributes:
        size: bytes that were read.
        whole: whether all of them are remembered, in order.
    """

    def __init__(self, source: Any, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._kept = bytearray()
        self.size = 0
        self.whole = True

    def kept(self) -> bytes:
        """What is remembered."""
        return bytes(self._kept)

    def read(self, *args: Any, **keywords: Any) -> bytes:
        return self._keep(self._source.read(*args, **keywords))

    def readline(self, *args: Any, **keywords: Any) -> bytes:
        return self._keep(self._source.readline(*args, **keywords))

    def readlines(self, *args: Any, **keywords: Any) -> list[bytes]:
        lines: list[bytes] = self._source.readlines(*args, **keywords)
        for line in lines:
            self._keep(line)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._source:
            yield self._keep(line)

    def __next__(self) -> bytes:
        return self._keep(next(self._source))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._source, name)
        wrapper = _WRAPPERS.get(name)
        return found if wrapper is None else partial(wrapper, self, found)

    def _keep(self, data: bytes) -> bytes:
        self.size += len(data)
        room = self._limit - len(self._kept)
        if room >= len(data) and self.whole:
            self._kept += data
        else:
            self._kept += data[:room] if self.whole else b""
            self.whole = False
        return data

    def _read1(self, read1: Callable[..., bytes], *args: Any) -> bytes:
        return self._keep(read1(*args))

    def _readinto(self, readinto: Callable[[Any], int | None], buffer: Any) -> int | None:
        count = readinto(buffer)
        if count:
            self._keep(bytes(memoryview(buffer).cast("B")[:count]))
        return count

    def _seek(self, seek: Callable[..., Any], *args: Any) -> Any:
        """A server that has the whole body lets the application read it again."""
        position = seek(*args)
        if args == (0,) or args == (0, 0):
            self._kept.clear()
            self.size = 0
            self.whole = True
        else:
            self.whole = False
        return position


_WRAPPERS: dict[str, Callable[..., Any]] = {
    "read1": InputTee._read1,
    "readinto": InputTee._readinto,
    "readinto1": InputTee._readinto,
    "seek": InputTee._seek,
}
