"""A real relay process, real sockets, a real kent behind it."""

import base64
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
import zlib

import pytest

from heka.client import HekaClient
from heka.streams import TcpStream
from heka.wire import RecordReader
from heka_raven.fleet import listener as listener_module
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.signers import Signers
from heka_raven.formats.envelope import parse_envelope
from heka_raven.spool.spool import Spool
from support.fleet import (
    COMMAND,
    KEY,
    encode,
    event_json,
    readdress,
    running_kent,
    running_relay,
    spool_ids,
    start_relay,
    stop,
)
from support.golden import GOLDEN, record_bytes
from support.waiting import wait_for

DSN = "http://key@sentry.example.com/1"
RULE = "http://*@sentry.example.com/*"
GOLDEN_EVENTS = [
    (case["name"], record_bytes(record))
    for case in GOLDEN["messages"]
    for record in case["records"]
    if record["message"]["type"] == "sentry"
]
NO_EVENT = "raven_payload"  # its payload is the text 'some payload data', which no server takes


def unpacked(record):
    (found,) = RecordReader().feed(record)
    return json.loads(zlib.decompress(base64.b64decode(found.message.payload)))


def as_text(event):
    return json.dumps(event, sort_keys=True)


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_the_golden_records_reach_kent(tmp_path, scheme):
    """Every event that the original wrote arrives with equal content; a record without one is counted."""
    with running_kent() as kent:
        with running_relay(tmp_path / "spool", "--dsn", f"http://*@127.0.0.1:{kent.port}/*", sender="thread") as relay:
            for name, record in GOLDEN_EVENTS:
                data = readdress(record, kent.dsn(2))
                relay.send_tcp(data) if scheme == "tcp" else relay.send_udp(data)
            expected = [unpacked(record) for name, record in GOLDEN_EVENTS if name != NO_EVENT]
            wait_for(lambda: kent.count() == len(expected), what="the events at kent")
            assert sorted(map(as_text, expected)) == sorted(map(as_text, kent.bodies()))
            wait_for(lambda: relay.ledger()["delivered"] == len(expected))
        assert 1 == relay.counts()["refused.payload"]
        assert (len(expected), 0) == (relay.ledger()["captured"], relay.ledger().missing)


def test_the_golden_bytes_as_they_are(tmp_path):
    """With rules that say where old DSNs lead today, the very bytes of the original are taken, signed ones too."""
    rules = ["--dsn", "udp://*@sentry.example.com:9001/2 -> http://new@127.0.0.1:1/5", "--dsn", RULE]
    with running_relay(tmp_path / "spool", *rules, "--signer", "vic_1=some_key", "--allow-unsigned") as relay:
        relay.send_tcp(b"".join(record for _, record in GOLDEN_EVENTS))
        wait_for(lambda: len(relay.names()) == len(GOLDEN_EVENTS) - 1)
        headers = [parse_envelope((tmp_path / "spool" / "new" / name).read_bytes())[0]["dsn"] for name in relay.names()]
    assert {"http://new@127.0.0.1:1/5", "http://username:password@sentry.example.com/2"} == set(headers)


def test_unsigned_wrongly_signed_and_foreign_messages_are_refused_and_counted(tmp_path):
    """Each is refused under its own counter, which status shows; the right one passes."""
    signers = tmp_path / "signers"
    signers.write_text("ops_1=fleet-secret\n")
    signers.chmod(0o600)
    with running_relay(tmp_path / "spool", "--dsn", RULE, "--signer-file", str(signers)) as relay:
        text = event_json(1)
        relay.send_tcp(
            encode(text, DSN)
            + encode(text, DSN, hmac={**KEY, "key": "guessed"})
            + encode(text, DSN, hmac={**KEY, "signer": "stranger"})
            + encode(text, "http://key@169.254.169.254/1", hmac=KEY)
            + encode(text, DSN, hmac=KEY)
        )
        wait_for(lambda: relay.counts().get("accepted"))
        counts = relay.status()["fleet"][0]["counts"]
        assert [f"{1:032x}"] == spool_ids(relay.spool)
    for name in ("refused.unsigned", "refused.signature", "refused.signer", "refused.dsn"):
        assert 1 == counts[name], name
    assert (5, 1) == (counts["records"], relay.ledger()["captured"])


def test_a_unix_socket_and_a_bomb(tmp_path):
    """The unix socket is for the group, its dead predecessor is replaced; a bomb is refused; the next event passes."""
    path = str(tmp_path / "relay.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    bomb = base64.b64encode(zlib.compress(b"{" + b" " * 40 * 2**20 + b"}")).decode()
    with running_relay(tmp_path / "spool", "--dsn", RULE, listen=[f"unix://{path}"]) as relay:
        assert 0o660 == stat.S_IMODE(os.stat(path).st_mode)
        before = relay.rss_bytes()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(encode(bomb, DSN) * 20 + encode(event_json(2), DSN))
        wait_for(lambda: relay.names())
        assert relay.rss_bytes() - before < 16 * 2**20
        with pytest.raises(AssertionError):  # somebody serves it: a second relay leaves it alone
            start_relay(tmp_path / "other", "--dsn", RULE, listen=[f"unix://{path}"], stderr=subprocess.DEVNULL)
    assert (20, 1) == (relay.counts()["refused.too_large"], relay.counts()["accepted"])
    assert not os.path.exists(path)


def test_slow_broken_and_silent_clients_cost_one_connection_each(tmp_path):
    """While some dawdle, send garbage or nothing at all, another client's events pass; they are closed and counted."""
    options = ("--dsn", RULE, "--max-record-time", "2")
    with running_relay(tmp_path / "spool", *options) as relay:
        slow, garbage, silent = relay.tcp(), relay.tcp(), relay.tcp()
        slow.sendall(encode(event_json(1), DSN)[:50])
        try:
            garbage.sendall(os.urandom(2**20))
        except OSError:
            pass  # it was closed in the middle: that is the point
        relay.send_tcp(encode(event_json(2), DSN))
        wait_for(lambda: relay.names())
        assert b"" == slow.recv(1), "the slow one was not closed"
        try:
            assert b"" == garbage.recv(1)
        except ConnectionResetError:
            pass
        silent.sendall(encode(event_json(3), DSN))  # being silent is allowed: heka's own stream is, between errors
        wait_for(lambda: len(relay.names()) == 2)
        for sock in (slow, garbage, silent):
            sock.close()
    assert (1, 1) == (relay.counts()["connections.slow"], relay.counts()["connections.broken"])


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_page_in_a_browser_cannot_send_records(tmp_path, size):
    """Any web page can make a browser POST to 127.0.0.1: what begins as an HTTP request is closed, records or not."""
    with running_relay(tmp_path / "spool", "--dsn", RULE) as relay, relay.tcp() as sock:
        sock.settimeout(20)
        data = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + encode(event_json(), DSN)
        with contextlib.suppress(OSError):
            for at in range(0, len(data), size):
                sock.sendall(data[at : at + size])
        with contextlib.suppress(ConnectionResetError):
            assert b"" == sock.recv(1)
        assert [] == relay.names()
    assert 1 == relay.counts()["connections.broken"]


def test_more_connections_than_places(tmp_path):
    """A full relay refuses the next connection instead of growing, and takes it once there is room."""
    with running_relay(tmp_path / "spool", "--dsn", RULE, "--max-connections", "3") as relay:
        held = [relay.tcp() for _ in range(3)]
        for number, sock in enumerate(held):
            sock.sendall(encode(event_json(number), DSN))
        wait_for(lambda: len(relay.names()) == 3)
        with relay.tcp() as fourth:
            assert b"" == fourth.recv(1)
        for sock in held:
            sock.close()

        def taken():
            relay.send_tcp(encode(event_json(9), DSN))
            return f"{9:032x}" in spool_ids(relay.spool)

        wait_for(taken)
    assert relay.counts()["connections.refused"] >= 1


def test_a_quiet_connection_makes_room(tmp_path, monkeypatch):
    """When all places are taken, the one that was quiet longest is closed for the new one."""
    monkeypatch.setattr(listener_module, "MIN_QUIET_S", 0.2)
    intake = Intake(Spool(str(tmp_path / "spool")), AllowList([RULE]), Signers({}))
    served = listener_module.Listener([parse_address("listen", "tcp://127.0.0.1:0")], intake, max_connections=2)
    thread = threading.Thread(target=served.run)
    thread.start()
    try:
        where = ("127.0.0.1", served.addresses[0].port)
        with (
            socket.create_connection(where, 10) as quiet,
            socket.create_connection(where, 10) as busy,
        ):
            quiet.sendall(encode(event_json(0), DSN))
            wait_for(lambda: len(intake.spool.names()) == 1)
            time.sleep(0.3)  # longer than MIN_QUIET_S
            busy.sendall(encode(event_json(1), DSN))
            wait_for(lambda: len(intake.spool.names()) == 2)
            with socket.create_connection(where, 10) as third:
                third.sendall(encode(event_json(2), DSN))
                wait_for(lambda: len(intake.spool.names()) == 3)
                assert b"" == quiet.recv(1)
    finally:
        served.stop()
        thread.join()
        served.close()
    assert (1, 0) == (intake.counts["connections.quiet"], intake.counts["connections.refused"])


def test_what_is_cut_off_or_dropped_is_counted(tmp_path):
    """A client that goes in the middle of a record, and each datagram that the kernel threw away."""
    with running_relay(tmp_path / "spool", "--dsn", RULE) as relay:
        relay.send_tcp(encode(event_json(1), DSN)[:40])
        wait_for(lambda: relay.counts().get("connections.cut") == 1)
        relay.process.send_signal(signal.SIGSTOP)
        sent = 400  # of 30 KB: more than net.core.rmem_max lets the socket hold, 4 MiB at most
        for number in range(sent):
            relay.send_udp(encode(event_json(number, 30_000), DSN))
        relay.process.send_signal(signal.SIGCONT)

        def told():
            nonlocal sent
            sent += 1
            relay.send_udp(encode(event_json(sent, 300), DSN))  # the kernel tells with the next that comes
            counts = relay.counts()
            return counts.get("udp_dropped") and counts["accepted"] >= 5

        wait_for(told)

        def balanced():
            told()  # one more, in case that the last was dropped
            until = time.monotonic() + 3
            while time.monotonic() < until:
                counts = relay.counts()
                if counts["accepted"] + counts["udp_dropped"] == sent:
                    return True
                time.sleep(0.02)
            return False

        wait_for(balanced)
        assert relay.counts()["accepted"] == len(relay.names())


def test_other_types_are_counted_or_handed_on(tmp_path):
    """--forward gives records of other types on as they came, so their signature still holds."""
    other = encode("line", None, kind="nginx.access", hmac=KEY)
    with running_relay(tmp_path / "first", "--dsn", RULE) as relay:
        relay.send_tcp(other)
        wait_for(lambda: relay.counts().get("other_types") == 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.bind(("127.0.0.1", 0))
        router.settimeout(10)
        port = router.getsockname()[1]
        options = ("--dsn", RULE, "--forward", f"udp://127.0.0.1:{port}", "--signer", "ops_1=fleet-secret")
        with running_relay(tmp_path / "second", *options) as relay:
            relay.send_tcp(other + encode("line", None, kind="nginx.access"))  # the second is unsigned
            assert other == router.recv(65_535)
            wait_for(lambda: relay.counts().get("forwarded") == 1)
    assert 1 == relay.counts()["refused.unsigned"]


def test_forwarding_to_a_file_and_over_tcp(tmp_path):
    """The same bytes arrive there; a router that is away costs its records, counted, and no event."""
    others = [encode(f"line {number}", None, kind="nginx.access") for number in range(3)]
    path = tmp_path / "others"
    with running_relay(tmp_path / "file", "--dsn", RULE, "--forward", f"file://{path}") as relay:
        relay.send_tcp(b"".join(others))
        wait_for(lambda: relay.counts().get("forwarded") == 3)
    assert b"".join(others) == path.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as router:
        options = ("--dsn", RULE, "--forward", f"tcp://127.0.0.1:{router.getsockname()[1]}")
        with running_relay(tmp_path / "tcp", *options) as relay:
            relay.send_tcp(others[0])
            router.settimeout(10)
            with router.accept()[0] as connection:
                connection.settimeout(10)
                assert others[0] == connection.recv(65_536)
            router.close()

            def lost():
                relay.send_tcp(others[1])
                return relay.counts().get("forward_lost")

            wait_for(lost)
            relay.send_tcp(encode(event_json(1), DSN))
            wait_for(lambda: relay.names())


def test_a_client_of_ours_sends_through_the_relay(tmp_path):
    """HekaClient over TcpStream, config as an application has it: what client.raven-like messages hold arrives."""
    with running_relay(tmp_path / "spool", "--dsn", RULE, "--signer", "ops_1=fleet-secret") as relay:
        client = HekaClient(TcpStream("127.0.0.1", relay.port("tcp")), "app", hmc=KEY)
        for number in range(50):
            assert client.heka("sentry", payload=event_json(number), fields={"dsn": DSN})
        client.stream.close()
        wait_for(lambda: len(relay.names()) == 50)
        assert [f"{number:032x}" for number in range(50)] == sorted(spool_ids(relay.spool))


def test_events_of_a_killed_relay_are_in_its_spool(tmp_path):
    """What was taken survives SIGKILL; at most the one in hand is missing from the ledger; the next relay goes on."""
    relay = start_relay(tmp_path / "spool", "--dsn", RULE)
    relay.send_tcp(b"".join(encode(event_json(number), DSN) for number in range(200)))
    wait_for(lambda: len(relay.names()) >= 50)
    stop(relay.process, signal.SIGKILL)
    taken = len(relay.names())
    assert abs(relay.ledger().missing) <= 1
    with running_relay(tmp_path / "spool", "--dsn", RULE) as again:
        again.send_tcp(encode(event_json(999), DSN))
        wait_for(lambda: len(again.names()) == taken + 1)


def test_a_full_spool_is_counted(tmp_path):
    """Over the caps the events are discarded and counted, and the relay lives on."""
    with running_relay(tmp_path / "spool", "--dsn", RULE, "--max-count", "10") as relay:
        relay.send_tcp(b"".join(encode(event_json(number), DSN) for number in range(30)))
        wait_for(lambda: relay.ledger()["discarded.cache_overflow"] == 20)
        ledger = relay.ledger()
    assert (10, 20, 0) == (ledger.pending, ledger["discarded.cache_overflow"], ledger.missing)


def test_a_wrong_option_is_one_line(tmp_path):
    """Exit code 2 and one line that says what to do."""
    done = subprocess.run(
        [*COMMAND, "relay", "--spool", str(tmp_path / "s"), "--listen", "tcp://0.0.0.0:0", "--dsn", "h/1"],
        capture_output=True,
        text=True,
    )
    assert 2 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert "--allow-unsigned" in done.stderr
