"""How much, how slowly and how many: the limits of a client that hold before the application sees its request.

waitress takes a body to its end first, in memory or in a file, whoever sent it. Here the head of a request decides how
much of a body is taken, a request has an end in time, and when many connections are open the oldest that is not being
answered makes room.
"""

import io
import socket
import time
from collections.abc import Callable
from typing import IO, Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, MultiSocketServer

HEAD_S = 15.0  # from the first byte of a request to the end of its head
BODY_S = 30.0  # from there to the end of its body ...
BYTES_PER_S = 16 * 1024  # ... and a second more for so many bytes that came: a slow line may still import
MAX_THROWN_AWAY = 16 * 1024 * 1024  # bytes of a refused body, so that its client reads why
MAX_CONNECTIONS = 180  # a connection more, and the oldest that is not being answered is closed
HOLDS_BODY = ("CONTENT_LENGTH", "CONTENT_TYPE")  # have no HTTP_ before them in a WSGI environ


class _Nothing:
    """Takes what a receiver of waitress wants kept, and keeps its length."""

    def __init__(self) -> None:
        self._length = 0

    def append(self, data: bytes) -> None:
        self._length += len(data)

    def __len__(self) -> int:
        return self._length

    def getfile(self) -> IO[bytes]:
        return io.BytesIO()

    def close(self) -> None:
        pass


class BoundedParser(HTTPRequestParser):  # type: ignore[misc]
    """One request as it comes. Of one whose body is over its limit the application gets the head, to refuse it."""

    def __init__(self, adj: Any, body_limit: Callable[[dict[str, Any]], int]) -> None:
        super().__init__(adj)
        self._body_limit = body_limit
        self._limit: int | None = None
        self._since = time.monotonic()

    def received(self, data: bytes) -> int:
        taken: int = super().received(data)
        body: Any = self.body_rcv
        if self.headers_finished and body is not None and self.error is None:
            if self._limit is None:
                self._since = time.monotonic()
                self._limit = self._body_limit(self._environ())
            size: int = max(self.content_length, self.body_bytes_received)
            if size > self._limit and not isinstance(body.buf, _Nothing):
                body.buf.close()
                body.buf = _Nothing()
            # Most clients read no answer before all is sent: what is not far too long is taken, and thrown away.
            too_long = self.expect_continue or self.body_bytes_received > self._limit + MAX_THROWN_AWAY
            if size > self._limit and too_long and not self.completed:
                self._refuse(size)
        return taken

    def overdue(self) -> bool:
        """Whether the client had its time."""
        passed_s = time.monotonic() - self._since
        if self._limit is None:
            return passed_s > HEAD_S
        received: int = self.body_bytes_received
        return passed_s > BODY_S + received / BYTES_PER_S

    def _refuse(self, size: int) -> None:
        # What follows on this connection is the rest of the body and never another request.
        self.completed = True
        self.expect_continue = False
        self.headers.update(CONTENT_LENGTH=str(size), CONNECTION="close")

    def _environ(self) -> dict[str, Any]:
        environ = {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "SERVER_NAME": "inbox",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
        }
        return environ | {k if k in HOLDS_BODY else f"HTTP_{k}": value for k, value in self.headers.items()}


class BoundedChannel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        super().__init__(server, sock, addr, adj, map=map)
        if len(server.active_channels) > MAX_CONNECTIONS:
            quiet = [c for c in server.active_channels.values() if not c.requests and not c.total_outbufs_len]
            oldest = min(quiet, key=lambda channel: channel.creation_time, default=self)
            oldest.will_close = True

    def parser_class(self, adj: Any) -> BoundedParser:
        return BoundedParser(adj, self.server.body_limit)

    def readable(self) -> bool:  # asked each second, or more often
        request = self.request
        if request is not None and request.overdue():
            self.will_close = True
        return bool(super().readable())

    def handle_close(self) -> None:
        super().handle_close()
        # waitress closes what was received whole: the file of a body that was cut off would wait for the collector.
        if self.request is not None:
            self.request.close()


def bound(server: MultiSocketServer | BaseWSGIServer, body_limit: Callable[[dict[str, Any]], int]) -> None:
    """Make *server*, which has one socket, keep these limits.

    Args:
        body_limit: how many bytes of body a request may have, from its head as an environ.
    """
    server.body_limit = body_limit
    server.channel_class = BoundedChannel
