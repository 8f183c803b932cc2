"""The plugin's own sender over the wire: everything that the Python sender delivers, too, with real servers."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.ports import free_port
from support.uwsgi import find_uwsgi, ledger, ledger_at_rest
from support.waiting import wait_for

UWSGI = find_uwsgi()
pytestmark = pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")
PUT = "route-if = equal:${REQUEST_METHOD};PUT sentry:message=m"
ALARMS = "alarm = direct sentry:\nprocesses = 1\nalarm-freq = 0"
TRIES = 3  # a sender that ends waits two seconds for replies, no more: a busy machine may need longer for one


@pytest.mark.parametrize("how", ["sentry-proxy", "http_proxy"])
def test_proxy(how, serve, receiver):
    """Events go through the proxy of sentry-proxy, else of the environment; the proxy is asked for the server's URL."""
    url = f"http://127.0.0.1:{receiver.port}"
    lines, env = (f"sentry-proxy = {url}\n", {}) if how == "sentry-proxy" else ("", {"http_proxy": url})
    server = serve(lines + PUT, dsn="http://public@sentry.invalid/1", env=env)
    server.get("/", "PUT")
    wait_for(lambda: receiver.requests, lambda: f"the request at the proxy\n{server.text()}")
    assert receiver.requests[0][0] == "http://sentry.invalid/api/1/envelope/"


@pytest.mark.parametrize("protocol", ["3", "7"])
def test_udp(protocol, serve):
    """udp:// sends one datagram: the auth line with the secret, an empty line, the payload; then the spool is empty."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        dsn = f"udp://public:secret@127.0.0.1:{sock.getsockname()[1]}/1"
        server = serve(PUT + f",protocol={protocol}", dsn=dsn)
        server.get("/", "PUT")
        head, _, payload = sock.recv(65536).partition(b"\n\n")
    assert head.startswith(b"Sentry sentry_timestamp=") and f"sentry_version={protocol}, ".encode() in head
    assert head.endswith(b"sentry_key=public, sentry_secret=secret")
    event = json.loads(zlib.decompress(base64.b64decode(payload)) if protocol == "3" else payload)
    assert (event["message"] if protocol == "3" else event["logentry"]["formatted"]) == "m"
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    assert ledger_at_rest(server)["delivered"] == 1


class Crowd:
    """A server that holds each request for a while, the first until there are *at_least* so many (or it takes too
    long), and counts how many it holds and over how many connections."""

    def __init__(self, hold_s, at_least=1):
        crowd = self
        enough = threading.Event()
        self.now = self.most = self.total = 0
        self.connections = set()
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                with crowd.lock:
                    crowd.now += 1
                    crowd.total += 1
                    crowd.most = max(crowd.most, crowd.now)
                    crowd.connections.add(self.client_address)
                    if crowd.now >= at_least:
                        enough.set()
                enough.wait(8)  # less than the sender waits for its reply
                time.sleep(hold_s)
                with crowd.lock:
                    crowd.now -= 1
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.server.shutdown()
        self.server.server_close()


def test_many_at_once_over_kept_connections(serve):
    """At least eight requests are under way at once, and connections are kept: 100 events need no more than 16."""
    with Crowd(0.3, at_least=8) as crowd:
        server = serve(ALARMS, dsn=f"http://public@127.0.0.1:{crowd.server.server_address[1]}/1")
        server.get("/alarms?100")
        wait_for(lambda: crowd.total >= 100, lambda: f"100 events\n{server.text()}", 60)
        wait_for(lambda: server.waiting() == 0, "an empty spool")
    assert 8 <= crowd.most <= 16
    assert len(crowd.connections) <= 16
    assert crowd.total == 100


def test_a_server_that_hangs_leaves_connections_to_another(serve, receiver):
    """While one server holds all that its DSN may have, three quarters of the connections, and a hundred events wait
    for it, an event for another server goes at once: no request has to end first."""
    with Crowd(100) as crowd:
        lines = ALARMS.replace("sentry:", "sentry:timeout=100") + f"\n{PUT},dsn={receiver.dsn}"
        server = serve(lines, dsn=f"http://public@127.0.0.1:{crowd.server.server_address[1]}/1")
        server.get("/alarms?100")
        wait_for(lambda: crowd.now == 12, lambda: f"the hanging server's share\n{server.text()}", 60)
        wait_for(lambda: server.waiting() == 100, "all of the events")
        server.get("/", "PUT")
        wait_for(lambda: receiver.requests, lambda: f"the event for the other server\n{server.text()}", 60)
        assert crowd.now == crowd.total == crowd.most == 12
        wait_for(lambda: server.waiting() == 100, "the others, which wait on")


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_what_is_under_way_at_the_end_is_not_sent_again(signum, serve, receiver):
    """uWSGI kills its gateways at a reload and a stop; the sender still waits for the replies that are due. Every event
    arrives, and once; a stopped server leaves no process."""
    for number in range(1, TRIES + 1):
        receiver.requests.clear()
        receiver.delay_s = 0.3
        server = serve(ALARMS)
        server.get("/alarms?200")  # work for five seconds
        everything = 200 * number
        wait_for(
            lambda server=server, everything=everything: (
                len(receiver.requests) > 3 and ledger(server.spool)["captured"] == everything
            ),
            server.text,
        )
        first = server.sender_pid()
        server.process.send_signal(signum)
        if signum != signal.SIGHUP:
            server.process.wait(10)
            if signum == signal.SIGKILL:
                wait_for(lambda server=server: server.pids() == [], "the end of workers and sender")
            assert server.pids() == []
            assert server.waiting() > 0
            server = serve(ALARMS)
        wait_for(lambda server=server, first=first: server.sender_pid() != first, server.text)
        receiver.delay_s = 0
        wait_for(lambda server=server: server.waiting() == 0, server.text, 60)
        assert set(receiver.texts()) == {f"burst {i}" for i in range(200)}
        assert ledger_at_rest(server)["delivered"] == everything
        if len(receiver.texts()) == 200:
            break
        server.stop()
    assert len(receiver.texts()) == 200


@pytest.mark.parametrize("victim", ["sender", "gateway"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda s: s.name)
def test_a_sender_that_is_ended_by_hand(signum, victim, serve, receiver):
    """It waits for the replies that are due; the next one delivers the rest, each event once; the workers live on."""
    receiver.delay_s = 0.3
    server = serve(ALARMS)
    worker = server.get("/pid")[1]
    for _ in range(TRIES):
        receiver.requests.clear()
        server.get("/alarms?60")
        wait_for(lambda: len(receiver.requests) > 3, server.text)
        first = server.sender_pid()
        gateway = int(Path(f"/proc/{first}/stat").read_text().rpartition(") ")[2].split()[1])
        os.kill(first if victim == "sender" else gateway, signum)
        wait_for(lambda first=first: server.sender_pid() != first, server.text)
        wait_for(lambda: server.waiting() == 0, lambda: f"delivery\n{server.text()}", 60)
        assert set(receiver.texts()) == {f"burst {i}" for i in range(60)}
        if len(receiver.texts()) == 60:
            break
    assert len(receiver.texts()) == 60
    assert server.get("/pid")[1] == worker


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGKILL], ids=lambda s: s.name)
def test_a_sender_that_outlives_its_server_is_in_nobodys_way(signum, serve, receiver):
    """A sender that does not end, as one that waits for a name server or a disk, keeps no socket of the server: the
    next one has its addresses at once."""
    lines = f"stats = 127.0.0.1:{free_port()}\nshared-socket = 127.0.0.1:{free_port()}\n{PUT}"
    server = serve(lines)
    first = server.sender_pid()
    os.kill(first, signal.SIGSTOP)
    try:
        server.process.send_signal(signum)
        if signum == signal.SIGHUP:
            wait_for(lambda: server.text().count("Stats server enabled") == 2, server.text)
        else:
            server.process.wait(10)
            wait_for(lambda: server.pids() == [first], "the end of all others")
            server = serve(lines)
        assert server._answers(), server.text()
        server.get("/", "PUT")
        wait_for(lambda: server.waiting() == 1, server.text)
    finally:
        os.kill(first, signal.SIGCONT)
    wait_for(lambda: len(receiver.events) == 1, lambda: f"the event, by the next sender\n{server.text()}")


def test_timeout_travels_with_the_event(serve, receiver):
    """timeout=1 ends a try after one second, not after ten; the event waits."""
    receiver.delay_s = 8
    server = serve(PUT + ",timeout=1")
    server.get("/", "PUT")
    wait_for(lambda: "timed out after 1" in server.text().lower(), lambda: f"the end of the try\n{server.text()}")
    assert server.waiting() == 1


def test_status_knows_each_server(serve, receiver):
    """`heka-raven status` has a line a server where the plugin delivers: last success, last error, next try;
    retry-dead --list says why each event was refused, in the words of the server."""
    server = serve(PUT)
    receiver.reply_headers = {"X-Sentry-Error": "invalid api key\x7f"}
    receiver.status = 403
    server.get("/", "PUT")
    wait_for(lambda: list((server.spool / "dead").glob("*.why")), lambda: f"the reason\n{server.text()}")
    where = f"http://127.0.0.1:{receiver.port}/1"
    listed = told("retry-dead", "--list", server)
    assert f"{where}: status 403 invalid api key\N{REPLACEMENT CHARACTER}" in listed
    receiver.status = 200
    server.get("/", "PUT")
    found = wait_for(lambda: "; delivered" in (text := told("status", server)) and text)
    line = next(line for line in found.splitlines() if line.startswith(f"server {where}"))
    assert "nothing waits; delivered" in line
    assert "s ago: status 403 invalid api key" in line
    assert "publickey" not in found
    receiver.status, receiver.reply_headers = 503, {}
    server.get("/", "PUT")
    line = wait_for(lambda: "next try in" in (text := told("status", server)) and text)
    assert "1 waiting; delivered" in line
    assert "s ago: status 503 {}; next try in" in line


def told(*words):
    """What `heka-raven` says of the spool of the server, the last argument."""
    command = [sys.executable, "-m", "heka_raven.cli.main", *words[:-1], "--spool", str(words[-1].spool)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.full
def test_client_report(serve, receiver):
    """What the server refused is told to it within a minute or so, as a client report; a copy is in dead/."""
    receiver.status = 400
    server = serve(PUT)
    server.get("/", "PUT")
    wait_for(lambda: list((server.spool / "dead").iterdir()), lambda: f"the refusal\n{server.text()}")
    receiver.status = 200
    wait_for(lambda: receiver.requests, lambda: f"the report\n{server.text()}", 90)
    path, headers, body = receiver.requests[0]
    assert path == "/api/1/envelope/" and "sentry_key=publickey" in headers["x-sentry-auth"]
    _, item, payload = body.split(b"\n", 2)
    assert json.loads(item)["type"] == "client_report"
    discarded = {"reason": "send_error", "category": "error", "quantity": 1}
    assert json.loads(payload)["discarded_events"] == [discarded]
    counts = ledger(server.spool)
    assert counts["discarded.send_error"] == counts["captured"] == 1


def test_a_reply_without_end_is_not_read(serve):
    """A server (or what sits on its port) that answers without end costs 64 KiB; its status counts."""
    sent = []

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(400)
            self.end_headers()
            try:
                while sum(sent) < 500_000_000:
                    sent.append(self.wfile.write(bytes(1_000_000)))
            except OSError:
                pass

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        server = serve(PUT, dsn=f"http://public@127.0.0.1:{http.server_address[1]}/1")
        server.get("/", "PUT")
        wait_for(lambda: server.waiting() == 0, "an empty spool")
        assert ledger_at_rest(server)["discarded.send_error"] == 1
        wait_for(lambda: "refused an event" in server.text(), "the line in the log")
        http.shutdown()
    assert sum(sent) < 50_000_000
    assert f"http://127.0.0.1:{http.server_address[1]}/1 refused an event" in server.text()


def test_the_log_quotes_no_key(serve):
    """Who reads the log must not be able to send events."""
    port = free_port()
    server = serve(PUT, dsn=f"http://visible-key@127.0.0.1:{port}/1")
    server.get("/", "PUT")
    wait_for(lambda: "are tried again" in server.text(), "the line in the log")
    assert f"http://127.0.0.1:{port}/1: " in server.text()
    assert "visible-key" not in server.text().replace("sentry-dsn = http://visible-key", "")


WRITES = """
import sys
sys.path.insert(0, {root!r})
from heka_raven.streams import SpoolStream

stream = SpoolStream()

def application(env, start):
    if env["REQUEST_METHOD"] == "POST":
        stream.ledger.add("captured")
        stream.write_event("7" * 32, "http://public@sentry.invalid/1", b"{}")
    start("200 OK", [])
    return [b""]
"""


@pytest.mark.parametrize("sends", ["proxied", "plain"])
def test_two_servers_of_one_user(sends, serve, receiver, tmp_path):
    """On one spool, one of them behind a proxy: whichever delivers, the events of both halves of both arrive."""
    proxy = f"sentry-proxy = http://127.0.0.1:{receiver.port}\n"
    spool = f"sentry-spool = {tmp_path / 'both'}\n"
    servers = {}
    for name in (sends, "plain" if sends == "proxied" else "proxied"):
        (tmp_path / name).mkdir()
        dsn = receiver.dsn if name == "plain" else "http://public@sentry.invalid/1"
        lines = spool + (proxy if name == "proxied" else "") + PUT
        servers[name] = serve(lines, dsn=dsn, where=tmp_path / name, app=WRITES)
        wait_for(lambda: (tmp_path / "both/state/sender.lock").exists())  # the first one has it
    servers["plain"].get("/", "PUT")
    servers["proxied"].get("/", "PUT")
    servers["proxied"].get("/", "POST")
    wait_for(lambda: len(receiver.events) == 3, lambda: servers[sends].text())
    paths = sorted(request[0] for request in receiver.requests)
    assert ["/api/1/envelope/", *["http://sentry.invalid/api/1/envelope/"] * 2] == paths
