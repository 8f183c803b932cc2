"""Records over UDP, one to a datagram."""

import os
import socket
import time
from collections.abc import Iterable
from typing import Any

from heka.streams.destinations import parse_destinations, parse_number

MAX_DATAGRAM = 65507  # bytes; what UDP over IPv4 can carry
ADDRESS_LIFE_S = 60.0  # how long a looked-up address is used; no name server is asked for each message
RETRY_LOOKUP_S = 10.0  # after a failed look-up, which can take seconds

Address = tuple[socket.AddressFamily, Any]


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
        self.max_record_size = int(parse_number("stream_max_record_size", max_record_size, 64, MAX_DATAGRAM))
        self._addresses: dict[tuple[str, int], tuple[float, Address | OSError]] = {}
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
                family, address = self._lookup(destination)
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
        kept = self._sockets.setdefault(key, fresh)
        if kept is not fresh:
            fresh.close()  # another thread was first
        return kept

    def _lookup(self, destination: tuple[str, int]) -> Address:
        now = time.monotonic()
        until, known = self._addresses.get(destination, (now, OSError("not looked up")))
        if now < until:
            if isinstance(known, OSError):
                raise OSError(*known.args)  # a new one: raising one object again would add to its traceback for ever
            return known
        try:
            found = _first_address(destination)
        except OSError as exc:
            # Better the address that worked than none.
            self._addresses[destination] = (now + RETRY_LOOKUP_S, exc if isinstance(known, OSError) else known)
            if isinstance(known, OSError):
                raise
            return known
        self._addresses[destination] = (now + ADDRESS_LIFE_S, found)
        return found


def _first_address(destination: tuple[str, int]) -> Address:
    """The address to send to: IPv4 where the name has one, as heka-py did."""
    host, port = destination
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, address
