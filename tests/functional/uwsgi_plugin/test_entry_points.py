"""Each entry point of the uWSGI plugin, in each mode of uWSGI, with real processes and a real receiver.

With uWSGI of PyPI; in the full run everything once more with Debian's.
"""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from support.receiver import text_of
from support.uwsgi import APP, DEBIAN, DEBIAN_PLUGINS, find_uwsgi, ledger_at_rest
from support.waiting import still, wait_for

UWSGI = find_uwsgi()
pytestmark = pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")

HANDLERS = """
processes = 2
log-master = true
log-master-bufsize = 16384
alarm-msg-size = 16384
alarm-freq = 0
alarm = seen sentry:logger=t.alarm
alarm = direct sentry:logger=t.direct
alarm = crash sentry:level=fatal,logger=t.crash
log-alarm = seen ^alarm-line
alarm-segfault = crash
hook-asap = sentry:level=info,logger=t.asap,message=asap
hook-accepting1-once = sentry:level=info,logger=t.hook,message="ready, and willing"
route-if = equal:${REQUEST_METHOD};PUT sentry:level=warning,logger=t.route,message=PUT $1${REQUEST_URI},tags=m:put
exception-handler = sentry:logger=t.exception
"""
AT_START = ("t.asap", "t.hook")
BY_REQUEST = ("t.route", "t.alarm", "t.direct", "t.exception")


@pytest.fixture(
    scope="session",
    params=[
        "PyPI",
        pytest.param(
            "Debian",
            marks=[
                pytest.mark.full,
                pytest.mark.skipif(not os.path.exists(DEBIAN), reason="no uWSGI of Debian (uwsgi-core)"),
            ],
        ),
    ],
)
def uwsgi(request):
    return UWSGI if request.param == "PyPI" else DEBIAN


@pytest.fixture
def serve(serve, uwsgi):
    """One server of either uWSGI; Debian's has the system's Python, which needs no home."""

    def start(lines, *, home=False, **keywords):
        return serve(lines, uwsgi=uwsgi, home=home and uwsgi != DEBIAN, **keywords)

    return start


def by_logger(receiver):
    found = {}
    for event in receiver.events:
        found.setdefault(event["logger"], []).append(event)
    return found


def press_all(server, crash=True):
    """Use every entry point that a request can use, and report one exception as the middleware does."""
    assert server.get("/", "PUT")[0] == 200
    server.get("/log?1,hello")
    server.get("/alarms?1")
    server.get("/boom?x=1")  # uWSGI ends the connection without a word
    server.get("/reported")
    if crash:
        server.crash("/segfault")


def check_all(receiver, server, *, crash=True, starts=1, presses=1):
    """Each entry point reported as often as it was used; what was reported already: not again."""
    wanted = dict.fromkeys(AT_START, starts) | dict.fromkeys(BY_REQUEST, presses)
    if crash:
        wanted["t.crash"] = presses

    def missing():
        found = by_logger(receiver)
        return {name: n for name, n in wanted.items() if len(found.get(name, [])) < n}

    wait_for(
        lambda: not missing(),
        lambda: f"{missing()}, got {receiver.texts()}, {server.waiting()} wait\n{server.text()}",
        40,
    )
    wait_for(lambda: server.waiting() == 0, lambda: f"an empty spool\n{server.text()}")
    found = by_logger(receiver)
    assert {name: len(events) for name, events in found.items()} == wanted
    assert len({e["event_id"] for e in receiver.events}) == len(receiver.events)
    assert text_of(found["t.asap"][0]) == "asap"
    assert text_of(found["t.hook"][0]) == "ready, and willing"
    assert text_of(found["t.route"][0]) == "PUT /"
    assert found["t.route"][0]["tags"] == {"m": "put"}
    assert text_of(found["t.alarm"][0]) == "alarm-line hello 0"
    assert text_of(found["t.direct"][0]) == "burst 0"
    exception = found["t.exception"][0]["exception"]["values"][0]
    assert exception["type"] == "ValueError" and exception["value"] == "boom x=1"
    if "2.0.21" not in server.text():  # which has no stack to give, with Python 3.11
        assert exception["stacktrace"]["frames"][-1]["function"] == "application"
    assert found["t.exception"][0]["transaction"] == "GET /boom"
    if crash:
        assert text_of(found["t.crash"][0]).startswith("*** backtrace of ")


MODES = {
    "master and 2 workers": "master = true",
    "uWSGI turns the master on itself": "",
    "threads": "threads = 4\nenable-threads = true",
    "gevent": "gevent = 10",
    "lazy-apps": "lazy-apps = true",
    "die-on-term": "die-on-term = true",
    "alarm-cheap": "alarm-cheap = true",
}


def gevent_plugin(uwsgi):
    """The line that this uWSGI needs for gevent."""
    if uwsgi != DEBIAN:
        pytest.importorskip("gevent")
        return ""
    if not os.path.exists(f"{DEBIAN_PLUGINS}/gevent_python3_plugin.so"):
        pytest.skip("no gevent of Debian's uWSGI (uwsgi-plugin-gevent-python3)")
    return "plugin = gevent_python3\n"


@pytest.mark.parametrize("mode", MODES)
def test_every_entry_point_reports_once(mode, serve, uwsgi, receiver):
    """Alarm, hook, route, exception handler and segfault each give one event; a reported exception gives none."""
    lines = HANDLERS + MODES[mode]
    if mode == "gevent":
        lines = gevent_plugin(uwsgi) + lines
    server = serve(lines, master=mode != "uWSGI turns the master on itself", home=mode == "gevent")
    # uWSGI blocks SIGSEGV in all threads of a worker but the first, so its own alarm-segfault stays silent there. So it
    # does under Debian 13's gevent: the C library's backtrace, which uWSGI calls first, crashes in that greenlet.
    crash = mode != "threads" and not (mode == "gevent" and "uWSGI 2.0.28-debian" in server.text())
    press_all(server, crash)
    check_all(receiver, server, crash=crash)
    if mode == "die-on-term":
        server.stop(signal.SIGTERM)
        assert server.process.returncode == 0
    counts = ledger_at_rest(server)
    assert counts["captured"] == 7 + crash and counts["delivered"] == 6 + crash
    assert counts["discarded.event_processor"] == 1
    server.stop()
    assert server.pids() == []


def test_a_crash_under_gevent_is_watched(serve, uwsgi, receiver):
    """sentry-watch tells a worker's crash under gevent, also where uWSGI's own alarm-segfault cannot (Debian 13)."""
    server = serve(f"{gevent_plugin(uwsgi)}sentry-watch = segfault\n{HANDLERS}gevent = 10", home=True)
    server.crash("/segfault")
    wait_for(lambda: by_logger(receiver).get("uwsgi.watch"), lambda: f"{receiver.texts()}\n{server.text()}")
    (event,) = by_logger(receiver)["uwsgi.watch"]
    assert "GET /segfault" == event["transaction"] and "SIGSEGV" in text_of(event)
    assert "t.crash" not in by_logger(receiver)


def test_without_master(serve, receiver):
    """Without a master hooks and routes report and the sender runs; that nobody restarts it is said at start."""
    lines = HANDLERS.replace("accepting1-once", "accepting1")  # which uWSGI runs without a master too
    # For alarms and exception handlers uWSGI turns the master on: see the mode above.
    lines = "\n".join(line for line in lines.splitlines() if line.startswith(("hook", "route")))
    server = serve(lines, master=False)
    server.get("/", "PUT")
    wait_for(lambda: len(by_logger(receiver)) == 3, lambda: f"two hooks and the route\n{server.text()}")
    assert "no master: the sender runs, but nobody starts it again" in server.text()
    assert "spawned uWSGI master" not in server.text()


def test_emperor_with_vassals(serve, receiver, tmp_path):
    """Each vassal has a spool and a sender of its own; the emperor's environment does not leak into them."""
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    inner = {name: tmp_path / name for name in ("one", "two")}
    receiver.status = 503  # what these say already is for nobody
    ports = {}
    for name, where in inner.items():
        where.mkdir()
        writer = serve(HANDLERS, where=where, ready=False)
        writer.stop()  # it only wrote the vassal's ini
        shutil.rmtree(writer.spool, ignore_errors=True)
        ports[name] = writer.port
        shutil.copy(writer.ini, vassals / f"{name}.ini")
    receiver.status = 200
    server = serve(f"emperor = {vassals}", name="emperor")
    for count, name in enumerate(inner, start=1):
        server.port, server.spool = ports[name], inner[name] / "spool"
        server.wait_ready()
        assert eval(server.get("/")[1])[0] == str(inner[name] / "spool")
        assert server.sender_pid()
        press_all(server)
        wait_for(
            lambda n=count: len(by_logger(receiver).get("t.crash", [])) == n, lambda: f"the crash\n{server.text()}"
        )
    check_all(receiver, server, starts=2, presses=2)


def test_reload_by_sighup(serve, receiver):
    """After a reload everything reports as before, and nothing of before is lost or sent twice."""
    server = serve(HANDLERS + "hook-accepting = print:accepts\n")
    press_all(server)
    # A worker that has no signal handler of its own yet does not end at a SIGHUP: uWSGI would wait a minute for it.
    wait_for(lambda: server.text().count("accepts\n") == 3, lambda: f"another worker\n{server.text()}")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: len(by_logger(receiver).get("t.asap", [])) == 2 and server._answers(), server.text)
    press_all(server)
    check_all(receiver, server, starts=2, presses=2)


def test_sigkill_of_the_sender(serve, receiver):
    """A killed sender is respawned by the master and goes on; events that came meanwhile are delivered."""
    server = serve(HANDLERS)
    press_all(server)
    check_all(receiver, server)
    first = server.sender_pid()
    os.kill(first, signal.SIGKILL)
    press_all(server)
    wait_for(lambda: server.sender_pid() != first, "another sender")
    check_all(receiver, server, presses=2)


@pytest.mark.parametrize("victim", ["the master", "everything"])
def test_sigkill_of_the_master(victim, serve, receiver):
    """Events of every entry point that wait when all is killed are delivered by the next start."""
    receiver.status = 503
    server = serve(HANDLERS + "no-orphans = true")
    press_all(server)
    wait_for(
        lambda: server.waiting() == 7,
        lambda: f"all entry points in the spool, {server.waiting()} there\n{server.text()}",
    )
    for pid in [server.process.pid] if victim == "the master" else server.pids():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.pids() == [], "the sender and the workers to die with the master")
    receiver.status = 200
    server = serve(HANDLERS)
    check_all(receiver, server, starts=2)
    counts = ledger_at_rest(server)
    assert counts["captured"] == counts["delivered"] + 1 == 10  # one was the middleware's


def test_listen_queue_alarm(serve, receiver):
    """A full listen queue reaches the receiver while the workers are busy."""
    lines = "processes = 1\nlisten = 2\nalarm = full sentry:level=warning,logger=t.full\nalarm-listen-queue = full"
    server = serve(lines)
    clients = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(3)]
    for client in clients:
        client.sendall(b"GET /sleep?3 HTTP/1.0\r\n\r\n")
    more = []
    for _ in range(3):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", server.port))
        more.append(s)
    wait_for(lambda: by_logger(receiver).get("t.full"), lambda: f"the alarm\n{server.text()}")
    assert "listen queue" in text_of(by_logger(receiver)["t.full"][0])
    for client in clients + more:
        client.close()


def test_application_under_uwsgi_finds_the_spool(serve, tmp_path):
    """$HEKA_RAVEN_SPOOL is set before the app loads, and the app sees that the plugin is there."""
    server = serve("processes = 1")
    assert eval(server.get("/")[1]) == (str(tmp_path / "spool"), True)
    assert Path(tmp_path / "spool").stat().st_mode & 0o777 == 0o700


FEEDS = """
log-master = true
log-master-bufsize = 16384
alarm-msg-size = 16384
alarm-freq = 0
alarm = x sentry:logger=t.alarm,debug=1
"""


@pytest.mark.parametrize(
    "expression", [".*", *(pytest.param(word, marks=pytest.mark.full) for word in ("error", "event"))]
)
def test_an_alarm_does_not_feed_itself(serve, receiver, expression):
    """Whatever alarm-log looks for, what the plugin logs raises no alarm: with debug=1 each event logs a line."""
    receiver.status = 503  # so that the sender has something to say about events and errors, too
    server = serve(f"{FEEDS}log-alarm = x {expression}")
    server.get("/log?3,event-error")
    wait_for(lambda: server.waiting() >= 3, server.text)
    receiver.status = 200
    wait_for(lambda: server.waiting() == 0, server.text)
    texts = still(receiver.texts)
    assert 3 == len([text for text in texts if "alarm-line event-error" in text])
    assert len(texts) < 100 and not [text for text in texts if "[sentry]" in text]
    assert "[sentry] " in server.text()


def test_route_from_the_application(serve, receiver):
    """uwsgi.route('sentry', ...) reports with the options it is given, each time, and keeps no memory."""
    app = APP.replace("    if path ==", """    if path == "/route":
        import uwsgi
        for i in range(int(query)):
            uwsgi.route("sentry", "logger=t.app,message=call %d of ${PATH_INFO},tags=a:b" % i)
        return reply(start, open("/proc/self/statm").read().split()[1])
    if path ==""", 1)  # fmt: skip
    server = serve("", app=app)
    server.get("/route?2")
    wait_for(lambda: len(receiver.events) == 2, server.text)
    assert ["call 0 of /route", "call 1 of /route"] == sorted(receiver.texts())
    assert {"a": "b"} == receiver.events[0]["tags"] and "GET /route" == receiver.events[0]["transaction"]
    assert 0 == ledger_at_rest(server)["discarded.internal_sdk_error"]
    before = int(server.get("/route?300")[1])
    assert int(server.get("/route?3000")[1]) - before < 50  # pages


def test_two_exception_handlers_drop_what_was_reported(serve, receiver):
    """Each of two handlers reports what no middleware has seen, and neither what the middleware reported."""
    server = serve("exception-handler = sentry:logger=t.one\nexception-handler = sentry:logger=t.two")
    for _ in range(3):
        server.get("/reported?1")
    server.get("/boom?2")
    wait_for(lambda: len(receiver.events) == 2 and server.waiting() == 0, server.text)
    assert ["t.one", "t.two"] == sorted(event["logger"] for event in still(lambda: receiver.events))
    assert {"ValueError"} == {event["exception"]["values"][0]["type"].rpartition(".")[2] for event in receiver.events}
    counts = ledger_at_rest(server)
    assert (8, 2, 6) == (counts["captured"], counts["delivered"], counts["discarded.event_processor"])


def test_restored_metrics_are_not_counted_twice(serve, receiver, tmp_path):
    """metrics-dir-restore: after a restart uWSGI's counters say what the ledger says."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    lines = f"{PUTS}enable-metrics = true\nmetrics-dir = {folder}\nmetrics-dir-restore = true\n"
    for times in (1, 2, 3):
        server = serve(lines)
        server.get("/", "PUT")
        wait_for(
            lambda n=times: n == int((folder / "sentry.captured").read_text().strip("\0\n ") or 0),
            lambda: f"{(folder / 'sentry.captured').read_text()}\n{server.text()}",
        )
        server.stop()


PUTS = "route-if = equal:${REQUEST_METHOD};PUT sentry:message=put\n"
