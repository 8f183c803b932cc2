"""Each entry point of the uWSGI plugin, in each mode of uWSGI, with real processes and a real receiver."""

import os
import signal
from pathlib import Path

import pytest
from uwsgi_support import Receiver, Server, find_uwsgi, ledger, shared_plugin, text_of, wait_for

UWSGI = find_uwsgi()
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    pytest.mark.timeout(120),
]

HANDLERS = """
processes = 2
log-master = true
log-master-bufsize = 16384
alarm-msg-size = 16384
alarm = seen sentry:logger=t.alarm
alarm = direct sentry:logger=t.direct
alarm = crash sentry:level=fatal,logger=t.crash
log-alarm = seen ^alarm-line
alarm-segfault = crash
hook-accepting1-once = sentry:level=info,logger=t.hook,message="ready, and willing"
route-if = equal:${REQUEST_METHOD};PUT sentry:level=warning,logger=t.route,message=PUT $1${REQUEST_URI},tags=m:put
exception-handler = sentry:logger=t.exception
"""


@pytest.fixture(scope="session")
def plugin():
    return shared_plugin(UWSGI)


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


def by_logger(receiver):
    found = {}
    for event in receiver.events:
        found.setdefault(event["logger"], []).append(event)
    return found


def press_all(server, crash=True):
    assert server.get("/", "PUT")[0] == 200
    server.get("/log?1,hello")
    server.get("/boom?x=1")  # uWSGI ends the connection without a word
    server.get("/reported")
    if crash:
        server.crash("/segfault")


def check_all(receiver, server, crash=True):
    """Hook, route, alarm, exception and segfault: each once; what was reported already: not again."""
    wanted = ["t.hook", "t.route", "t.alarm", "t.exception", *(["t.crash"] if crash else [])]
    wait_for(lambda: len(by_logger(receiver)) >= len(wanted), f"{wanted}, got {receiver.texts()}\n{server.text()}")
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    found = by_logger(receiver)
    assert {name: len(events) for name, events in found.items()} == dict.fromkeys(wanted, 1)
    assert text_of(found["t.hook"][0]) == "ready, and willing"
    assert text_of(found["t.route"][0]) == "PUT /"
    assert found["t.route"][0]["tags"] == {"m": "put"}
    assert text_of(found["t.alarm"][0]) == "alarm-line hello 0"
    exception = found["t.exception"][0]["exception"]["values"][0]
    assert (exception["type"], exception["value"]) == ("ValueError", "boom x=1")
    assert exception["stacktrace"]["frames"][-1]["function"] == "application"
    assert found["t.exception"][0]["transaction"] == "GET /boom"
    if crash:
        assert text_of(found["t.crash"][0]).startswith("*** backtrace of ")


MODES = {
    "prefork": "",
    "threads": "threads = 4\nenable-threads = true",
    "lazy-apps": "lazy-apps = true",
    "die-on-term": "die-on-term = true",
}


@pytest.mark.parametrize("mode", MODES)
def test_every_entry_point_reports_once(mode, plugin, receiver, tmp_path):
    """Alarm, hook, route, exception handler and segfault each give one event; a reported exception gives none."""
    with Server(UWSGI, plugin, tmp_path, HANDLERS + MODES[mode], dsn=receiver.dsn) as server:
        server.wait_ready()
        # uWSGI blocks SIGSEGV in all threads of a worker but the first, so its own alarm-segfault stays silent there.
        crash = mode != "threads"
        press_all(server, crash)
        check_all(receiver, server, crash)
        if mode == "die-on-term":
            server.stop(signal.SIGTERM)
            assert server.process.returncode == 0
        counts = ledger(server.spool)
        assert counts["captured"] == 5 + crash and counts["delivered"] == 4 + crash
        assert counts["discarded.event_processor"] == 1
    assert server.pids() == []


def test_gevent(plugin, receiver, tmp_path):
    """The same under gevent, whose requests share one thread."""
    pytest.importorskip("gevent")
    with Server(UWSGI, plugin, tmp_path, HANDLERS + "gevent = 10", dsn=receiver.dsn, home=True) as server:
        server.wait_ready()
        press_all(server)
        check_all(receiver, server)


def test_without_master(plugin, receiver, tmp_path):
    """Without a master hooks and routes report and the sender runs; that nobody restarts it is said at start."""
    lines = HANDLERS.replace("accepting1-once", "accepting1")  # which uWSGI runs without a master too
    # uWSGI turns the master on for these by itself.
    wanted = ("hook", "route")
    lines = "\n".join(line for line in lines.splitlines() if line.startswith(wanted))
    with Server(UWSGI, plugin, tmp_path, lines, dsn=receiver.dsn, master=False) as server:
        server.wait_ready()
        server.get("/", "PUT")
        wait_for(lambda: len(by_logger(receiver)) == 2, f"hook and route\n{server.text()}")
        assert "no master: the sender runs, but nobody starts it again" in server.text()


def test_emperor_with_vassals(plugin, receiver, tmp_path):
    """Each vassal has a spool and a sender of its own; the emperor's environment does not leak into them."""
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    inner = tmp_path / "inner"
    inner.mkdir()
    with Server(UWSGI, plugin, inner, HANDLERS, dsn=receiver.dsn) as writer:
        writer.stop()  # it only wrote the vassal's ini
    receiver.requests.clear()
    (vassals / "one.ini").write_text(writer.ini.read_text())
    emperor = f"emperor = {vassals}"
    with Server(UWSGI, plugin, tmp_path, emperor, dsn=receiver.dsn, name="emperor") as server:
        server.port, own = writer.port, server.port
        server.wait_ready()
        assert own != server.port
        spool = eval(server.get("/")[1])[0]
        assert spool == str(inner / "spool")
        server.spool = inner / "spool"
        press_all(server)
        wanted = {"t.hook", "t.route", "t.alarm", "t.exception", "t.crash"}
        wait_for(lambda: wanted <= set(by_logger(receiver)), "all five")


def test_reload_by_sighup(plugin, receiver, tmp_path):
    """After a reload everything reports as before, and nothing of before is lost or sent twice."""
    with Server(UWSGI, plugin, tmp_path, HANDLERS, dsn=receiver.dsn) as server:
        server.wait_ready()
        server.get("/boom?before=1")
        old = server.get("/pid")[1]
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server._answers() and server.get("/pid")[1] != old, "new workers")
        press_all(server)
        wait_for(lambda: len(by_logger(receiver).get("t.crash", [])) == 1, "the segfault")
        wait_for(lambda: server.waiting() == 0, "an empty spool")
        found = by_logger(receiver)
        values = [e["exception"]["values"][0]["value"] for e in found["t.exception"]]
        assert sorted(values) == ["boom before=1", "boom x=1"]
        assert len({e["event_id"] for e in receiver.events}) == len(receiver.events)


def test_sigkill_of_the_sender(plugin, receiver, tmp_path):
    """A killed sender is respawned by the master and goes on; events that came meanwhile are delivered."""
    with Server(UWSGI, plugin, tmp_path, HANDLERS, dsn=receiver.dsn) as server:
        server.wait_ready()
        first = server.sender_pid()
        os.kill(first, signal.SIGKILL)
        server.get("/boom?meanwhile=1")
        wait_for(lambda: server.sender_pid() != first, "another sender")
        wait_for(lambda: "t.exception" in by_logger(receiver), "the event")
        wait_for(lambda: server.waiting() == 0, "an empty spool")
        assert len(by_logger(receiver)["t.exception"]) == 1


def test_sigkill_of_the_master(plugin, receiver, tmp_path):
    """Events that wait when everything is killed are delivered by the next start; the ledger balances."""
    receiver.status = 503
    with Server(UWSGI, plugin, tmp_path, HANDLERS + "no-orphans = true", dsn=receiver.dsn) as server:
        server.wait_ready()
        for i in range(10):
            server.get(f"/boom?n={i}")
        wait_for(lambda: server.waiting() >= 11, "ten exceptions and a hook in the spool")
        os.kill(server.process.pid, signal.SIGKILL)
        wait_for(lambda: server.pids() == [], "the sender and the workers to die with the master")
    receiver.status = 200
    with Server(UWSGI, plugin, tmp_path, HANDLERS, dsn=receiver.dsn) as server:
        server.wait_ready()
        wait_for(lambda: server.waiting() == 0, f"leftovers to be delivered\n{server.text()}", 60)
        values = {e["exception"]["values"][0]["value"] for e in by_logger(receiver)["t.exception"]}
        assert values == {f"boom n={i}" for i in range(10)}
        counts = ledger(server.spool)
        assert counts["captured"] == counts["delivered"] == 12


def test_listen_queue_alarm(plugin, receiver, tmp_path):
    """A full listen queue reaches the receiver while the workers are busy."""
    import socket

    lines = "processes = 1\nlisten = 2\nalarm = full sentry:level=warning,logger=t.full\nalarm-listen-queue = full"
    with Server(UWSGI, plugin, tmp_path, lines, dsn=receiver.dsn) as server:
        server.wait_ready()
        clients = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(3)]
        for client in clients:
            client.sendall(b"GET /sleep?3 HTTP/1.0\r\n\r\n")
        more = []
        for _ in range(3):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", server.port))
            more.append(s)
        wait_for(lambda: by_logger(receiver).get("t.full"), f"the alarm\n{server.text()}")
        assert "listen queue" in text_of(by_logger(receiver)["t.full"][0])
        for client in clients + more:
            client.close()


def test_application_under_uwsgi_finds_the_spool(plugin, receiver, tmp_path):
    """$HEKA_RAVEN_SPOOL is set before the app loads, and the app sees that the plugin is there."""
    with Server(UWSGI, plugin, tmp_path, "processes = 1", dsn=receiver.dsn) as server:
        server.wait_ready()
        assert eval(server.get("/")[1]) == (str(tmp_path / "spool"), True)
        assert Path(tmp_path / "spool").stat().st_mode & 0o777 == 0o700
