"""The watch: each way a request can take its worker along, provoked for real: one event that names the request."""

import os
import signal
import socket
import threading

import pytest
from uwsgi_support import Receiver, Server, find_uwsgi, shared_plugin, wait_for

UWSGI = find_uwsgi()
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    pytest.mark.timeout(120),
]
WATCH = "processes = 4\nsentry-watch = true\n"
MODES = [
    "",
    pytest.param("lazy-apps = true", marks=pytest.mark.full),
    pytest.param("threads = 2\nenable-threads = true", marks=pytest.mark.full),
]
APP = """
import ctypes, os, sys, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge

def stuck_in_python(seconds):
    time.sleep(seconds)

def stuck_in_c(seconds):
    # PyDLL keeps the GIL: no other Python code of this process runs meanwhile.
    ctypes.PyDLL(None).usleep(int(seconds * 1000000))

def crash():
    ctypes.string_at(0)

def application(env, start):
    what = env["PATH_INFO"].strip("/")
    if what == "sleep":
        stuck_in_python(30)
    if what == "c":
        ctypes.PyDLL(None).sleep(30)
    if what == "slow":
        time.sleep(2.5)
    if what == "hold":
        with open("hold.pid", "w") as f:
            f.write(str(os.getpid()))
        time.sleep(float(env["QUERY_STRING"]))
    if what == "segfault":
        crash()
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(7)
    start("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture(scope="session")
def plugin():
    return shared_plugin(UWSGI)


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


@pytest.fixture
def serve(plugin, receiver, tmp_path):
    """Start one server with these lines of ini; it is stopped at the end."""
    servers = []

    def start(lines):
        servers.append(Server(UWSGI, plugin, tmp_path, lines, dsn=receiver.dsn, app=APP))
        return servers[-1].wait_ready()

    yield start
    for server in servers:
        server.stop()


def in_background(server, *paths):
    for path in paths:
        threading.Thread(target=server.crash, args=(path,), daemon=True).start()


def one_event(receiver, server, kind):
    """The one event of this kind; no other event beside it."""
    found = wait_for(
        lambda: [e for e in receiver.events if e.get("tags", {}).get("uwsgi.event") == kind],
        f"{kind}, got {receiver.texts()}\n{server.text()}",
    )
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    assert len(receiver.events) == 1, receiver.texts()
    return found[0]


def functions(event):
    return [f["function"] for f in event["exception"]["values"][0]["stacktrace"]["frames"]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path, function", [("/sleep?token=hide", "stuck_in_python"), ("/c", "application")])
def test_harakiri(serve, receiver, mode, path, function):
    """A worker over its time limit: the request, out of several in flight, and its Python stack, also inside C code."""
    transaction = "GET " + path.partition("?")[0]
    server = serve(WATCH + "harakiri = 2\n" + mode)
    in_background(server, path)
    # They outlast the limit: a request that ends on the same worker would take the worker's one timer with it.
    threading.Timer(1, in_background, (server, "/hold?3", "/hold?3")).start()
    wait_for(lambda: transaction in [e["transaction"] for e in receiver.events], f"a harakiri\n{server.text()}")
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    (event,) = [e for e in receiver.events if e["transaction"] == transaction]
    assert {e["transaction"] for e in receiver.events} <= {transaction, "GET /hold"}
    assert event["tags"]["uwsgi.event"] == "harakiri"
    assert functions(event)[-1] == function or function in functions(event)
    assert event["level"] == "error" and "hide" not in str(event)
    assert "GET /hold" in event["extra"]["other_requests"]
    assert int(event["extra"]["request_age_ms"]) >= 1000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["segfault", "abort"])
def test_crash(serve, receiver, mode, kind):
    """A crashed worker: one event, with the request and the stack; alarm-segfault does not repeat it."""
    server = serve(WATCH + "alarm = crash sentry:logger=t.crash\nalarm-segfault = crash\n" + mode)
    server.crash("/" + kind)
    event = one_event(receiver, server, kind)
    assert event["transaction"] == "GET /" + kind and event["level"] == "fatal"
    if not mode.startswith("threads"):
        assert ("crash" if kind == "segfault" else "application") in functions(event)
    assert event["fingerprint"][:2] == [kind, "/" + kind]


def test_killed_from_outside(serve, receiver):
    """SIGKILL from outside: the request and its age; there is no stack to be had."""
    server = serve(WATCH)
    in_background(server, "/hold?20")
    pid_file = server.tmp_path / "hold.pid"
    os.kill(int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), "a busy worker")), signal.SIGKILL)
    event = one_event(receiver, server, "killed")
    assert event["transaction"] == "GET /hold" and event["extra"]["signal"] == "9"


def test_exit_of_the_application(serve, receiver):
    """os._exit in the application is told with its status and the request."""
    server = serve(WATCH)
    server.crash("/exit")
    event = one_event(receiver, server, "exit")
    assert event["transaction"] == "GET /exit" and event["extra"]["exit_status"] == "7"


def test_slow_request_is_told_once_and_lives(serve, receiver):
    """A slow request is told once, while it runs; it ends well."""
    server = serve(WATCH + "sentry-watch-slow = 1")
    assert server.get("/slow")[0] == 200
    event = one_event(receiver, server, "slow")
    assert event["transaction"] == "GET /slow" and event["level"] == "warning"


def test_listen_queue_is_told_once(serve, receiver):
    """A full listen queue is one event, not one a second; the requests that were running are in it."""
    server = serve("processes = 1\nsentry-watch = listen-queue\nlisten = 2")
    in_background(server, "/hold?4")
    wait_for((server.tmp_path / "hold.pid").exists, "the request to run")
    clients = []
    for _ in range(6):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", server.port))
        clients.append(s)
    event = one_event(receiver, server, "listen-queue")
    assert "GET /hold" in event["extra"]["other_requests"]
    for s in clients:
        s.close()


@pytest.mark.full
def test_respawn_storm(serve, receiver):
    """Five deaths in a minute are a storm, told once."""
    server = serve("processes = 2\nsentry-watch = respawn-storm")
    for _ in range(6):
        server.crash("/exit")
    one_event(receiver, server, "respawn-storm")


@pytest.mark.full
def test_normal_life_gives_no_event(serve, receiver):
    """Requests, max-requests, a reload and a stop are no news."""
    server = serve(WATCH + "max-requests = 20\nmin-worker-lifetime = 0\nharakiri = 10")
    for _ in range(200):
        assert server.get("/")[0] == 200
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "gracefully (RE)spawned" in server.text() and server._answers(), "the reload")
    server.stop()
    assert receiver.texts() == [] and server.waiting() == 0


def test_wrong_list_is_said(serve, receiver):
    """An unknown word turns the watch off with one line; the server runs."""
    server = serve("sentry-watch = harakiri,earthquake")
    assert "[sentry] sentry-watch: true, or a list of harakiri" in server.text()
    server.crash("/exit")
    assert receiver.events == []
