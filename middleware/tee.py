"""Remembers the beginning of what the application read of its request's body."""

# Rule 1: it never reads by itself, neither ahead nor after; what the application leaves unread is still there.
# Rule 2: what the application reads from has the methods of the server's own input, and no others.

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from heka_raven.middleware.object_proxy import StandIns


class InputTee:
    """Remembers up to *limit* bytes of what is read through it. It knows nothing of its stream: that would be a cycle.

    Attributes:
        size: bytes that were read.
        whole: whether all of them are remembered, in order.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.size = 0
        self.whole = True

    def around(self, source: Any) -> Any:
        """What the application is to read from, in place of *source*."""
        return _STAND_INS.class_for(type(source))(source, self)

    def kept(self) -> bytes:
        """What is remembered."""
        return bytes(self._kept)

    def keep(self, data: bytes) -> bytes:
        """Remember *data*, which was read next, as far as there is room; gives it back."""
        if type(data) is not bytes:  # None: nothing is there yet; anything else is between the server and the app
            self.whole = self.whole and data is None
            return data
        self.size += len(data)
        room = self._limit - len(self._kept)
        if room >= len(data) and self.whole:
            self._kept += data
        else:
            self._kept += data[:room] if self.whole else b""
            self.whole = False
        return data

    def keep_lines(self, lines: list[bytes]) -> list[bytes]:
        """The same for the lines that were read next."""
        if type(lines) is not list:
            self.whole = False
            return lines
        for line in lines:
            self.keep(line)
        return lines

    def moved(self, to_the_start: bool) -> None:
        """A server that has the whole body lets the application read it again."""
        if to_the_start:
            self._kept.clear()
            self.size = 0
        self.whole = to_the_start


class Stream:
    """Stands for *source*. Subclasses have those of the methods in ``_SPECIAL`` that the source's class has."""

    def __init__(self, source: Any, tee: InputTee) -> None:
        self._heka_raven = source, tee

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance() is to see: the server's class."""
        found: type = self._heka_raven[0].__class__
        return found

    def __getattr__(self, name: str) -> Any:
        source, tee = self._heka_raven
        found = getattr(source, name)
        wrapper = _WRAPPERS.get(name)
        return partial(wrapper, tee, found) if wrapper is not None and callable(found) else found

    def _iter(self) -> Iterator[bytes]:
        source, tee = self._heka_raven
        found = iter(source)
        return self if found is source else map(tee.keep, found)

    def _next(self) -> bytes:
        source, tee = self._heka_raven
        return tee.keep(next(source))

    def _enter(self) -> Any:
        source, _ = self._heka_raven
        found = source.__enter__()
        return self if found is source else found


def _read(tee: InputTee, read: Callable[..., bytes], *args: Any, **keywords: Any) -> bytes:
    return tee.keep(read(*args, **keywords))


def _readlines(tee: InputTee, readlines: Callable[..., list[bytes]], *args: Any, **keywords: Any) -> list[bytes]:
    return tee.keep_lines(readlines(*args, **keywords))


def _readinto(tee: InputTee, readinto: Callable[[Any], int | None], buffer: Any) -> int | None:
    count = readinto(buffer)
    if count:
        tee.keep(bytes(memoryview(buffer).cast("B")[:count]))
    return count


def _seek(tee: InputTee, seek: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    position = seek(*args, **keywords)
    tee.moved(not keywords and args in ((0,), (0, 0)))
    return position


_WRAPPERS: dict[str, Callable[..., Any]] = {
    "read": _read,
    "read1": _read,
    "readall": _read,
    "readline": _read,
    "readlines": _readlines,
    "readinto": _readinto,
    "readinto1": _readinto,
    "seek": _seek,
}
_SPECIAL: dict[str, Any] = {
    "__iter__": Stream._iter,
    "__next__": Stream._next,
    "__enter__": Stream._enter,
    "__exit__": lambda self, *exc_info: self._heka_raven[0].__exit__(*exc_info),
    "__len__": lambda self: len(self._heka_raven[0]),
    "__bool__": lambda self: bool(self._heka_raven[0]),
}
_STAND_INS = StandIns(Stream, _SPECIAL)
