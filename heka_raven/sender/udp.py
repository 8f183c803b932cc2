"""One datagram an event, for udp:// DSNs (Sentry 5 and before, and what speaks like it)."""

from __future__ import annotations

import errno
import socket
import threading
import time
from urllib.parse import urlsplit

from heka_raven.sender.policy import Reply

RESOLVE_AGAIN_S = 60.0  # a name may move to another address
SENT = 0  # the status of a datagram that left; nothing confirms its arrival


class UdpTransport:
    """Connected sockets by address: the kernel then tells that the port is closed, one datagram later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[str, tuple[float, socket.socket]] = {}

    def send(self, url: str, body: bytes) -> Reply:
        try:
            self._socket(url).send(body)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return Reply(None, {}, f"{len(body)} bytes do not fit into a datagram", too_large=True)
            self._forget(url)
            return Reply(None, {}, error.strerror or str(error))
        except UnicodeError:  # a name that cannot be looked up
            return Reply(None, {}, "the host name is not valid")
        return Reply(SENT, {})

    def close(self) -> None:
        with self._lock:
            for _, sock in self._sockets.values():
                sock.close()
            self._sockets.clear()

    def _socket(self, url: str) -> socket.socket:
        now = time.monotonic()
        with self._lock:
            found = self._sockets.get(url)
            if found is not None and now - found[0] < RESOLVE_AGAIN_S:
                return found[1]
        parts = urlsplit(url)
        family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        with self._lock:
            old = self._sockets.get(url)
            self._sockets[url] = (now, sock)
        if old is not None:
            old[1].close()
        return sock

    def _forget(self, url: str) -> None:
        with self._lock:
            old = self._sockets.pop(url, None)
        if old is not None:
            old[1].close()
