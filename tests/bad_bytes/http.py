"""What the inbox reads from its socket: requests in pieces, cut, packed, of any length that they claim."""

import contextlib
import gzip
import os
import re
import select
import socket
import zlib

from bad_bytes.inbox import KEPT, envelopes, look_through, mutate_envelope
from bad_bytes.mutate import Target, mutate_bytes
from bad_bytes.relay import MANY_TURNS, RESET
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.web.app import make_app
from heka_raven.inbox.web.server import bind, make_server

AUTH = b"X-Sentry-Auth: Sentry sentry_key=k, sentry_version=7"
METHODS = [b"POST"] * 20 + [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"post", b"PRI"]
PATHS = [b"/api/1/envelope/"] * 8 + [b"/api/1/store/", b"/stream", b"/data/import", b"/", b"/api/events", b"/api/%ff/"]
ODD_HEADERS = [
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 10, 10",
    b"Content-Length: 0x10",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Content-Encoding: deflate, gzip",
    b"Content-Encoding: gzip, gzip, gzip",
    b"Content-Encoding: x",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Authorization: Sentry sentry_key=\xff",
    b"X-Sentry-Auth: Sentry " + b"a=b, " * 300,
    b"Host: [::1",
    b"X: " + b"y" * 3000,
    b": no name",
    b"no colon",
]
ANSWER = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [A-Z]")
FAILED = {501, 505}  # of what is above 499: the client asked for what there is not
EVENT = b'{}\n{"type":"event"}\n{"event_id":"%032x","message":"m"}\n'
LOOK_EVERY = 256  # runs; then a valid event
MOST_OPEN = 8  # connections that stay


class Later:
    """In the place of waitress' threads: what they would do is done in our own turn."""

    def __init__(self):
        self.tasks = []
        self.add_task = self.tasks.append


class Http(Target):
    """Whatever comes: an answer that is no failure of ours, or none; what was refused left no event; and the next valid
    event is taken."""

    name = "http"
    more_files = MOST_OPEN  # of those that stay it has closed some

    def __init__(self, place):
        super().__init__(place)
        self.path = os.path.join(place, "http.db")
        self.app = make_app(self.path, keep=Keep(events=KEPT))
        listener = bind("127.0.0.1", 0)
        self.address = listener.getsockname()
        self.server = make_server(self.app, listener)
        self.server.task_dispatcher.set_thread_count(0)
        self.server.task_dispatcher = self.later = Later()
        self.kept = []
        self.fed = 0

    def seeds(self):
        return [b"\0\0" + self._request(b"POST", PATHS[0], data) for data in envelopes()]

    @staticmethod
    def _request(method, path, body, *headers, close=b"close"):
        lines = [method + b" " + path + b" HTTP/1.1", b"Host: 127.0.0.1", AUTH, b"Connection: " + close, *headers]
        if not any(line.startswith((b"Content-Length", b"Transfer-Encoding")) for line in headers):
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def make(self, dice, seeds):
        request = b"".join(self._make_one(dice, seeds) for _ in range(1 if dice.random() < 0.8 else 3))
        if dice.random() < 0.15:
            request = request[: dice.randrange(len(request) + 1)]
        return dice.randbytes(2) + request

    def _make_one(self, dice, seeds):
        data = dice.choice(seeds)[2:]
        if dice.random() < 0.3:
            return mutate_bytes(dice, data)
        body = mutate_envelope(dice, data.partition(b"\r\n\r\n")[2])
        headers, draw = [], dice.randrange(8)
        if draw == 0:
            headers, body = [b"Content-Encoding: gzip"], gzip.compress(body, 1)
        elif draw == 1:
            headers, body = [b"Content-Encoding: deflate"], zlib.compress(body, 1)
        elif draw == 2:
            headers, body = [b"Content-Encoding: gzip"], mutate_bytes(dice, gzip.compress(body, 1))
        elif draw == 3:
            headers, body = [b"Transfer-Encoding: chunked"], self._chunked(dice, body)
        elif draw == 4:
            headers = [dice.choice(ODD_HEADERS) for _ in range(dice.randint(1, 3))]
        return self._request(
            dice.choice(METHODS), dice.choice(PATHS), body, *headers, close=dice.choice((b"close", b"keep-alive"))
        )

    @staticmethod
    def _chunked(dice, body):
        size = dice.randint(1, 5000)
        parts = [
            b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)
        ]
        whole = b"".join(parts) + b"0\r\n\r\n"
        return mutate_bytes(dice, whole) if dice.random() < 0.4 else whole

    def turn(self):
        """All that is ready is read, done, and answered."""
        sockets = self.server._map
        for _ in range(MANY_TURNS):
            reads = [number for number, one in sockets.items() if one.readable()]
            writes = [number for number, one in sockets.items() if one.writable()]
            if not self.later.tasks and not any(select.select(reads, writes, [], 0)):
                return
            self.server.asyncore.loop(timeout=0.0, map=sockets, count=1)
            while self.later.tasks:
                self.later.tasks.pop(0).service()
        raise AssertionError("it does not come to rest")

    def connect(self):
        sock = socket.create_connection(self.address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # or a piece waits until the one before is acknowledged
        sock.setblocking(False)
        self.turn()
        return sock

    def talk(self, sock, parts):
        """Send them; all that came back."""
        heard = []
        for part in parts:
            rest = memoryview(part)
            for _ in range(MANY_TURNS):
                with contextlib.suppress(BlockingIOError):
                    rest = rest[sock.send(rest) :]
                self.turn()
                self._hear(sock, heard)
                if not rest:
                    break
            else:
                raise AssertionError("it reads no more")
        for _ in range(MANY_TURNS):
            self.turn()
            if not self._hear(sock, heard):
                return b"".join(heard)
        raise AssertionError("an answer without end")

    @staticmethod
    def _hear(sock, heard):
        """Whether anything came."""
        with contextlib.suppress(BlockingIOError):
            data = sock.recv(1 << 20)
            heard.append(data)
            return bool(data)
        return False

    def feed(self, data):
        """The first two bytes say how it ends, and how many pieces there are."""
        how, pieces, request = *data[:2].ljust(2, b"\0"), data[2:]
        size = len(request) // (pieces % 3 + 1) + 1
        before, sock, said = self.last_event(), self.connect(), b""
        with contextlib.suppress(ConnectionError):  # it hung up
            said = self.talk(sock, [request[at : at + size] for at in range(0, len(request), size)])
        found = {int(status) for status in ANSWER.findall(said)}
        assert all(status < 500 or status in FAILED for status in found), f"answers: {found}"
        if said:
            assert found, f"no answer of HTTP: {said[:60]!r}"
            done = 200 in found or b"had been stored" in said  # of an import that broke off
            assert done or self.last_event() == before, f"an event of a request that was refused: {found}"
        if how % 4 == 0:
            self.kept.append(sock)
            sock = self.kept.pop(0) if len(self.kept) > MOST_OPEN else None
        if sock is not None:
            sock.close()
            self.turn()
        self.fed += 1
        if self.fed % LOOK_EVERY == 0:
            self.look()

    def last_event(self):
        return self.app.store.reader.execute("SELECT max(id) FROM event").fetchone()[0]

    def look(self):
        event_id = 1 << 100 | self.fed
        with self.connect() as sock:
            said = self.talk(sock, [self._request(b"POST", PATHS[0], EVENT % event_id)])
        assert b" 200 OK" in said and b"%032x" % event_id in said, said
        found = self.app.store.reader.execute("SELECT count(*) FROM event WHERE event_id = ?", (f"{event_id:032x}",))
        assert 1 == found.fetchone()[0], "a valid event is not there"

    def finish(self):
        self.look()
        for sock in self.kept:
            sock.close()
        self.turn()
        self.server.close()
        look_through(self.path)
        self.app.close()
