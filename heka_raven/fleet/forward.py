"""Hands Heka records of other types on, through heka's own streams, without making the relay wait."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

from heka import wire
from heka.streams import FileStream, TcpStream, UdpStream
from heka.wire import Record
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.intake import Counts

MAX_WAITING = 1000  # records; at 64 KiB each they are 64 MiB at the worst
STOP_WAIT_S = 2.0
FILE = "file://"


class _Stream(Protocol):
    def write(self, data: bytes) -> None: ...


def open_stream(text: str) -> _Stream:
    """The stream for ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``file:///PATH``.

    Raises:
        ConfigError: for anything else, or a file that cannot be opened.
    """
    if text.startswith(FILE + "/"):
        return FileStream(text.removeprefix(FILE))
    address = parse_address("forward", text, low=1)
    return (TcpStream if address.scheme == "tcp" else UdpStream)(address.host, address.port)


class Forwarder:
    """Writes records in a thread of its own; what comes faster than the other side takes it is counted and lost."""

    def __init__(self, target: str, counts: Counts) -> None:
        self._stream = open_stream(target)
        self._target = target
        self._counts = counts
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="heka-raven-forward", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Take a record, as it came: its signature stays valid."""
        try:
            self._waiting.put_nowait(wire.frame(record.header.SerializeToString(), record.payload))
        except queue.Full:
            self._counts.trouble("forward_lost", "records come faster than they can be handed on", self._target)

    def stop(self) -> None:
        """Hand on what waits, for a moment at most."""
        try:
            self._waiting.put(None, timeout=STOP_WAIT_S)
        except queue.Full:
            return
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                self._stream.write(data)
            except Exception as error:
                self._counts.trouble("forward_lost", f"a record could not be handed on: {error}", self._target)
            else:
                self._counts.add("forwarded")
