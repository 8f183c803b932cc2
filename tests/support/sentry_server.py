"""A Sentry-like server that misbehaves on demand."""

import contextlib
import gzip
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from heka_raven.formats.envelope import parse_envelope
from support.paths import DATA


@dataclass
class Received:
    """One whole request."""

    method: str
    path: str
    headers: dict
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def plain(self):
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    @property
    def envelope(self):
        return parse_envelope(self.plain)

    @property
    def event_id(self):
        return self.envelope[0].get("event_id")

    @property
    def kinds(self):
        return [item.type for item in self.envelope[1]]


def ok(request):
    return Reply(200)


@dataclass
class Reply:
    """What the server does with a request. ``after_s`` waits first."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b"{}"
    after_s: float = 0.0
    cut: int | None = None  # send only so many bytes of the answer, then close
    close: bool = False  # close without an answer
    hang: bool = False  # never answer, until the server stops
    trickle_s: float = 0.0  # a byte of the answer each so many seconds


class Server:
    """HTTP/1.1 with keep-alive on a free port of 127.0.0.1; each request is judged by ``behave(request)``."""

    def __init__(self, behave=ok, tls=None, port=0):
        self.behave = behave
        self.requests = []
        self.connections = 0
        self.most_at_once = 0
        self._busy = 0
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._sockets = set()
        self._tls = None
        if tls is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(DATA / "tls" / tls)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        self.scheme = "https" if tls else "http"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def dsn(self):
        return f"{self.scheme}://public:secret@127.0.0.1:{self.port}/1"

    @property
    def events(self):
        """Requests that carried an event (not a client report)."""
        with self._guard:
            found = list(self.requests)
        return [r for r in found if "/envelope/" not in r.path or "event" in r.kinds]

    @property
    def event_ids(self):
        return [r.event_id for r in self.events]

    def stop(self):
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._guard:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, raw):
        with self._guard:
            self._sockets.add(raw)
        sock = raw
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(raw, server_side=True)
            with sock, sock.makefile("rb") as stream:
                while (request := self._read(stream)) is not None:
                    with self._guard:
                        self.requests.append(request)
                        self._busy += 1
                        self.most_at_once = max(self.most_at_once, self._busy)
                    try:
                        reply = self.behave(request)
                        again = self._answer(sock, reply)
                    finally:
                        with self._guard:
                            self._busy -= 1
                    if not again:
                        return
        except OSError:
            pass
        finally:
            with self._guard:
                self._sockets.discard(raw)
            raw.close()

    @staticmethod
    def _read(stream):
        line = stream.readline()
        if not line:
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = stream.read(length)
        return Received(method, path, headers, body) if len(body) == length else None

    def _answer(self, sock, reply):
        if reply.after_s:
            self._stopping.wait(reply.after_s)
        if reply.hang:
            self._stopping.wait()
        if reply.hang or reply.close:
            return False
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        data = head.encode("latin-1") + reply.body
        if reply.trickle_s:
            for byte in data:
                sock.sendall(bytes((byte,)))
                if self._stopping.wait(reply.trickle_s):
                    return False
            return True
        sock.sendall(data if reply.cut is None else data[: reply.cut])
        return reply.cut is None


def script(*replies, then=None):
    """Behave like *replies*, one a request, then like *then* (default: 200)."""
    left = list(replies)
    guard = threading.Lock()

    def behave(request):
        with guard:
            return left.pop(0) if left else (then or Reply())

    return behave
