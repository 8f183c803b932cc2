"""A Sentry-like server that misbehaves on demand, and processes that capture: what the delivery tests share."""

import contextlib
import gzip
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from heka_raven.formats.envelope import parse_envelope
from heka_raven.spool.ledger import read_snapshot

DATA = Path(__file__).parent / "data"
LIMIT_S = 45.0  # for anything a test waits for


def read_vectors(name):
    """The rows of a table in tests/data, as lists of cells; comments left out."""
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def wait_for(condition, limit_s=LIMIT_S):
    """Wait until *condition* is true; what it returned."""
    until = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {limit_s:g} s: {condition}")
        time.sleep(0.02)
    return found


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


PROLOGUE = """
import os, signal, sys, threading, time, uuid
from heka_raven.streams import SpoolStream
path, dsn = sys.argv[1], sys.argv[2]
def capture(stream, n=1, size=200):
    for _ in range(n):
        stream.ledger.add("captured")
        event_id = uuid.uuid4().hex
        payload = b'{"event_id":"%s","platform":"python",' % event_id.encode()
        payload += b'"logentry":{"formatted":"%s"}}' % (b"x" * size)
        if stream.write_event(event_id, dsn, payload):
            os.write(1, event_id.encode() + b"\\n")
"""
STREAM = "stream = SpoolStream(path=path)\n"  # what most of these begin with


def app(path, dsn, code, **options):
    """Start a process that runs *code* after PROLOGUE; it prints the id of each event whose capture returned."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + code, str(path), dsn],
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", None),
        env={**environment, **options.pop("env", {})},
        **options,
    )


def run_app(path, dsn, code, **options):
    """Run such a process to its end; (its exit code, the ids it printed)."""
    process = app(path, dsn, code, **options)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out.decode().split()


def command(*arguments, **options):
    """Start ``heka-raven`` in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
    return subprocess.Popen(
        [sys.executable, "-m", "heka_raven.cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, **options.pop("env", {})},
        text=True,
        **options,
    )


def run_command(*arguments, **options):
    """Run it to its end; (exit code, stdout, stderr)."""
    given = options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    process = command(*arguments, **options)
    out, err = process.communicate(given, timeout=60)
    return process.returncode, out, err


def in_words(result):
    """Such an end, for an assertion's message."""
    return f"exit {result[0]}\n{result[1]}{result[2]}"


def send_once(path, *arguments):
    return run_command("send", "--once", "--spool", path, *arguments)


def end(process, number=signal.SIGTERM):
    """End a process of ours and reap it; its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    return process.returncode


def waiting(path):
    return sorted(os.listdir(Path(path) / "new"))


def fill(path, dsn, n, **options):
    """Capture *n* events here, without a sender; their ids."""
    from heka_raven.streams import SpoolStream

    stream = SpoolStream(path=str(path), sender="off", **options)
    ids = [f"{random.getrandbits(128):032x}" for _ in range(n)]
    for event_id in ids:
        stream.ledger.add("captured")
        payload = orjson.dumps({"event_id": event_id, "platform": "python", "logentry": {"formatted": "filled"}})
        assert stream.write_event(event_id, dsn, payload)
    stream.ledger.close()
    return ids


def wait_until_delivered(path, n):
    """Wait until the ledger says so, which is a moment after the last file went."""
    wait_for(lambda: read_snapshot(str(path))["delivered"] == n)


def assert_exact(path, off_by=0, **expected):
    """captured = delivered + pending + Σ discarded, pending is what lies in new/, and these counters are these."""
    snapshot = read_snapshot(str(path))
    counts = {name.rpartition(".")[2]: value for name, value in snapshot.counts.items()}
    assert expected == {name: counts[name] for name in expected}
    assert abs(snapshot.missing) <= off_by, snapshot.counts
    if not off_by:
        assert len(waiting(path)) == snapshot.pending


def assert_once(ids, server):
    """Every one of *ids* arrived, each once, and nothing else."""
    assert Counter(ids) == Counter(server.event_ids)
