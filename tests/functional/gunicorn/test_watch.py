"""The watch under real gunicorn: each kind provoked, one event each, with its request, its stack and no secret."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from heka_raven.spool.ledger import read_snapshot
from support.gunicorn import Gunicorn, children_of, functions, kill_the_watch
from support.ports import free_port
from support.sentry_server import Server
from support.spools import spooled
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import still, wait_for

pytest.importorskip("gunicorn")

WORKERS = {"sync": [], "gthread": ["-k", "gthread", "--threads", "4"], "gevent": ["-k", "gevent"]}
workers = pytest.mark.parametrize("options", WORKERS.values(), ids=WORKERS)

DEATHS = [
    ("segfault", "segfault", "fatal", "died of SIGSEGV"),
    ("abort", "abort", "fatal", "died of SIGABRT"),
    ("killed", "killed", "fatal", "was killed by SIGKILL"),
    ("exit", "exit", "error", "exited with status 7"),
    ("exit0", "exit", "error", "exited with status 0"),
]


@workers
@pytest.mark.parametrize(("path", "kind", "level", "words"), DEATHS, ids=[death[0] for death in DEATHS])
def test_a_worker_that_dies(tmp_path, options, path, kind, level, words):
    """One event: what it was, the request that did it, the stack where there is one; the query masked."""
    with Gunicorn(tmp_path, "-w", "2", *options) as server:
        server.get(f"/{path}?token=planted&id=7")
        event = server.event(kind)
    assert (f"GET /{path}", level) == (event["transaction"], event["level"])
    [value] = event["exception"]["values"]
    said = rf"gunicorn's worker \d+ {words} after \d+ ms in GET /{path}( at view \(app\.py:\d+\))?"
    assert re.fullmatch(said, value["value"]) and value["value"] == event["logentry"]["formatted"]
    suspect = event["contexts"]["gunicorn"]["suspect"]
    assert ("GET", f"/{path}", "127.0.0.1") == (suspect["method"], suspect["path"], suspect["remote_addr"])
    assert "token=[Filtered]&id=7" == event["request"]["query_string"]
    assert "planted" not in str(event)
    if kind in ("segfault", "abort", "exit"):
        assert "view" in functions(event)
        assert not [f for f in value["stacktrace"]["frames"] if "/heka_raven/gunicorn/" in f.get("abs_path", "")]
        [frame] = [frame for frame in value["stacktrace"]["frames"] if frame.get("function") == "view"]
        assert frame["in_app"]
        assert frame["context_line"].strip()
    else:
        assert [] == functions(event)


@pytest.mark.parametrize("path", ["stuck", "regex"])
def test_a_timeout(tmp_path, path):
    """A sync worker that gunicorn aborts is one event, with its stack; the SystemExit in it is no second."""
    with Gunicorn(tmp_path, "-w", "2", "--timeout", "2") as server:
        server.get(f"/{path}")
        event = server.event("timeout")
        assert "WORKER TIMEOUT" in server.said()
    assert f"GET /{path}" == event["transaction"]
    assert re.match(rf"gunicorn killed worker \d+ after 2 s in GET /{path}(: .*)? at ", event["logentry"]["formatted"])
    assert "view" in functions(event)
    assert event["contexts"]["gunicorn"]["suspect"]["age_ms"] >= 1500
    if path == "stuck":
        assert "stuck" == functions(event)[-1]
        assert "7" == event["user"]["id"]
    assert 1 == len(spooled(tmp_path / "spool"))
    assert "planted-password" not in str(event)


def test_the_request_has_its_address(tmp_path):
    """The url has the scheme and the host that the visitor asked for."""
    with Gunicorn(tmp_path) as server:
        server.get("/exit?page=2")
        event = server.event("exit")
    assert ("http://shop/exit", "page=2") == (event["request"]["url"], event["request"]["query_string"])


FILTERS = {
    "before_send": ("before_send=lambda event, hint: None", "discarded.before_send"),
    "sample_rate": ("sample_rate=0", "discarded.sample_rate"),
}


@pytest.mark.parametrize(("extra", "counted"), FILTERS.values(), ids=FILTERS)
def test_what_the_configuration_drops(tmp_path, extra, counted):
    """before_send and sample_rate hold for what the watch sees as for every event; what they drop is counted."""
    with Gunicorn(tmp_path, extra=extra) as server:
        server.get("/exit")
        wait_for(lambda: read_snapshot(str(tmp_path / "spool"))[counted] == 1, server.said)
    assert [] == spooled(tmp_path / "spool")


def test_what_the_configuration_changes(tmp_path):
    """before_send sees the finished event, and what it changes goes out."""
    before = "def name(event, hint):\n    event['tags']['shop'] = event['transaction']\n    return event\n"
    with Gunicorn(tmp_path, before=before, extra="before_send=name") as server:
        server.get("/exit")
        assert "GET /exit" == server.event("exit")["tags"]["shop"]


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_a_timeout_that_gunicorn_never_ends(tmp_path, kind):
    """With threads and greenlets gunicorn lets a request run for ever: the event says so, once."""
    with Gunicorn(tmp_path, *WORKERS[kind], "--timeout", "2") as server:
        server.get_later("/stuck")
        event = server.event("timeout")
        assert 1 == len(still(server.events))
        assert b"ok" == server.get("/")
        assert "WORKER TIMEOUT" not in server.said()
    assert "which gunicorn does not end" in event["exception"]["values"][0]["value"]
    if kind == "gthread":
        assert "stuck" == functions(event)[-1]


def test_a_slow_request(tmp_path):
    """A request over `slow` is one event with its stack, and answers as ever; the other requests are bystanders."""
    with Gunicorn(tmp_path, "-w", "3", slow=1) as server:
        other = server.get_later("/stuck")
        wait_for(server.events)
        server.get("/slow")
        wait_for(lambda: len(server.events()) == 2)
        stuck, slow = still(server.events)
    assert ("GET /stuck", "GET /slow") == (stuck["transaction"], slow["transaction"])
    assert {"slow"} == {event["tags"]["gunicorn.event"] for event in (stuck, slow)}
    assert ["/stuck"] == [request["path"] for request in slow["contexts"]["gunicorn"]["bystanders"]]
    assert "view" == functions(slow)[-1]
    other.join(timeout=60)


def test_which_of_four_requests(tmp_path):
    """Of four requests in the threads of one worker, the one that crashed is the suspect, with its thread's stack."""
    with Gunicorn(tmp_path, "-k", "gthread", "--threads", "5") as server:
        for _ in range(3):
            server.get_later("/stuck")
        wait_for(lambda: 3 == server.stuck())
        server.get("/segfault")
        event = server.event("segfault")
    assert "GET /segfault" == event["transaction"]
    assert "string_at" == functions(event)[-1]
    assert ["/stuck"] * 3 == [request["path"] for request in event["contexts"]["gunicorn"]["bystanders"]]


@pytest.mark.parametrize(("kind", "path"), [("gthread", "background"), ("gevent", "segfault")])
def test_a_crash_of_no_known_request(tmp_path, kind, path):
    """A thread of its own that crashes, or one of several greenlets: no request is blamed, all are shown."""
    with Gunicorn(tmp_path, *WORKERS[kind]) as server:
        server.get_later("/stuck")
        wait_for(server.stuck)
        server.get(f"/{path}")
        event = server.event("segfault")
    context = event["contexts"]["gunicorn"]
    assert "suspect" not in context
    assert "transaction" not in event
    others = ["/stuck", "/segfault"] if kind == "gevent" else ["/stuck"]
    assert others == [request["path"] for request in context["bystanders"]]
    assert "string_at" == functions(event)[-1]


def test_a_request_is_slow_once(tmp_path):
    """A watcher that is made again does not tell what the one before it told."""
    with Gunicorn(tmp_path, slow=1) as server:
        server.get_later("/stuck")
        server.event("slow")
        [keeper] = [pid for pid in children_of(server.process.pid) if children_of(pid)]
        kill_the_watch(server.process.pid, keeper=False)
        wait_for(lambda: children_of(keeper), what=server.said)
        assert 1 == len(still(server.events, 3))


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_a_full_listen_queue(tmp_path, unix):
    """A queue that fills is one event, with the oldest request and its stack; again only after it was less."""
    more = ["-b", f"unix:{tmp_path / 'socket'}"] if unix else []
    with Gunicorn(tmp_path, "--backlog", "3", "--timeout", "0", *more) as server:
        server.get_later("/stuck")
        wait_for(lambda: len(children_of(server.process.pid)) > 1)
        wait_for(server.stuck)
        waiting = []
        for _ in range(4):
            one = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
            one.setblocking(False)
            one.connect_ex(str(tmp_path / "socket") if unix else ("127.0.0.1", server.port))
            waiting.append(one)
        event = server.event("backlog")
        assert 1 == len(still(server.events, 2))
        for one in waiting:
            one.close()
    assert ("warning", "GET /stuck") == (event["level"], event["transaction"])
    queue = event["contexts"]["gunicorn"]["queue"]
    assert 3 == queue["limit"]
    assert queue["waiting"] >= 3
    assert ("unix:" if unix else "http://127.0.0.1") in queue["address"]
    assert "stuck" == functions(event)[-1]


BOOTS = {
    "an import": ("import no_such_module\n", "ModuleNotFoundError"),
    "an error": ("1 / 0\n", "ZeroDivisionError"),
    "no application": ("other = 1\n", "AppImportError"),
}


@pytest.mark.parametrize(("app", "error"), BOOTS.values(), ids=BOOTS)
def test_an_application_that_does_not_load(tmp_path, app, error):
    """One event, however many workers fail alike, with the traceback."""
    with Gunicorn(tmp_path, "-w", "3", app=app, wait=False) as server:
        assert server.process.wait(timeout=60) in (1, 3, 4)
        [event] = server.events()
    assert ("boot", "fatal") == (event["tags"]["gunicorn.event"], event["level"])
    assert error == event["exception"]["values"][-1]["type"]


def test_errors_of_the_application_are_the_middlewares(tmp_path):
    """What the middleware reports is no event of the watch: an exception, an exit with a status; nor a child's end."""
    with Gunicorn(tmp_path, "-w", "2") as server:
        for path in ("/error", "/sysexit", "/child"):
            server.get(path)
        assert [] == still(server.events, 2)
    assert 2 == len(spooled(tmp_path / "spool"))


@workers
def test_nothing_out_of_the_ordinary(tmp_path, options):
    """Requests, max_requests, reloads, more and fewer workers, a restart of the watcher, the end: no event."""
    with Gunicorn(tmp_path, "-w", "2", "--max-requests", "40", *options, slow=20) as server:
        for number in range(200):
            wait_for(lambda: server.get("/") == b"ok")
            if number % 50 == 25:
                server.process.send_signal(signal.SIGHUP)
        for each in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGTTOU):
            server.process.send_signal(each)
            time.sleep(0.5)  # gunicorn drops a signal that comes too soon
        assert b"ok" == server.get("/")
    assert [] == still(lambda: spooled(tmp_path / "spool"))


def test_a_watcher_that_dies(tmp_path):
    """A watcher that is killed, and its parent too, is made again; what happens after that is told, once."""
    with Gunicorn(tmp_path, slow=1) as server:
        [keeper] = [pid for pid in children_of(server.process.pid) if children_of(pid)]
        [watcher] = children_of(keeper)
        os.kill(watcher, signal.SIGKILL)
        wait_for(lambda: [pid for pid in children_of(keeper) if pid != watcher])
        time.sleep(0.5)  # as a rule it looks by then, and what it did not see it is told
        server.get("/exit")
        server.event("exit")
        os.kill(keeper, signal.SIGKILL)
        server.get("/killed")
        wait_for(lambda: len(server.events()) == 2, what=server.said)
        # The watcher that lost its keeper has ended: a request is not told by two.
        wait_for(lambda: server.get("/") == b"ok")
        server.get("/slow")
        wait_for(lambda: len(server.events()) == 3, what=server.said)
        assert 3 == len(still(server.events))


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
def test_many_deaths(tmp_path, count):
    """So many deaths, so many events, while the server that they are for is down; it gets each once it is there."""
    number = free_port()
    dsn = f"http://key@127.0.0.1:{number}/1"
    with Gunicorn(tmp_path, "-w", "3", dsn=dsn, sender="auto") as server:
        for _ in range(count):
            server.get("/exit")
        wait_for(lambda: len(server.events()) == count, what=lambda: len(server.events()))
        assert count == len(still(server.events))
        with Server(port=number) as sentry:
            wait_for(lambda: not list((tmp_path / "spool" / "new").iterdir()), limit_s=120)
            assert count == len(set(sentry.event_ids))


@pytest.mark.full
@pytest.mark.timeout(600)
def test_ten_thousand_requests_and_ten_reloads(tmp_path):
    """Nothing of it is an event."""
    with Gunicorn(tmp_path, "-w", "2", "--max-requests", "900", slow=30) as server:
        for number in range(10_000):
            wait_for(lambda: server.get("/") == b"ok")
            if number % 1000 == 500:
                server.process.send_signal(signal.SIGHUP)
    assert [] == spooled(tmp_path / "spool")


HOOKS = """
def _say(*words):
    print("HOOK", *words, flush=True)
def on_starting(server): _say("on_starting")
def when_ready(server): _say("when_ready")
def pre_fork(server, worker): _say("pre_fork")
def post_fork(server, worker): _say("post_fork")
def pre_request(worker, req): _say("pre_request", req.path)
def post_request(worker, req, environ): _say("post_request", environ["PATH_INFO"])
def worker_abort(worker): _say("worker_abort")
def worker_exit(server, worker): _say("worker_exit")
def child_exit(server, worker): _say("child_exit", worker.pid > 0)
"""


def test_hooks_of_your_own(tmp_path):
    """Hooks that stand above are called as before, with what they expect."""
    with Gunicorn(tmp_path, "--timeout", "2", before=HOOKS) as server:
        server.get("/stuck")
        wait_for(lambda: "HOOK child_exit True" in server.said())
        lines = [line.removeprefix("HOOK ") for line in server.said().splitlines() if line.startswith("HOOK")]
    first = ["on_starting", "when_ready", "pre_fork", "post_fork"]
    assert first == lines[:4]
    assert {"pre_request /", "post_request /", "worker_abort", "worker_exit", "child_exit True"} <= set(lines)


def test_the_port_is_free_after_the_end(tmp_path):
    """Nothing of ours outlives gunicorn, or keeps its socket."""
    server = Gunicorn(tmp_path)
    pids = [*children_of(server.process.pid)]
    pids += [child for pid in pids for child in children_of(pid)]
    server.stop()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # our own connections still wait there
        probe.bind(("127.0.0.1", server.port))
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


@ROOT_ONLY
def test_as_root_for_another_user(passable):
    """Started as root for a user, the watcher is that user, as the workers are."""
    (passable / "spool").mkdir(mode=0o700)
    os.chown(passable / "spool", NOBODY, NOBODY)
    user = ("--user", str(NOBODY), "--group", str(NOBODY))
    with Gunicorn(passable, *user, slow=1, launch=launch_readable(passable)) as server:
        server.get("/slow")
        event = server.event("slow")
        assert "view" == functions(event)[-1]
        server.get("/segfault")
        wait_for(lambda: len(server.events()) == 2, what=server.said)


def test_preload_and_daemon(tmp_path):
    """With --preload and --daemon all is as without."""
    options = ("--preload", "--daemon", "--pid", str(tmp_path / "pid"), "--error-logfile", str(tmp_path / "log"))
    server = Gunicorn(tmp_path, *options, wait=False)
    try:
        wait_for(lambda: server.get("/") == b"ok", what=server.said)
        server.get("/exit")
        server.event("exit")
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        server.stop()
    wait_for(lambda: not (tmp_path / "pid").exists())


def test_an_upgrade(tmp_path):
    """After SIGUSR2 the new arbiter has a watch of its own; the old one's end is no event."""
    with Gunicorn(tmp_path, "--pid", str(tmp_path / "pid")) as server:
        server.process.send_signal(signal.SIGUSR2)
        wait_for((tmp_path / "pid.2").exists)
        new = int((tmp_path / "pid.2").read_text())
        wait_for(lambda: len(children_of(new)) > 1)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=60)
        try:
            wait_for(lambda: server.get("/") == b"ok")
            server.get("/exit")
            server.event("exit")
        finally:
            os.kill(new, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(f"/proc/{new}"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("watch(1)", "watch: the first argument is globals() of gunicorn.conf.py"),
        ("watch(globals(), dsn='nonsense')", "dsn: "),
        ("watch(globals(), slow='soon')", "slow: 'soon' is not allowed: a number of seconds"),
        ("watch(globals(), backlog=0)", "backlog: 0 is not allowed: a whole number from 1 to 100"),
        ("watch(globals(), slwo=1)", "unknown option slwo"),
    ],
)
def test_bad_input(tmp_path, call, message):
    """A wrong call ends gunicorn's start, with one line that says what is wrong."""
    (tmp_path / "gunicorn.conf.py").write_text(f"import heka_raven.gunicorn\nheka_raven.gunicorn.{call}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--check-config", "app:application"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert 0 != done.returncode
    assert message in done.stderr.splitlines()[-1]


def test_a_system_without_pidfds(tmp_path):
    """Where the watch cannot work gunicorn does, and one warning says why."""
    before = "import os\ndel os.pidfd_open\n"
    with Gunicorn(tmp_path, before=before) as server:
        assert b"ok" == server.get("/")
        assert 1 == server.said().count("nobody watches this gunicorn: it needs pidfd_open")
