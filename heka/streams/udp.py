"""Records over UDP, one to a datagram."""

import os
import socket
from collections.abc import Iterable

from heka.convert import to_number
from heka.streams.addresses import AddressBook
from heka.streams.destinations import parse_destinations

MAX_DATAGRAM = 65507  # bytes; what UDP over IPv4 can carry
WAIT_S = 0.5  # the longest a write waits for the first look-up of a name, or for room in the kernel


class UdpStream:
    """Sends each record to every destination.

    Args:
        host: one host or several.
        port: one port or several, numbers or text; the last is repeated for extra hosts, extra ports are ignored.
        max_record_size: bytes of the biggest record to send. hekad 0.9 and later cut UDP input at 8 KiB unless its
            ``min_buffer_size`` is raised.
    """

    def __init__(
        self,
        host: str | Iterable[str],
        port: int | str | Iterable[int | str],
        max_record_size: int | str = MAX_DATAGRAM,
    ) -> None:
        self._destinations = parse_destinations(host, port)
        self.max_record_size = int(to_number("stream_max_record_size", max_record_size, low=64, high=MAX_DATAGRAM))
        self._addresses = AddressBook(socket.SOCK_DGRAM)
        # By process and address family: a forked child makes sockets of its own.
        self._sockets: dict[tuple[int, int], socket.socket] = {}

    def write(self, data: bytes) -> None:
        """Send *data* to every destination, also when one of them fails.

        Raises:
            OSError: of the first destination that failed.
        """
        failure: OSError | None = None
        for destination in self._destinations:
            try:
                family, address = self._addresses.lookup(destination, WAIT_S)[0]
                self._socket(family).sendto(data, address)
            except OSError as exc:
                failure = failure or exc
        if failure is not None:
            raise failure

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Close the sockets; a later write opens new ones."""
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        key = (os.getpid(), family)
        found = self._sockets.get(key)
        if found is not None:
            return found
        for old in [old for old in self._sockets if old[0] != key[0]]:
            stale = self._sockets.pop(old, None)
            if stale is not None:
                stale.close()  # the parent's; this closes only this process's descriptor
        fresh = socket.socket(family, socket.SOCK_DGRAM)
        fresh.settimeout(WAIT_S)
        kept = self._sockets.setdefault(key, fresh)
        if kept is not fresh:
            fresh.close()  # another thread was first
        return kept
