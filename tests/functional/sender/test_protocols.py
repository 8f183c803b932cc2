"""Every way an event can go over the wire, read back on the other side; also by a server that nobody here wrote."""

import base64
import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest

from heka_raven import CLIENT_NAME
from support.delivery import app, assert_exact, command, end, fill, run_app, run_command, send_once, waiting
from support.paths import DATA
from support.ports import free_port
from support.sentry_server import Reply, Server, script
from support.waiting import wait_for

EVENT = {"event_id": "0123456789abcdef" * 2, "platform": "python", "logentry": {"formatted": "grüße € \n end"}}
PAYLOAD = json.dumps(EVENT, ensure_ascii=False).encode()
BLOB = base64.b64encode(zlib.compress(json.dumps({"event_id": "fedcba9876543210" * 2, "message": "old"}).encode()))


def put(spool, dsn, payload=PAYLOAD, item_type="event", hk=None):
    from heka_raven.streams import SpoolStream

    stream = SpoolStream(path=str(spool), sender="off")
    stream.ledger.add("captured")
    assert stream.write_event(EVENT["event_id"], dsn, payload, item_type, hk)
    stream.ledger.close()


def test_envelope(spool):
    """The default: an envelope with a new header; the payload arrives byte for byte; nothing of `hk` goes out."""
    with Server() as server:
        put(spool, server.dsn, hk={"timeout_s": 5, "debug": True})
        assert 0 == send_once(spool)[0]
        (request,) = server.events
        header, (item,) = request.envelope
        assert {"event_id", "dsn", "sent_at"} == set(header)
        assert (PAYLOAD, {"type": "event", "length": len(PAYLOAD)}) == (item.payload, item.headers)
        assert ("POST", "/api/1/envelope/") == (request.method, request.path)
        assert CLIENT_NAME == request.headers["user-agent"]
        assert (
            f"Sentry sentry_version=7, sentry_client={CLIENT_NAME}, sentry_key=public"
            == request.headers["x-sentry-auth"]
        )


def test_gzip(spool):
    """compress = gzip: the same bytes, compressed."""
    with Server() as server:
        put(spool, server.dsn)
        assert 0 == send_once(spool, "--compress", "gzip")[0]
        (request,) = server.events
        assert "gzip" == request.headers["content-encoding"]
        assert PAYLOAD == request.envelope[1][0].payload


def test_store(spool):
    """api = store: the event alone, to the old endpoint, with the secret that old servers ask for."""
    with Server() as server:
        put(spool, server.dsn, hk={"api": "store"})
        assert 0 == send_once(spool)[0]
        (request,) = server.requests
        assert ("/api/1/store/", PAYLOAD) == (request.path, request.body)
        assert "sentry_secret=secret" in request.headers["x-sentry-auth"]


def test_version_3(spool):
    """A raven blob goes to the store endpoint as protocol version 3, as it is."""
    with Server() as server:
        put(spool, server.dsn, BLOB, "raven")
        assert 0 == send_once(spool)[0]
        (request,) = server.requests
        assert ("/api/1/store/", BLOB) == (request.path, request.body)
        assert "sentry_version=3" in request.headers["x-sentry-auth"]


def test_udp(spool):
    """udp://: one datagram: auth line, empty line, payload."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        put(spool, f"udp://public:secret@127.0.0.1:{receiver.getsockname()[1]}/1", BLOB, "raven")
        assert 0 == send_once(spool)[0]
        auth, empty, payload = receiver.recv(65535).split(b"\n")
        assert (b"", BLOB) == (empty, payload)
        assert auth.startswith(b"Sentry sentry_timestamp=")
        assert b"sentry_version=3, sentry_key=public, sentry_secret=secret" in auth
    assert_exact(spool, captured=1, delivered=1)


def test_udp_too_large(spool):
    """What no datagram can carry is discarded as send_error, with a copy in dead/, and does not come again."""
    put(spool, f"udp://public@127.0.0.1:{free_port()}/1", b"x" * 70_000, "raven")
    assert 1 == send_once(spool)[0]
    assert_exact(spool, captured=1, send_error=1)
    assert 1 == len(list((spool / "dead").glob("*.env")))


def test_proxy(spool):
    """--proxy, and the environment's proxy unless no_proxy names the host."""
    with Server() as proxy:
        url = f"http://user:pa%24s@127.0.0.1:{proxy.port}"
        put(spool, "http://public@sentry.invalid/1")
        assert 0 == send_once(spool, "--proxy", url)[0]
        assert "http://sentry.invalid/api/1/envelope/" == proxy.requests[0].path
        assert "Basic " + base64.b64encode(b"user:pa$s").decode() == proxy.requests[0].headers["proxy-authorization"]
        put(spool, "http://public@sentry.invalid/1")
        sent = run_command("send", "--once", "--spool", spool, env={"http_proxy": url})
        assert 0 == sent[0] and 2 == len(proxy.requests)
        put(spool, "http://public@sentry.invalid/1")
        sent = run_command("send", "--once", "--spool", spool, env={"http_proxy": url.removeprefix("http://")})
        assert 0 == sent[0] and 3 == len(proxy.requests)  # curl reads it so too, and the C sender
        with Server() as direct:
            put(spool, direct.dsn)
            run_command("send", "--once", "--spool", spool, env={"http_proxy": url, "no_proxy": "127.0.0.1"})
            assert (1, 3) == (len(direct.requests), len(proxy.requests))


class Tunnel:
    """A proxy that knows CONNECT alone; ``asked`` holds the first lines and the authorizations."""

    def __init__(self):
        self.asked = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:word@127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        head = b""
        while b"\r\n\r\n" not in head and (part := sock.recv(65536)):
            head += part
        lines = head.decode().split("\r\n")
        found = next((line for line in lines if line.lower().startswith("proxy-authorization")), "")
        self.asked.append((lines[0], found.partition(": ")[2]))
        host, _, port = lines[0].split()[1].rpartition(":")
        # Either side may break off in the middle, as one does that refuses the other's certificate.
        with contextlib.suppress(OSError), sock, socket.create_connection((host, int(port))) as other:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while True:
                for one in select.select([sock, other], [], [], 20)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (other if one is sock else sock).sendall(data)


def test_https_by_proxy(spool):
    """TLS goes through the proxy's tunnel to the server, whose certificate is verified there as well."""
    ca = DATA / "tls" / "ca.pem"
    with Tunnel() as proxy, Server(tls="server.pem") as server, Server(tls="wrong.pem") as wrong:
        ids = fill(spool, server.dsn, 3)
        result = send_once(spool, "--proxy", proxy.url, "--ca-file", ca, "--connections", "1")
        assert 0 == result[0], result
        assert sorted(ids) == sorted(server.event_ids)
        ((line, login),) = proxy.asked
        assert ["CONNECT", f"127.0.0.1:{server.port}"] == line.split()[:2]
        assert "Basic " + base64.b64encode(b"user:word").decode() == login
        fill(spool, server.dsn, 1)
        sent = run_command("send", "--once", "--spool", spool, "--ca-file", ca, env={"https_proxy": proxy.url})
        assert (0, 2, 4) == (sent[0], len(proxy.asked), len(server.events))
        fill(spool, wrong.dsn, 1)
        code, _, err = send_once(spool, "--proxy", proxy.url, "--ca-file", ca)
        assert (3, []) == (code, wrong.requests)
        assert "TLS failed" in err, err
        assert_exact(spool, captured=5, delivered=4)


def test_proxy_refuses(spool):
    """A proxy that is down is a network error: the event waits."""
    put(spool, "https://public@sentry.invalid/1")
    code, _, err = send_once(spool, "--proxy", f"http://127.0.0.1:{free_port()}")
    assert 3 == code and "proxy" in err
    assert_exact(spool, captured=1, delivered=0)


def test_several_dsns_in_one_spool(spool):
    """Each event goes to its own DSN."""
    with Server() as one, Server() as two:
        ids = fill(spool, one.dsn, 5), fill(spool, two.dsn.replace("/1", "/prefix/2"), 5)
        assert 0 == send_once(spool)[0]
        assert (sorted(ids[0]), sorted(ids[1])) == (sorted(one.event_ids), sorted(two.event_ids))
        assert {"/prefix/api/2/envelope/"} == {request.path for request in two.requests}


def test_oldest_first(spool):
    """With one connection the order of capture is the order of arrival."""
    with Server() as server:
        ids = fill(spool, server.dsn, 30)
        assert 0 == send_once(spool, "--connections", "1")[0]
        assert ids == server.event_ids


def test_client_report(spool):
    """What was discarded is told to the server: refused here, and dropped by capturing processes."""

    def behave(request):
        return Reply(400) if b"bad" in request.plain else Reply()

    with Server(behave) as server:
        put(spool, server.dsn, b'{"bad":1}')
        put(spool, server.dsn)
        process = command("send", "--spool", spool, "--connections", "1")
        try:
            wait_for(lambda: not waiting(spool))
            code = "s = SpoolStream(path=path, sender='off')\ns.ledger.add('captured', 4)\n"
            run_app(
                spool,
                server.dsn,
                code + "s.ledger.add('discarded.before_send', 3)\ns.ledger.add('discarded.throttled')",
            )
        finally:
            assert 0 == end(process)
        (report,) = [request for request in server.requests if request not in server.events]
        (item,) = report.envelope[1]
        assert "client_report" == item.type
        told = {row["reason"]: row["quantity"] for row in json.loads(item.payload)["discarded_events"]}
        assert {"send_error": 1, "before_send": 3, "throttled": 1} == told
        assert {"error"} == {row["category"] for row in json.loads(item.payload)["discarded_events"]}
        assert_exact(spool, captured=6, delivered=1, send_error=1, before_send=3, throttled=1)


def test_no_report_where_none_is_understood(spool):
    """A server that took no envelope gets no report."""
    with Server(lambda request: Reply(400)) as server:
        put(spool, server.dsn)
        send_once(spool)
        assert 1 == len(server.requests)


def test_a_thread_that_is_switched_off(spool):
    """sender = off (or the environment) starts no thread and sends nothing."""
    with Server() as server:
        code = "s = SpoolStream(path=path)\ncapture(s)\ntime.sleep(0.3)\nos.write(1, b'%d' % threading.active_count())"
        _, out = run_app(spool, server.dsn, code, env={"HEKA_RAVEN_SENDER": "off"})
        assert "1" == out[1]
        assert [] == server.requests


def kent():
    found = shutil.which("kent-server", path=str(Path(sys.executable).parent)) or shutil.which("kent-server")
    return found or pytest.skip("kent is not installed")


def test_kent_reads_back_what_was_sent(spool):
    """kent, a server nobody here wrote, has the event as it was spooled: envelope, gzip and store."""
    port = free_port()
    server = subprocess.Popen(
        [kent(), "run", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}/api"

    def read(url):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return None

    try:
        wait_for(lambda: read(f"{base}/eventlist/") is not None)
        dsn = f"http://public@127.0.0.1:{port}/1"
        put(spool, dsn)
        assert 0 == send_once(spool)[0]
        put(spool, dsn)
        assert 0 == send_once(spool, "--compress", "gzip")[0]
        put(spool, dsn, hk={"api": "store"})
        result = send_once(spool)
        assert 0 == result[0], result
        events = read(f"{base}/eventlist/")["events"]
        assert 3 == len(events)
        for event in events:
            found = read(f"{base}/event/{event['event_id']}")
            body = found["payload"].get("body") or found["payload"]
            assert EVENT == {key: body[key] for key in EVENT}
        assert_exact(spool, captured=3, delivered=3)
    finally:
        end(server)


def test_status_while_watching(spool):
    """--watch --json prints a line again and again."""
    fill(spool, "http://a@127.0.0.1:1/1", 2)
    process = command("status", "--spool", spool, "--watch", "0.1", "--json")
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    end(process)
    assert [2, 2, 2] == [line["waiting"] for line in lines]


def test_a_terminal_gets_a_table_and_a_bar(spool):
    """On a terminal: colours for `status`, a progress bar for `send --once`; both are plain text elsewhere."""
    import pty

    pytest.importorskip("rich")
    with Server(lambda request: Reply(after_s=0.1)) as server:
        fill(spool, server.dsn, 20)

        def on_terminal(*arguments):
            main, other = pty.openpty()
            process = subprocess.Popen(
                [sys.executable, "-m", "heka_raven.cli.main", *arguments, "--spool", str(spool)],
                stdin=other,
                stdout=other,
                stderr=other,
                env={**os.environ, "TERM": "xterm-256color"},
            )
            os.close(other)
            out = b""
            until = time.monotonic() + 20
            while time.monotonic() < until:
                if select.select([main], [], [], 0.1)[0]:
                    try:
                        part = os.read(main, 65536)
                    except OSError:
                        break
                    if not part:
                        break
                    out += part
            os.close(main)
            return process.wait(timeout=60), out.decode()

        code, out = on_terminal("status")
        assert 0 == code and "\x1b[" in out and "20 events" in out
        code, out = on_terminal("send", "--once")
        assert 0 == code and "sending" in out and "20 delivered, 0 left" in out
    assert "\x1b" not in run_command("status", "--spool", spool)[1]


def test_debug_names_no_key(spool):
    """hk.debug: each try is logged, without key and secret."""
    with Server(script()) as server:
        put(spool, server.dsn, hk={"debug": True})
        _, _, err = send_once(spool)
        assert f"127.0.0.1:{server.port}/1" in err and "200" in err
        assert "public" not in err and "secret" not in err


def test_reporting_beside_the_app_reaches_no_network_in_the_request(spool):
    """The request's thread opens no socket: an audit hook sees connects from the sender's threads only."""
    code = (
        "seen = []\n"
        "def hook(name, args):\n"
        "    if name == 'socket.connect': seen.append(threading.current_thread().name)\n"
        "sys.addaudithook(hook)\n"
        "stream = SpoolStream(path=path)\ncapture(stream, 10)\nstream.close(20)\n"
        "os.write(1, ('%s' % sorted(set(n.rstrip('0123456789-') for n in seen))).encode())"
    )
    with Server() as server:
        process = app(spool, server.dsn, code)
        out = process.communicate(timeout=60)[0].decode().splitlines()
        assert "['heka-raven-send']" == out[-1]
        assert 10 == len(server.events)
