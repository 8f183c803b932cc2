"""The watch: each way a request can take its worker along, provoked for real: one event that names the request.

Four requests run at a time: the bad one, and three that only hold their places.
"""

import base64
import json
import os
import re
import signal
import socket
import threading
import time
import zlib
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.event.summary import summarise
from support.uwsgi import find_uwsgi
from support.waiting import wait_for
from support.watch import (
    APP,
    GEVENT,
    MODES,
    PREFORK,
    THREADS,
    bystanders,
    functions,
    get_until_told,
    hold_three,
    in_background,
    kinds,
    one_event,
    suspect,
    told_in_time,
)

UWSGI = find_uwsgi()
SCHEMA = Path(__file__).parent.parent.parent / "data" / "sentry_event.schema.json"
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    pytest.mark.timeout(180),
]


@pytest.fixture
def serve(serve):
    """A server whose application can do what the watch is for."""
    return partial(serve, app=APP)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path, function", [("/sleep?token=hide", "stuck_in_python"), ("/c", "stuck_in_c")])
def test_harakiri(serve, receiver, mode, path, function):
    """A worker over its time limit: the request, out of several in flight, and its Python stack, also inside C code."""
    transaction = "GET " + path.partition("?")[0]

    def tell():
        server = serve("sentry-watch = true\nharakiri = 5\n" + mode)
        running = server.tmp_path / (transaction.removeprefix("GET /") + ".pid")
        running.unlink(missing_ok=True)
        in_background(server, path)
        wait_for(running.exists, "the request to run")
        time.sleep(1)
        # Younger, and they outlast the limit: one that ends on the same worker would take its one timer with it.
        in_background(server, *["/hold?10"] * 3)
        wait_for(lambda: transaction in [e["transaction"] for e in receiver.events], server.text)
        wait_for(lambda: server.waiting() == 0, "an empty spool")
        (event,) = [e for e in receiver.events if e["transaction"] == transaction]
        server.stop()
        return event

    event = told_in_time(receiver, tell, lambda event: "stacktrace" in event["exception"]["values"][0])
    # Those beside may go over the limit too, one by one; nobody else says anything, and nobody is told as killed.
    assert {e["transaction"] for e in receiver.events} <= {transaction, "GET /hold"}
    assert {"harakiri"} == set(kinds(receiver))
    assert function == functions(event)[-1]
    frame = event["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert "seconds" in frame["context_line"] and frame["pre_context"][-1].startswith(("def ", "    #"))
    assert event["level"] == "error" and "hide" not in str(event)
    assert ["harakiri", transaction, f"{function} in app.py"] == event["fingerprint"]
    assert suspect(event)["age_ms"] >= 1900 and suspect(event)["url"].endswith(path.partition("?")[0])
    if mode != GEVENT:  # it accepts nobody while the one thread is stuck
        beside = bystanders(event)
        # C code that holds the GIL also keeps a second thread of its worker from starting.
        assert len(beside) == 3 or (len(beside) == 2 and path == "/c" and mode == THREADS)
        assert all(url.endswith("/hold") for url in beside)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["segfault", "abort"])
def test_crash(serve, receiver, mode, kind):
    """A crashed worker: one event, with the request and the stack; alarm-segfault does not repeat it."""
    server = serve("sentry-watch = true\nalarm = crash sentry:logger=t.crash\nalarm-segfault = crash\n" + mode)
    hold_three(server, 20)  # older than the one that crashes, and in threads and gevent in the same worker
    server.crash(f"/{kind}?1")
    event = one_event(receiver, server, kind)
    assert "fatal" == event["level"]
    assert "GET /" + kind == event["transaction"]
    assert ("crash" if kind == "segfault" else "give_up") in functions(event)
    number, name = (11, "SIGSEGV") if kind == "segfault" else (6, "SIGABRT")
    mechanism = event["exception"]["values"][0]["mechanism"]
    assert {"number": number, "name": name} == mechanism["meta"]["signal"] and "uwsgi.watch" == mechanism["type"]
    assert [kind, "GET /" + kind] == event["fingerprint"][:2]
    assert suspect(event)["url"].endswith("/" + kind)
    assert 3 == len(bystanders(event)) and all(url.endswith("/hold") for url in bystanders(event))


@pytest.mark.parametrize("mode", MODES)
def test_killed_from_outside(serve, receiver, mode):
    """SIGKILL from outside: the oldest request of the worker and its age; there is no stack to be had."""
    server = serve("sentry-watch = true\n" + mode)
    in_background(server, "/victim?30")
    pid_file = server.tmp_path / "victim.pid"
    pid = int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), "a busy worker"))
    hold_three(server, 30)
    os.kill(pid, signal.SIGKILL)
    event = one_event(receiver, server, "killed")
    assert "GET /victim" == event["transaction"] and "fatal" == event["level"]
    assert (9, pid) == (event["contexts"]["uwsgi"]["signal"], event["contexts"]["uwsgi"]["pid"])
    assert "stacktrace" not in event["exception"]["values"][0] and suspect(event)["age_ms"] > 0
    assert 3 == len(bystanders(event))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [7, 1, 30])
def test_exit_of_the_application(serve, receiver, mode, status):
    """os._exit in the application, with any status, is told with it, the request and the stack."""
    server = serve("sentry-watch = true\n" + mode)
    hold_three(server, 20)
    server.crash(f"/exit?{status},1")
    event = one_event(receiver, server, "exit")
    assert "GET /exit" == event["transaction"] and "error" == event["level"]
    assert status == event["contexts"]["uwsgi"]["exit_status"] and "signal" not in event["contexts"]["uwsgi"]
    assert "leave" == functions(event)[-1]


def test_source_lines_of_a_relative_name(serve, receiver):
    """wsgi-file = app.py gives frames with a relative name: their lines are read below the server's directory."""
    server = serve("sentry-watch = true\nwsgi-file = app.py\n" + PREFORK)
    server.crash("/exit?7,1")
    frame = one_event(receiver, server, "exit")["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert ("app.py", "    os._exit(status)") == (frame["filename"], frame["context_line"])


def test_programs_that_the_application_starts_get_no_descriptor(serve, receiver):
    """A program started with all that is not close-on-exec has neither the stack's memory file nor the spool."""
    server = serve("sentry-watch = true\n" + PREFORK)
    status, listing = server.get("/descriptors")
    assert status == 200 and "/proc/" in listing
    assert "heka-raven" not in listing and str(server.spool) not in listing


@pytest.mark.full
def test_a_thread_of_the_application_crashes_beside_gevent(serve, receiver):
    """Where one thread has all requests, another of the application's own crashes: it is told, with its stack; looking
    for the request on the wrong stack would crash once more."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT)
    server.crash("/thread?segfault")
    event = one_event(receiver, server, "segfault")
    assert "GET /thread" == event["transaction"] and "crash" == functions(event)[-2]
    wait_for(lambda: "end of backtrace" in server.text(), "uWSGI's own words")
    assert server.text().count("/sentry_plugin.so(") <= 2


LOADS_IN_A_THREAD = """
import sys, threading
sys.path.insert(0, {root!r})

def load():
    from heka_raven import uwsgi_bridge

def application(env, start):
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    start("200 OK", [])
    return [b"well"]
"""


@pytest.mark.full
def test_a_thread_of_the_application_loads_the_bridge_beside_gevent(serve):
    """A thread of the application's own is the first to report, and imports what tells uWSGI: it crashes nothing."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT, app=LOADS_IN_A_THREAD)
    assert (200, "well") == server.get("/") == server.get("/")
    assert "Segmentation Fault" not in server.text()


@pytest.mark.full
def test_a_thread_of_the_application_reports_beside_gevent(serve, receiver):
    """There, uWSGI may be called from the main thread only: in another, a report or os._exit crashes no worker."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT)
    pid = server.get("/")[1]
    assert (200, pid) == server.get("/thread?tell") == server.get("/")
    server.crash("/thread?exit")
    event = one_event(receiver, server, "exit")
    assert "GET /thread" == event["transaction"] and 7 == event["contexts"]["uwsgi"]["exit_status"]


@pytest.mark.parametrize("mode", MODES)
def test_slow_request_is_told_once_and_lives(serve, receiver, mode):
    """A slow request is told once, with its stack, while it runs; it ends well."""
    server = serve("sentry-watch = true\nsentry-watch-slow = 1\n" + mode)
    hold_three(server, 0.4)
    assert (200, "slept well") == get_until_told(receiver, server, "/slow")
    wait_for(lambda: server.waiting() == 0, lambda: f"an empty spool\n{server.text()}")
    # Those beside may be slow, too, where a thread that sleeps holds them up, or a busy machine.
    assert {e["transaction"] for e in receiver.events} <= {"GET /slow", "GET /hold"}
    (event,) = [e for e in receiver.events if e["transaction"] == "GET /slow"]
    assert "slow" == event["tags"]["uwsgi.event"] and "warning" == event["level"]
    assert "stuck_until_let_go" == functions(event)[-1]


def test_slow_requests_of_one_worker_are_all_told(serve, receiver):
    """Two threads of one worker, both slow: one event each, with the stack of its own thread."""
    server = serve("sentry-watch = true\nsentry-watch-slow = 1\nprocesses = 1\nthreads = 2\nenable-threads = true")
    in_background(server, "/slow", "/hold?60")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"two events\n{server.text()}")
    (server.tmp_path / "let-go").touch()
    assert {"GET /slow": "stuck_until_let_go", "GET /hold": "hold"} == {
        e["transaction"]: functions(e)[-1] for e in receiver.events
    }


def test_another_program_in_the_place_of_a_worker_is_not_signalled(serve, receiver):
    """A worker that became another program by exec has no handler any more: it is told as slow, and lives on."""
    server = serve(
        "sentry-watch = true\nsentry-watch-slow = 1\nprocesses = 1", app=APP + "uwsgi_bridge.answer_for_requests()\n"
    )
    pid = int(server.get("/")[1])
    in_background(server, "/exec")
    wait_for(
        lambda: "GET /exec" in [e["transaction"] for e in receiver.events], lambda: f"a slow request\n{server.text()}"
    )
    wait_for(lambda: "sleep" == Path(f"/proc/{pid}/comm").read_text().strip(), "the other program")


def test_slow_is_off_unless_set(serve, receiver):
    """sentry-watch = true alone reports no slow request."""
    server = serve("sentry-watch = true\n" + PREFORK)
    assert 200 == server.get("/hold?2.2")[0]
    assert [] == receiver.texts() and 0 == server.waiting()


def fill(address, count):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    clients = []
    for _ in range(count):
        s = socket.socket(family)
        s.setblocking(False)
        s.connect_ex(address)
        clients.append(s)
    return clients


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_listen_queue(serve, receiver, kind):
    """A full queue is one event, not one a second, with the request that keeps the worker; again after it fell."""
    path = f"/tmp/hk-watch-{os.getpid()}.sock"  # short: a unix socket's name has 108 bytes
    server = serve(f"processes = 1\nsentry-watch = listen-queue\nlisten = 2\nsocket = {path}")
    address = path if kind == "unix" else ("127.0.0.1", server.port)
    let_go = server.tmp_path / "let-go"
    for number in (1, 2):
        in_background(server, "/victim?60")
        wait_for((server.tmp_path / "victim.pid").exists, "the request to run")
        clients = fill(address, 6)
        wait_for(
            lambda n=number: len(receiver.events) == n, lambda: f"event {number} {receiver.texts()}\n{server.text()}"
        )
        time.sleep(2.2)  # two more looks
        for s in clients:
            s.close()
        let_go.touch()
        wait_for(lambda: server._answers(), "the queue to be taken off")
        time.sleep(4)  # a look at least, which finds it empty
        let_go.unlink()
        (server.tmp_path / "victim.pid").unlink()
        assert ["listen-queue"] * number == kinds(receiver)
        event = receiver.events[-1]
        name = re.escape(path if kind == "unix" else f"127.0.0.1:{server.port}")
        assert re.search(rf"[2-9] of 2 connections wait at {name}", event["logentry"]["formatted"])
        assert "warning" == event["level"] and "GET /victim" == event["transaction"] and "hold" == functions(event)[-1]


def test_listen_queue_percent(serve, receiver):
    """sentry-watch-backlog: half of the queue is enough."""
    server = serve("processes = 1\nsentry-watch = listen-queue\nlisten = 10\nsentry-watch-backlog = 50")
    in_background(server, "/victim?60")
    wait_for((server.tmp_path / "victim.pid").exists, "the request to run")
    clients = fill(("127.0.0.1", server.port), 6)
    event = one_event(receiver, server, "listen-queue")
    assert 10 > event["contexts"]["uwsgi"]["queue"] >= 5 and 10 == event["contexts"]["uwsgi"]["queue_max"]
    (server.tmp_path / "let-go").touch()
    for s in clients:
        s.close()


@pytest.mark.parametrize("mode", [PREFORK, pytest.param(THREADS, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "option, limit", [("reload-on-rss", "rss"), ("evil-reload-on-rss", "rss"), ("reload-on-as", "address_space")]
)
def test_memory(serve, receiver, mode, option, limit):
    """A worker that uWSGI ends for its memory: a warning with the figures and the request after which it was over."""
    path, mebibytes = ("/grow", 100) if limit == "rss" else ("/map", 2000)
    server = serve(f"sentry-watch = true\n{option} = {mebibytes}\nmin-worker-lifetime = 0\n" + mode)
    hold_three(server, 3)
    assert 200 == server.get(f"{path}?{mebibytes}")[0]
    event = one_event(receiver, server, "memory")
    figures = event["contexts"]["uwsgi"]
    assert "warning" == event["level"] and "GET " + path == event["transaction"]
    assert figures[f"{limit}_bytes"] >= mebibytes << 20 == figures[option.replace("-", "_") + "_bytes"]


def test_respawn_storm(serve, receiver):
    """N deaths within M seconds are a storm, told once in that time, with the deaths; then again."""
    server = serve(
        "processes = 2\nsentry-watch = respawn-storm\nsentry-watch-storm = 3\nsentry-watch-storm-seconds = 30\n"
        "forkbomb-delay = 0"
    )
    for _ in range(5):
        server.crash("/exit?7,0")
    event = one_event(receiver, server, "respawn-storm")
    assert "fatal" == event["level"] and "3 workers died within 30 seconds" in event["logentry"]["formatted"]
    deaths = event["contexts"]["uwsgi"]["deaths"]
    assert [("exit", "GET /exit")] * 3 == [(death["event"], death["transaction"]) for death in deaths]


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_hundred_deaths_are_a_hundred_events(serve, receiver):
    """Every death of a crash loop is told, each once, with its own request; the storm once a minute."""
    server = serve("sentry-watch = true\nforkbomb-delay = 0\n" + PREFORK)
    for number in range(100):
        server.crash(("/exit?7,0&n=%d", "/segfault?n=%d")[number % 2] % number)
    wait_for(lambda: len(receiver.events) - kinds(receiver).count("respawn-storm") >= 100, "100 events", 60)
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    queries = [e["request"]["query_string"].rpartition("n=")[2] for e in receiver.events if "request" in e]
    assert [str(n) for n in range(100)] == sorted(queries, key=int)
    assert 1 <= kinds(receiver).count("respawn-storm") <= 3


@pytest.mark.full
@pytest.mark.timeout(600)
def test_normal_life_gives_no_event(serve, receiver):
    """10,000 requests, max-requests, a reload, a worker's reload and a stop are no news."""
    server = serve(
        "sentry-watch = true\nsentry-watch-slow = 60\nmax-requests = 400\nmin-worker-lifetime = 0\nharakiri = 60\n"
        "reload-on-rss = 2000\nlisten = 100\nmaster-fifo = fifo\n" + PREFORK
    )
    failed = []

    def client():
        for _ in range(2500):
            if server.get("/")[0] != 200:
                failed.append(1)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    (server.tmp_path / "fifo").write_text("r")  # a graceful reload
    wait_for(lambda: "gracefully (RE)spawned" in server.text() and server._answers(), "the reload", 60)
    server.stop()
    assert [] == receiver.texts() and 0 == server.waiting()


def test_a_server_that_is_down_loses_nothing(serve, receiver):
    """While the Sentry server is down the deaths wait in the spool; once it is back each arrives once."""
    receiver.status = 503
    server = serve("sentry-watch = true\n" + PREFORK)
    server.crash("/segfault")
    wait_for(lambda: server.waiting() == 1, "the event in the spool")
    server.crash("/exit?7,0")
    wait_for(lambda: server.waiting() == 2, "the second event in the spool")
    receiver.status = 200
    wait_for(lambda: len(receiver.events) == 2 and server.waiting() == 0, "both events", 60)
    assert ["exit", "segfault"] == sorted(kinds(receiver))


def test_a_death_that_nobody_saw_is_told(serve, receiver, tmp_path):
    """A worker that uWSGI reaps before anybody looked: told by what it left in shared memory, without its status."""
    # Between our look and its own, uWSGI's master opens this pidfile once a second: a FIFO holds it there.
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    stopped = threading.Event()

    def let_go_on(times):
        while times > 0 and not stopped.is_set():
            try:
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
                times -= 1
            except OSError:  # it is not there yet
                pass
            time.sleep(0.05)

    server = serve(f"sentry-watch = true\nprocesses = 1\nsmart-attach-daemon = {fifo} true")
    pid = server.get("/")[1]
    let_go_on(2)  # it opens it once before its loop begins
    wait_for(lambda: waits_for_a_writer(server.process.pid), "the master at the FIFO")
    server.crash("/exit?7,0")
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "the worker's end")
    thread = threading.Thread(target=let_go_on, args=(1000,))
    thread.start()
    try:
        event = one_event(receiver, server, "exit")
        assert "exit_status" not in event["contexts"]["uwsgi"]  # so it was this way
        assert "leave" == functions(event)[-1]
        server.stop()
    finally:
        stopped.set()
        thread.join()


def waits_for_a_writer(pid):
    """Whether a process is in the kernel's open() of a FIFO; where that is not told, it had time enough."""
    where = Path(f"/proc/{pid}/wchan").read_text()
    if where in ("", "0"):
        time.sleep(4)
    return where in ("", "0", "wait_for_partner")


def cgroup_with_limit(limit):
    """A cgroup of its own whose processes may take *limit* bytes together; None where this machine allows none."""
    for parent, setting, swap in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ):
        folder = Path(parent) / f"hk-watch-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / setting).write_text(str(limit))
            if (folder / swap).exists():
                (folder / swap).write_text(str(limit) if "memsw" in swap else "0")
            return folder
        except OSError:
            folder.rmdir()
    return None


def test_oom_kill(serve, receiver):
    """A worker that the kernel kills for its cgroup's memory is told as oom, the next SIGKILL as killed."""
    folder = cgroup_with_limit(200 << 20)
    if folder is None:
        pytest.skip("this machine lets us make no memory cgroup")
    try:
        server = serve(f"sentry-watch = true\ncgroup = {folder}\n" + PREFORK)
        hold_three(server, 20)
        server.crash("/grow?400")
        event = one_event(receiver, server, "oom")
        assert "GET /grow" == event["transaction"] and "fatal" == event["level"]
        assert event["contexts"]["uwsgi"]["rss_peak_bytes"] > 50 << 20 and 9 == event["contexts"]["uwsgi"]["signal"]
        pid = int(wait_for(lambda: server.get("/")[1], "a worker"))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "killed" in kinds(receiver), "the kill")
        server.stop()
    finally:
        wait_for(lambda: not (folder / "cgroup.procs").read_text().strip(), "an empty cgroup")
        folder.rmdir()


WITH_MIDDLEWARE = """
import sys
sys.path.insert(0, {root!r})
from heka.holder import get_client
from heka_raven.middleware import RavenMiddleware
import ctypes, os, time

client = get_client("t", {
    "stream_class": "heka_raven.streams.SpoolStream",
    "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": os.environ["TEST_DSN"]})},
})

class Route:
    rule = "/things/<id>"

def inner(env, start):
    path = env["PATH_INFO"]
    if path.startswith("/things"):
        env["bottle.route"] = Route()
        env["heka_raven.user"] = {"id": "7", "email": "v@example.org", "password": "hunter2"}
        time.sleep(30)
    if path == "/report-and-crash":
        try:
            raise ValueError("reported")
        except ValueError:
            client.raven("")
    if path.endswith("crash"):
        ctypes.string_at(0)
    if path == "/boom":
        raise ValueError("boom")
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]

wrapped = RavenMiddleware(inner, client, catchall=True)

def application(env, start):
    if env["PATH_INFO"] == "/crash":  # as an authentication around it does
        env["heka_raven.user"] = "outer"
    try:
        return wrapped(env, start)
    finally:
        with open("event.id", "w") as f:
            f.write(env.get("heka_raven.event_id", ""))
"""
TRACE = {"sentry-trace": "a" * 32 + "-" + "b" * 16 + "-1"}


@pytest.mark.parametrize("why", ["harakiri", "slow"])
def test_what_the_middleware_knows_is_asked(serve, receiver, why):
    """Route, user and trace of a request that is stuck in Python, also those set while it ran."""
    limit = "harakiri = 2" if why == "harakiri" else "sentry-watch-slow = 1"
    server = serve(f"sentry-watch = true\n{limit}\n{PREFORK}", app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})

    def tell():
        threading.Thread(target=server.get, args=("/things/5",), kwargs={"headers": TRACE}, daemon=True).start()
        return one_event(receiver, server, why)

    event = told_in_time(
        receiver, tell, lambda event: "user" in event and event["fingerprint"][-1] == "inner in app.py"
    )
    assert "GET /things/<id>" == event["transaction"] == suspect(event)["transaction"] == event["culprit"]
    assert {"id": "7", "email": "v@example.org", "ip_address": "127.0.0.1"} == event["user"]
    assert ("a" * 32, "b" * 16) == (
        event["contexts"]["trace"]["trace_id"],
        event["contexts"]["trace"]["parent_span_id"],
    )
    assert [why, "GET /things/<id>", "inner in app.py"] == event["fingerprint"] and "hunter2" not in str(event)


def test_what_the_middleware_knew_outlives_a_crash(serve, receiver):
    """User and trace that were known when the request began are in the event of its crash."""
    server = serve("sentry-watch = true\n" + PREFORK, app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    threading.Thread(target=server.get, args=("/crash",), kwargs={"headers": TRACE}, daemon=True).start()
    event = one_event(receiver, server, "segfault")
    assert {"id": "outer", "ip_address": "127.0.0.1"} == event["user"] and "a" * 32 == event["contexts"]["trace"][
        "trace_id"
    ]
    assert "string_at" == functions(event)[-1] and ["segfault", "GET /crash", "inner in app.py"] == event["fingerprint"]


def test_one_event_id_everywhere(serve, receiver):
    """Environ, uWSGI's log variable, error page and event have the same id; the exception handler repeats nothing."""
    server = serve(
        "sentry-watch = true\nexception-handler = sentry:\nlog-format = id=%(sentry_event_id) %(uri)\n" + THREADS,
        app=WITH_MIDDLEWARE,
        env={"TEST_DSN": receiver.dsn},
    )
    status, page = server.get("/boom", headers={"Accept": "application/json"})
    (event,) = wait_for(lambda: receiver.events, "the event")
    assert (500, event["event_id"]) == (status, json.loads(page)["event_id"])
    assert event["event_id"] == (server.tmp_path / "event.id").read_text()
    wait_for(lambda: f"id={event['event_id']} /boom" in server.text(), "the log line")
    assert 200 == server.get("/other")[0]
    wait_for(lambda: "id=- /other" in server.text(), "the next request's log line")
    assert 1 == len(receiver.events)


def test_a_crash_names_what_the_application_reported_before(serve, receiver):
    """The suspect has the id of the event that was reported in the same request: the inbox links the two."""
    server = serve("sentry-watch = true\n" + PREFORK, app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    server.crash("/report-and-crash")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"two events\n{server.text()}")
    reported, crashed = sorted(receiver.events, key=lambda event: event["timestamp"])
    assert "segfault" == crashed["tags"]["uwsgi.event"] and reported["event_id"] == suspect(crashed)["event_id"]
    assert f"event:{reported['event_id']}" in summarise(read_event(crashed)).links


def test_events_are_what_sentry_takes(serve, receiver):
    """An event with all it can hold passes the JSON schema of Sentry's events."""
    server = serve(f"sentry-watch = true\nharakiri = 2\n{PREFORK}", app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    threading.Thread(target=server.get, args=("/things/5",), kwargs={"headers": TRACE}, daemon=True).start()
    jsonschema.validate(one_event(receiver, server, "harakiri"), json.loads(SCHEMA.read_text()))


def test_protocol_3(serve, receiver):
    """sentry-watch-options = protocol=3: the request and its figures as an old Sentry takes them."""
    server = serve("sentry-watch = exit\nsentry-watch-options = protocol=3,api=store\n" + PREFORK)
    hold_three(server, 10)
    server.crash("/exit?7,0")
    (_, _, body) = wait_for(lambda: receiver.requests, "the event")[0]
    event = json.loads(zlib.decompress(base64.b64decode(body)))
    assert event["sentry.interfaces.Http"]["url"].endswith("/exit") and "7" == event["extra"]["exit_status"]
    assert 3 == event["extra"]["other_requests"].count("GET /hold for ")
    assert "leave" == event["sentry.interfaces.Stacktrace"]["frames"][-1]["function"]


NO_BRIDGE = """
import ctypes, os, time
def application(env, start):
    if env["PATH_INFO"] == "/segfault":
        ctypes.string_at(0)
    while env["PATH_INFO"] == "/slow" and not os.access("let-go", os.F_OK):
        time.sleep(0.05)
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"slept well"]
"""


@pytest.mark.parametrize("importing", [False, True])
def test_without_the_middleware(serve, receiver, importing):
    """No bridge: never a signal, so the worker lives, and events without a stack; the ini line import brings it."""
    lines = "sentry-watch = true\nsentry-watch-slow = 1\nimport = heka_raven.uwsgi_bridge\n" if importing else ""
    server = serve((lines or "sentry-watch = true\nsentry-watch-slow = 1\n") + PREFORK, app=NO_BRIDGE, home=importing)
    assert (200, "slept well") == get_until_told(receiver, server, "/slow")
    server.crash("/segfault")
    wait_for(lambda: len(receiver.events) == 2 and server.waiting() == 0, lambda: f"two events\n{server.text()}")
    assert ["segfault", "slow"] == sorted(kinds(receiver))
    for event in receiver.events:
        assert importing == ("stacktrace" in event["exception"]["values"][0])
        assert "GET /" + event["tags"]["uwsgi.event"] == event["transaction"]


def test_the_application_s_own_faulthandler_is_left_alone(serve, receiver):
    """faulthandler.enable() of the application writes where it did; the event has the stack too."""
    server = serve("sentry-watch = true\n" + PREFORK, env={"PYTHONFAULTHANDLER": "1"})
    server.crash("/segfault")
    assert "crash" in functions(one_event(receiver, server, "segfault"))
    assert "Fatal Python error: Segmentation fault" in server.text()


def test_children_of_the_application_are_not_the_worker(serve, receiver):
    """A child that the application forked may crash and leave as it likes: the worker lives, and nothing is told."""
    server = serve("sentry-watch = true\n" + PREFORK)
    assert (200, "both are dead") == server.get("/children")
    time.sleep(1.5)  # a look or two
    assert [] == receiver.texts() and 0 == server.waiting()


def test_a_stack_overflow_has_its_stack(serve, receiver):
    """The handlers have a stack of their own."""
    server = serve("sentry-watch = true\n" + PREFORK)
    server.crash("/overflow")
    assert "recurse" in functions(one_event(receiver, server, "segfault"))


@pytest.mark.parametrize(
    "line, said",
    [
        (
            "sentry-watch = harakiri,earthquake",
            "sentry-watch: 'harakiri,earthquake' is not true, nor a list of harakiri",
        ),
        ("sentry-watch = true\nsentry-watch-backlog = 0", "sentry-watch-backlog: 0 is outside 1..100 percent"),
        ("sentry-watch = true\nsentry-watch-storm = 0", "sentry-watch-storm: 0 is outside 1..1000 deaths"),
        ("sentry-watch = true\nsentry-watch-storm-seconds = 0", "sentry-watch-storm-seconds: 0 is outside 1..86400"),
        ("sentry-watch = true\nsentry-watch-options = colour=red", "sentry-watch-options: "),
    ],
)
def test_wrong_options_are_said(serve, receiver, line, said):
    """A mistake is one line that names the option and the limit; the server runs."""
    assert "[sentry] " + said in serve(line).text()


def test_a_list_watches_only_what_it_names(serve, receiver):
    """sentry-watch = exit: a segfault is not told."""
    server = serve("sentry-watch = exit\n" + PREFORK)
    server.crash("/segfault")
    server.crash("/exit?7,0")
    assert "GET /exit" == one_event(receiver, server, "exit")["transaction"]
