"""The sockets of a relay, in one thread.

Every wait and every buffer has a bound: a connection holds at most one record and one read; one that stays in the
middle of a record, or sends nothing but garbage, is closed; when all places are taken the one that was quiet longest
makes room. So a slow or broken client costs one connection.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from heka.wire import Record, RecordReader
from heka_raven.fleet.address import Address, bound_address, listen
from heka_raven.fleet.intake import Intake

READ_SIZE = 64 * 1024  # bytes of one read; then the next connection has its turn
MAX_DATAGRAM = 65_535  # bytes
DATAGRAMS_A_TURN = 64
ACCEPTS_A_TURN = 64
MAX_CONNECTIONS = 1024
MAX_RECORD_S = 30.0  # from the first byte of a record to its last
MAX_GARBAGE = 256 * 1024  # bytes without a valid record; more than that and it is no Heka client
HTTP_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ", b"PRI ")
LONGEST_METHOD = 8  # bytes; no record is as short
MIN_QUIET_S = 60.0  # a connection that was used within this time is not closed to make room
TICK_S = 0.5
SO_RXQ_OVFL = 40  # socket(7); Python has no name for it
_DROPPED = struct.Struct("=I")


@dataclass(slots=True)
class _Connection:
    sock: socket.socket
    source: str
    last_read: float
    reader: RecordReader = field(default_factory=RecordReader)
    record_since: float | None = None  # when the record that is not whole yet began
    first: bytes | None = b""  # bytes of the connection, until they tell that it speaks no HTTP
    judged: int = 0  # bytes of garbage that were there when the last valid record came


@dataclass(slots=True)
class _UdpPort:
    source: str
    dropped: int = 0  # datagrams the kernel threw away, as it says


class Listener:
    """Serves several addresses until stopped."""

    def __init__(
        self,
        addresses: Iterable[Address],
        intake: Intake,
        *,
        max_connections: int = MAX_CONNECTIONS,
        max_record_s: float = MAX_RECORD_S,
        every_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Bind every address.

        Args:
            every_tick: called about twice a second.

        Raises:
            ConfigError: when an address cannot be had.
        """
        self._intake = intake
        self._counts = intake.counts
        self._max_connections = max_connections
        self._max_record_s = max_record_s
        self._every_tick = every_tick
        self._selector = selectors.DefaultSelector()
        self._connections: dict[int, _Connection] = {}
        self._sockets: list[tuple[socket.socket, Address]] = []
        self._stopping = False
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_out, self._wake_in):
            end.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._woken)
        try:
            for address in addresses:
                self._open(address)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, with the ports that the system chose."""
        return [bound_address(sock, address) for sock, address in self._sockets]

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def stop(self) -> None:
        """End `run` soon. A signal handler or another thread may call it."""
        self._stopping = True
        try:
            self._wake_in.send(b"\0")
        except OSError:
            pass  # full: it is awake already

    def run(self) -> None:
        """Serve until `stop`; what the sockets hold then is still taken."""
        ticked = time.monotonic()
        while True:
            stopping = self._stopping
            ready = self._selector.select(0 if stopping else TICK_S)
            for key, _ in ready:
                key.data()
            now = time.monotonic()
            if now - ticked >= TICK_S:
                ticked = now
                self._close_slow(now)
                self._every_tick()
            if stopping:
                break
        for connection in list(self._connections.values()):
            self._drain(connection)

    def close(self) -> None:
        """Close everything and remove the unix sockets."""
        for connection in list(self._connections.values()):
            self._drop(connection)
        for sock, address in self._sockets:
            if address.scheme == "unix":
                _unlink(address.path, sock)
            _close(sock)
        self._sockets.clear()
        self._selector.close()
        self._wake_out.close()
        self._wake_in.close()

    def _open(self, address: Address) -> None:
        sock = listen(address)
        self._sockets.append((sock, address))
        if address.scheme == "udp":
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            port = _UdpPort(str(address))
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._read_datagrams(sock, port))
        else:
            self._selector.register(sock, selectors.EVENT_READ, lambda: self._accept(sock, address))

    def _woken(self) -> None:
        try:
            self._wake_out.recv(4096)
        except OSError:
            pass

    def _accept(self, listening: socket.socket, address: Address) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # No descriptor left, as a rule. The listening socket stays ready, so make room or this loop would spin.
                self._counts.trouble("connections.refused", f"no connection could be taken: {error}", str(address))
                if not self._make_room(time.monotonic(), 0.0):
                    time.sleep(0.01)
                return
            now = time.monotonic()
            if len(self._connections) >= self._max_connections and not self._make_room(now, MIN_QUIET_S):
                _close(sock)
                self._counts.trouble(
                    "connections.refused", f"all {self._max_connections} connections are in use", str(address)
                )
                continue
            sock.setblocking(False)
            source = f"{address.scheme}://{peer[0]}" if address.scheme == "tcp" else str(address)
            connection = _Connection(sock, source, now)
            try:
                self._selector.register(sock, selectors.EVENT_READ, lambda c=connection: self._read(c))
            except OSError as error:  # the system's limit of watches, or no memory: one connection, not the relay
                _close(sock)
                self._counts.trouble("connections.refused", f"no connection could be watched: {error}", str(address))
                continue
            self._connections[sock.fileno()] = connection
            self._counts.add("connections")

    def _read(self, connection: _Connection) -> bool:
        """Take one read's worth; whether more may come at once."""
        if connection.sock.fileno() < 0:
            return False  # closed in this turn to make room
        try:
            data = connection.sock.recv(READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        reader = connection.reader
        if not data:
            cut = reader.pending
            self._take(connection, reader.finish())
            if cut:
                self._counts.add("connections.cut")
                self._counts.add("garbage_bytes", reader.skipped - connection.judged)
            self._drop(connection)
            return False
        connection.last_read = time.monotonic()
        if connection.first is not None and self._speaks_http(connection, data):
            return False
        refused = reader.refused
        records = reader.feed(data)
        if reader.refused != refused:
            self._counts.add("refused.message", reader.refused - refused)
        self._take(connection, records)
        if not reader.pending:
            connection.record_since = None
        elif records or connection.record_since is None:
            connection.record_since = connection.last_read
        if reader.skipped - connection.judged > MAX_GARBAGE:
            self._counts.add("garbage_bytes", reader.skipped - connection.judged)
            self._counts.trouble("connections.broken", f"{MAX_GARBAGE} bytes without a valid record", connection.source)
            self._drop(connection)
            return False
        return True

    def _speaks_http(self, connection: _Connection, data: bytes) -> bool:
        """Drop a client of HTTP: records are found between garbage, and any web page makes a browser send a request."""
        first = (connection.first or b"") + data[:LONGEST_METHOD]
        if first.startswith(HTTP_METHODS):
            self._counts.trouble("connections.broken", "an HTTP request, no Heka records", connection.source)
            self._drop(connection)
            return True
        connection.first = None if len(first) >= LONGEST_METHOD else first
        return False

    def _take(self, connection: _Connection, records: list[Record]) -> None:
        for record in records:
            self._intake.take_record(record, connection.source)
        if records:
            skipped = connection.reader.skipped
            if skipped != connection.judged:
                self._counts.add("garbage_bytes", skipped - connection.judged)
                connection.judged = skipped

    def _drain(self, connection: _Connection) -> None:
        """At the end: what the kernel holds already, up to a bound."""
        for _ in range(16):
            if connection.sock.fileno() < 0 or not self._read(connection):
                return

    def _read_datagrams(self, sock: socket.socket, port: _UdpPort) -> None:
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, ancillary, _, peer = sock.recvmsg(MAX_DATAGRAM, 64)
            except BlockingIOError:
                return
            except OSError:
                return  # an ICMP error of an earlier datagram
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_RXQ_OVFL:
                    self._dropped(port, _DROPPED.unpack(value[:4])[0])
            reader = RecordReader()
            records = reader.feed(data) + reader.finish()
            source = f"udp://{peer[0]}"
            for record in records:
                self._intake.take_record(record, source)
            if reader.refused:
                self._counts.add("refused.message", reader.refused)
            if reader.skipped:
                self._counts.add("garbage_bytes", reader.skipped)
                if not records:
                    self._counts.trouble("refused.datagram", "a datagram held no record", source)

    def _dropped(self, port: _UdpPort, total: int) -> None:
        new = (total - port.dropped) & 0xFFFFFFFF
        if new:
            port.dropped = total
            self._counts.add("udp_dropped", new - 1)
            self._counts.trouble(
                "udp_dropped", "datagrams came faster than they could be taken; use tcp://", port.source
            )

    def _close_slow(self, now: float) -> None:
        for connection in list(self._connections.values()):
            since = connection.record_since
            if since is not None and now - since > self._max_record_s:
                self._counts.trouble(
                    "connections.slow", f"a record was not whole after {self._max_record_s:g} s", connection.source
                )
                self._drop(connection)

    def _make_room(self, now: float, quiet_s: float) -> bool:
        """Close the connection that was quiet longest, if for *quiet_s* at least."""
        oldest = min(self._connections.values(), key=lambda c: c.last_read, default=None)
        if oldest is None or now - oldest.last_read < quiet_s:
            return False
        self._counts.add("connections.quiet")
        self._drop(oldest)
        return True

    def _drop(self, connection: _Connection) -> None:
        fd = connection.sock.fileno()
        if fd < 0:
            return
        self._selector.unregister(connection.sock)
        del self._connections[fd]
        _close(connection.sock)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed all the same, and all that it brought was taken
        sock.close()


def _unlink(path: str, sock: socket.socket) -> None:
    try:
        if sock.getsockname() == path:
            os.unlink(path)
    except OSError:
        pass  # somebody removed it already
