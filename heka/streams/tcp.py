"""Records over TCP, one connection for each destination."""

import os
import socket
import threading
import time
from collections.abc import Iterable

from heka.convert import to_number
from heka.streams.addresses import AddressBook, Destination
from heka.streams.destinations import parse_destinations

DEFAULT_TIMEOUT_S = 1.0
FIRST_PAUSE_S = 0.5  # after a failed connection no other is tried for so long ...
LAST_PAUSE_S = 30.0  # ... doubled each time up to this
_MAX_TIMEOUT_S = 60.0
_MAX_READS = 16  # of what a router sends, before each write


class TcpStream:
    """Sends each record to every destination; reconnects when a connection is gone.

    A write waits at most ``timeout_s`` for each destination, look-up and connecting included. After a failure the
    destination is left alone for 0.5 s, then 1 s, up to 30 s; what is written meanwhile is lost at once, counted in
    ``lost``. What the kernel had taken when a router died is not known, and not counted: TCP does not tell.

    Args:
        host: one host or several.
        port: one port or several, numbers or text; the last is repeated for extra hosts, extra ports are ignored.
        timeout_s: the longest a write may wait for one destination.
    """

    def __init__(
        self,
        host: str | Iterable[str],
        port: int | str | Iterable[int | str],
        timeout_s: float | str = DEFAULT_TIMEOUT_S,
    ) -> None:
        timeout = to_number("stream_timeout_s", timeout_s, low=0.001, high=_MAX_TIMEOUT_S)
        self._destinations = parse_destinations(host, port)
        self._addresses = AddressBook(socket.SOCK_STREAM)
        self._timeout_s = timeout
        self._links_of_pid: dict[int, list[_Link]] = {}

    @property
    def lost(self) -> int:
        """Records that did not get out, in this process, summed over the destinations."""
        return sum(link.lost for link in self._links())

    def write(self, data: bytes) -> None:
        """Send *data* to every destination, also when one of them fails.

        Raises:
            OSError: of the first destination that failed.
        """
        failure: OSError | None = None
        for link in self._links():
            try:
                link.send(data)
            except OSError as exc:
                failure = failure or exc
        if failure is not None:
            raise failure

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close the connections; a later write connects again."""
        for link in self._links():
            link.close()

    def _links(self) -> list["_Link"]:
        """The connections of this process; a forked child never writes to those of its parent."""
        pid = os.getpid()
        links = self._links_of_pid.get(pid)
        if links is None:
            fresh = [_Link(destination, self._addresses, self._timeout_s) for destination in self._destinations]
            links = self._links_of_pid.setdefault(pid, fresh)
            for other in [other for other in self._links_of_pid if other != pid]:
                for inherited in self._links_of_pid.pop(other, []):
                    inherited.abandon()
        return links


class _Link:
    """One destination of one process."""

    def __init__(self, destination: Destination, addresses: AddressBook, timeout_s: float) -> None:
        self.lost = 0
        self._destination = destination
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._socket: socket.socket | None = None
        self._failures = 0
        self._not_before = 0.0

    def send(self, data: bytes) -> None:
        deadline = time.monotonic() + self._timeout_s
        try:
            if not self._lock.acquire(timeout=self._timeout_s):
                raise TimeoutError(f"{self._name()}: busy for {self._timeout_s:g} s")  # with another thread's write
            try:
                self._send_locked(data, deadline)
            finally:
                self._lock.release()
        except OSError:
            with self._counting:
                self.lost += 1
            raise

    def close(self) -> None:
        with self._lock:
            self._drop()

    def abandon(self) -> None:
        """Close the descriptor inherited over a fork. Takes no lock: a thread of the parent may hold it for ever."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()  # no shutdown: the connection is the parent's

    def _send_locked(self, data: bytes, deadline: float) -> None:
        if self._socket is not None and _is_closed_by_peer(self._socket):
            self._drop()
        while True:
            fresh = self._socket is None
            sock = self._socket or self._connect(deadline)
            try:
                return _send_all(sock, data, deadline)
            except OSError as exc:
                # A record may be out in part: only a new connection is sure to begin with a record.
                self._drop()
                if fresh or isinstance(exc, TimeoutError):
                    self._pause()
                    raise

    def _connect(self, deadline: float) -> socket.socket:
        now = time.monotonic()
        if now < self._not_before:
            raise ConnectionError(f"{self._name()}: not connected, next try in {self._not_before - now:.1f} s")
        try:
            failure: OSError | None = None
            for family, address in self._addresses.lookup(self._destination, _left(deadline)):
                sock = socket.socket(family, socket.SOCK_STREAM)
                try:
                    sock.settimeout(_left(deadline))
                    sock.connect(address)
                except OSError as exc:
                    sock.close()
                    failure = failure or exc
                else:
                    self._failures = 0
                    self._socket = sock
                    return sock
            raise failure or ConnectionError(f"{self._name()}: no address")
        except OSError:
            self._pause()
            raise

    def _pause(self) -> None:
        pause = min(FIRST_PAUSE_S * 2.0 ** min(self._failures, 16), LAST_PAUSE_S)
        self._failures += 1
        self._not_before = time.monotonic() + pause

    def _drop(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # a child that never wrote still holds it, close alone would not end it
            except OSError:
                pass  # the router was first
            sock.close()

    def _name(self) -> str:
        return f"{self._destination[0]}:{self._destination[1]}"


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _send_all(sock: socket.socket, data: bytes, deadline: float) -> None:
    sock.settimeout(_left(deadline))
    sock.sendall(data)  # the timeout is for all of it, not for each part


def _is_closed_by_peer(sock: socket.socket) -> bool:
    """Whether the peer has closed: the first write after that would succeed and be lost."""
    sock.settimeout(0)
    try:
        for _ in range(_MAX_READS):
            if not sock.recv(4096):
                return True  # routers do not answer, so anything but the end is thrown away
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False
