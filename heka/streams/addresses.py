"""Addresses of the network streams: names are looked up seldom, and a name server that hangs holds nobody for long."""

import os
import socket
import threading
import time
from typing import Any

from heka.process import ProcessLocks

ADDRESS_LIFE_S = 60.0  # a name's addresses are looked up anew after that; the old ones are used meanwhile
RETRY_LOOKUP_S = 10.0  # after a look-up that failed

Destination = tuple[str, int]  # host and port
Address = tuple[socket.AddressFamily, Any]


class AddressBook:
    """Looks up hosts, and remembers what it found.

    The system's resolver takes no time limit, so it is asked in a thread; who needs the answer waits for it only so
    long. An address in numbers needs neither.

    Args:
        kind: ``SOCK_DGRAM`` or ``SOCK_STREAM``.
    """

    def __init__(self, kind: socket.SocketKind) -> None:
        self._kind = kind
        self._locks = ProcessLocks()
        self._found: dict[Destination, list[Address]] = {}
        self._failed: dict[Destination, str] = {}
        self._fresh_until: dict[Destination, float] = {}
        # By process: the thread of a parent does not run in its child.
        self._running: dict[tuple[int, Destination], threading.Thread] = {}

    def lookup(self, destination: Destination, timeout_s: float) -> list[Address]:
        """The addresses of *destination*, IPv4 first, as heka-py used; at least one.

        Raises:
            OSError: if there is none, or none was found in time.
        """
        found = self._found.get(destination)
        if time.monotonic() < self._fresh_until.get(destination, 0.0):
            if found is None:
                raise OSError(self._failed[destination])
            return found
        if found is None:
            try:
                found = self._found[destination] = self._ask(destination, socket.AI_NUMERICHOST)
                self._fresh_until[destination] = float("inf")
                return found
            except socket.gaierror:
                pass  # a name
        thread = self._start(destination)
        if found is None:
            thread.join(timeout_s)
            found = self._found.get(destination)
        if found is None:
            raise OSError(self._failed.get(destination) or f"{destination[0]}: no address after {timeout_s:g} s")
        return found

    def _start(self, destination: Destination) -> threading.Thread:
        key = (os.getpid(), destination)
        with self._locks.current():
            thread = self._running.get(key)
            if thread is None:
                thread = threading.Thread(target=self._refresh, args=(key,), name="heka-lookup", daemon=True)
                try:
                    thread.start()
                except RuntimeError as exc:  # no more threads, or the interpreter is shutting down
                    raise OSError(f"{destination[0]}: {exc}") from None
                self._running[key] = thread
        return thread

    def _refresh(self, key: tuple[int, Destination]) -> None:
        destination = key[1]
        try:
            self._found[destination] = self._ask(destination)
            life_s = ADDRESS_LIFE_S
        except Exception as exc:  # UnicodeError too: a name that IDNA refuses
            # What was found before is kept: better the address that worked than none.
            self._failed[destination] = f"{destination[0]}: {exc}"
            life_s = RETRY_LOOKUP_S
        self._fresh_until[destination] = time.monotonic() + life_s
        with self._locks.current():
            self._running.pop(key, None)

    def _ask(self, destination: Destination, flags: int = 0) -> list[Address]:
        host, port = destination
        entries = socket.getaddrinfo(host.strip("[]"), port, type=self._kind, flags=flags)
        return sorted(
            ((family, address) for family, _, _, _, address in entries), key=lambda found: found[0] != socket.AF_INET
        )
