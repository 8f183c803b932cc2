"""What a relay reads from its sockets: records in pieces, cut, packed, between garbage and HTTP."""

import base64
import contextlib
import json
import os
import socket
import struct
import zlib
from collections import deque
from pathlib import Path

import orjson

from bad_bytes.mutate import Target, dump, mutate_bytes, mutate_json
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.listener import Listener
from heka_raven.fleet.records import MAX_EVENT_SIZE
from heka_raven.fleet.signers import Signers, parse_signers
from heka_raven.formats.dsn import parse_dsn
from heka_raven.formats.envelope import parse_envelope
from heka_raven.formats.raven_payload import unpack_raven
from heka_raven.spool.spool import Spool, parse_name
from support.fleet import KEY, encode, event_json, readdress
from support.golden import GOLDEN, record_bytes

DSN = "http://key@sentry.example.com/1"
UDP_DSN = "udp://key@sentry.example.com:9001/1"
HTTP = [
    b"POST /api/1/envelope/ HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]
BOMB = base64.b64encode(zlib.compress(bytes(4 * MAX_EVENT_SIZE)))
NOT_RECORDS = ("refused.message", "refused.datagram")  # bytes of which no record came
MOST_OPEN = 8  # connections that stay
LOOK_EVERY = 256  # runs; then a valid record over each address
MANY_TURNS = 2_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closed at once, so that no port waits for its time


def _server(text):
    """What of a DSN the allow-list looks at."""
    dsn = parse_dsn(text)
    return dsn.scheme, dsn.public, dsn.host.lower(), dsn.address()[1], dsn.path, dsn.project


class Relay(Target):
    """Whatever comes, in whatever pieces: each record is taken once or its refusal is counted, what lies in the spool
    is a whole event that the allow-list lets in, and the next valid record is taken."""

    name = "relay"

    def __init__(self, place):
        super().__init__(place)
        self.spool = Spool(os.path.join(place, "relay"), max_bytes=1 << 40, max_count=1 << 40)
        signers = Signers(parse_signers([f"ops_1={KEY['key']}"], "here"), allow_unsigned=True)
        self.intake = Intake(self.spool, AllowList([DSN, UDP_DSN]), signers)
        texts = ("tcp://127.0.0.1:0", "udp://127.0.0.1:0", f"unix://{place}/relay.sock")
        addresses = [parse_address("listen", text) for text in texts]
        self.listener = Listener(addresses, self.intake, max_connections=2 * MOST_OPEN)
        self.listener.stop()  # from now on its run() is one turn: what the sockets hold is taken
        self.tcp, self.udp, self.unix = self.listener.addresses
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.kept = deque()
        self.taken = self.fed = 0
        golden = [r for case in GOLDEN["messages"] for r in case["records"] if r["message"]["type"] == "sentry"]
        self.golden = [readdress(record_bytes(record), DSN) for record in golden]
        self.events = [
            json.loads(event_json(7, 200)),
            {"sentry.interfaces.Message": {"message": "a"}, "event_id": "b" * 32},
        ]

    def seeds(self):
        signed = encode(event_json(1), DSN, hmac=KEY)
        records = [*self.golden, signed, encode("other", None, kind="x"), encode(BOMB.decode(), DSN)]
        return [b"\0\0" + record for record in records] + [b"\0\2" + http + signed for http in HTTP]

    def make(self, dice, seeds):
        body = b"".join(
            self._record(dice) if dice.random() < 0.7 else mutate_bytes(dice, dice.choice(seeds)[2:])
            for _ in range(dice.randint(1, 3))
        )
        if dice.random() < 0.1:
            body = dice.choice(HTTP) + body
        if dice.random() < 0.2:
            body = body[: dice.randrange(len(body) + 1)]
        return dice.randbytes(2) + body

    def _record(self, dice):
        """A whole record, with something wrong inside."""
        text = dump(mutate_json(dice, dice.choice(self.events)))
        kind = dice.randrange(6)
        if kind == 1:
            text = base64.b64encode(zlib.compress(text, 1))
        elif kind == 2:
            text = base64.b64encode(mutate_bytes(dice, zlib.compress(text, 1)))
        elif kind == 3:
            text = mutate_bytes(dice, text)
        elif kind == 4 and dice.random() < 0.02:
            text = BOMB
        dsn = (
            DSN
            if dice.random() < 0.8
            else mutate_bytes(dice, dice.choice((DSN, UDP_DSN)).encode()).decode("utf-8", "replace")
        )
        key = None if dice.random() < 0.8 else {**KEY, "signer": dice.choice(("ops", "x"))}
        return encode(text[:60_000].decode("utf-8", "replace"), dsn[:500], hmac=key)

    def turn(self):
        self.listener.run()

    def connect(self, address):
        if address.scheme == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address.path)
        else:
            sock = socket.create_connection((address.host, address.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        return sock

    def send(self, sock, data):
        rest = memoryview(data)
        for _ in range(MANY_TURNS):
            if not rest:
                return
            try:
                rest = rest[sock.send(rest) :]
            except BlockingIOError:
                self.turn()
            except OSError:
                return  # closed, for too much garbage
        raise AssertionError("it reads no more")

    def feed(self, data):
        """The first two bytes say which socket, how many pieces, and how it ends."""
        how, pieces, body = *data[:2].ljust(2, b"\0"), data[2:]
        if how % 4 == 3:
            self.datagrams.sendto(body[:65_000], (self.udp.host, self.udp.port))
        else:
            sock = self.connect(self.tcp if how % 4 == 2 else self.unix)
            size = len(body) // (pieces % 4 + 1) + 1
            for at in range(0, len(body), size):
                self.send(sock, body[at : at + size])
                self.turn()
            end = how >> 2 & 3
            if end == 1:
                self.kept.append(sock)
                sock = self.kept.popleft() if len(self.kept) > MOST_OPEN else None
            elif end == 2:
                with contextlib.suppress(OSError):  # it may have been closed
                    sock.shutdown(socket.SHUT_WR)
                self.turn()
            if sock is not None:
                sock.close()
        self.turn()
        self.judge()
        self.fed += 1
        if self.fed % LOOK_EVERY == 0:
            self.look()

    def judge(self):
        """What came of it; the ids in the spool."""
        files = {}
        for name in os.listdir(os.path.join(self.spool.path, "new")):
            path = Path(self.spool.path, "new", name)
            files[name] = path.read_bytes()
            path.unlink()
        self.taken += len(files)
        found = []
        for name, data in files.items():
            header, items = parse_envelope(data)
            assert _server(header["dsn"]) in (_server(DSN), _server(UDP_DSN)), "a DSN that nobody allowed"
            assert parse_name(name).event_id == header["event_id"]
            (item,) = items
            event = unpack_raven(item.payload, MAX_EVENT_SIZE) if item.type == "raven" else item.payload
            assert len(event) <= MAX_EVENT_SIZE and isinstance(orjson.loads(event), dict)
            found.append(header["event_id"])
        counts = self.intake.counts.snapshot()
        refused = sum(n for name, n in counts.items() if name.startswith("refused.") and name not in NOT_RECORDS)
        assert self.taken == counts.get("accepted", 0), f"{self.taken} files: {counts}"
        assert counts.get("records", 0) == self.taken + counts.get("other_types", 0) + refused, counts
        assert 0 == counts.get("refused.internal", 0), counts
        assert [] == os.listdir(os.path.join(self.spool.path, "tmp"))
        return found

    def look(self):
        """A valid record over each address is taken, whatever came before it."""
        for address in (self.tcp, self.udp, self.unix):
            record = encode(event_json(self.fed), DSN)
            if address is self.udp:
                self.datagrams.sendto(record, (address.host, address.port))
                self.turn()
            else:
                with self.connect(address) as sock:
                    self.send(sock, record)
                    self.turn()
            assert [f"{self.fed:032x}"] == self.judge(), f"{address}: a valid record"

    def finish(self):
        self.look()
        while self.kept:
            self.kept.popleft().close()
        self.turn()
        assert 0 == self.listener.open_connections
        self.listener.close()
        self.datagrams.close()
