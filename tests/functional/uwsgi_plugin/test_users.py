"""A server that root starts and that another user runs: the watch sees what it sees elsewhere."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import watch
from support.paths import ROOT
from support.ports import free_port
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.uwsgi import DEBIAN, find_plugin, find_uwsgi, ledger_at_rest, shared_plugin
from support.waiting import wait_for
from support.watch import WATCH, functions

UWSGI = find_uwsgi()
full = pytest.mark.full
EVERY_UWSGI = [
    pytest.param(UWSGI, id="pypi"),
    pytest.param(
        DEBIAN, id="debian", marks=[full, pytest.mark.skipif(not os.path.exists(DEBIAN), reason="no Debian uWSGI")]
    ),
]
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    ROOT_ONLY,
]
APP = """
import ctypes, os, sys, time
sys.path.insert(0, {root!r})
from heka_raven.middleware import RavenMiddleware

class Route:
    rule = "/things/<id>"

def stuck():
    time.sleep(30)

def inner(env, start):
    if env["PATH_INFO"].startswith("/things"):
        env["bottle.route"] = Route()
        env["heka_raven.user"] = {"id": "7"}
        stuck()
    if env["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getuid()]

application = RavenMiddleware(inner, dsn=os.environ["TEST_DSN"], catchall=True)
"""


@pytest.fixture
def serve_as_nobody(passable, receiver, serve):
    """A server whose ini says uid = nobody, with the middleware."""

    def start(lines, *, uwsgi=UWSGI, app=APP, **keywords):
        return serve(
            f"uid = {NOBODY}\ngid = {NOBODY}\n{lines}", uwsgi=uwsgi, where=passable, app=app, home=uwsgi == DEBIAN,
            launch=launch_readable(passable), env={"TEST_DSN": receiver.dsn}, **keywords,
        )  # fmt: skip

    return start


MODES = {
    "prefork": ("processes = 2", None),
    "lazy-apps": ("processes = 2\nlazy-apps = true", None),
    "threads": ("threads = 2\nenable-threads = true", None),
    "gevent": ("gevent = 8", None),
    "emperor": ("processes = 2", ""),
    "master-as-root": ("processes = 2\nmaster-as-root = true", None),
}
SETUPS = [
    pytest.param(
        *uwsgi.values, *MODES[mode], id=f"{mode}-{uwsgi.id}",
        marks=[*uwsgi.marks, *([] if mode in ("prefork", "threads") else [full])],
    )
    for uwsgi in EVERY_UWSGI
    for mode in MODES
    if (mode, uwsgi.id) != ("gevent", "debian")  # whose gevent is in a plugin of its own
]  # fmt: skip


@pytest.mark.parametrize("uwsgi, mode, emperor", SETUPS)
def test_harakiri_of_a_worker_that_changed_its_user(serve_as_nobody, receiver, uwsgi, mode, emperor):
    """uid = nobody, given by root: a harakiri has the stack, and what only the app knows of its request.

    Such a worker lets nobody look at it, also not its master of the same user.
    """
    server = serve_as_nobody(f"{WATCH}harakiri = 3\n{mode}", uwsgi=uwsgi, emperor=emperor)
    assert str(NOBODY) == server.get("/")[1]
    time.sleep(0.5)  # one that ends takes the one timer of its worker with it
    threading.Thread(target=server.crash, args=("/things/5",), daemon=True).start()
    event = wait_for(lambda: receiver.events and receiver.events[0], server.text)
    # With threads the request may run on a core whose thread is not the main one: only that answers.
    answers = "threads" not in mode
    assert "stuck" == functions(event)[-1]
    if answers:
        assert "GET /things/<id>" == event["transaction"] and "7" == event["user"]["id"]


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_what_else_happens_to_such_a_worker(serve_as_nobody, receiver, uwsgi):
    """A slow request, a crash, an abort and an os._exit as another user: each one event, with its stack."""
    lines = f"{WATCH}sentry-watch-slow = 500ms\nforkbomb-delay = 0\nprocesses = 2"
    server = serve_as_nobody(lines, uwsgi=uwsgi, app=watch.APP)
    watch.in_background(server, "/slow")
    wait_for(lambda: 1 == len(receiver.events), server.text)
    (server.tmp_path / "let-go").touch()
    for number, path in enumerate(["/segfault?0", "/abort?0", "/exit?7,0"], start=2):
        server.crash(path)
        wait_for(lambda n=number: n == len(receiver.events), server.text)
    assert ["slow", "segfault", "abort", "exit"] == watch.kinds(receiver)
    for event, function in zip(receiver.events, ["stuck_until_let_go", "crash", "give_up", "leave"], strict=True):
        assert function in functions(event)
        assert "GET /" + event["tags"]["uwsgi.event"] == event["transaction"]


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_the_end_of_such_a_worker_without_its_doing(serve_as_nobody, receiver, uwsgi):
    """As another user: memory, a kill from outside, and a storm of deaths are told as they are elsewhere."""
    limits = "reload-on-rss = 100\nmin-worker-lifetime = 0\nsentry-watch-storm = 3\nforkbomb-delay = 0\n"
    server = serve_as_nobody(f"{WATCH}{limits}processes = 2", uwsgi=uwsgi, app=watch.APP)
    assert 200 == server.get("/grow?100")[0]
    memory = watch.one_event(receiver, server, "memory")
    assert "GET /grow" == memory["transaction"] and memory["contexts"]["uwsgi"]["rss_bytes"] >= 100 << 20
    watch.in_background(server, "/victim?30")
    pid = int(wait_for(lambda: watch.written(server.tmp_path / "victim.pid"), "a busy worker"))
    os.kill(pid, signal.SIGKILL)
    for _ in range(2):
        server.crash("/exit?7,0")
    expected = ["exit", "exit", "killed", "memory", "respawn-storm"]
    wait_for(lambda: expected == sorted(watch.kinds(receiver)), lambda: f"{receiver.texts()}\n{server.text()}")
    killed = next(event for event in receiver.events if "killed" == event["tags"]["uwsgi.event"])
    assert ("GET /victim", 9) == (killed["transaction"], killed["contexts"]["uwsgi"]["signal"])


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_an_oom_kill_of_such_a_worker(serve_as_nobody, receiver, uwsgi):
    """As another user: what the kernel kills for its cgroup's memory is told as oom."""
    with watch.cgroup_with_limit(200 << 20) as folder:
        lines = f"{WATCH}cgroup = {folder}\ncgroup-dir-mode = 0755\nprocesses = 2"
        server = serve_as_nobody(lines, uwsgi=uwsgi, app=watch.APP)
        server.crash("/grow?400")
        assert "GET /grow" == watch.one_event(receiver, server, "oom")["transaction"]
        assert "may not read how often" not in server.text()
        server.stop()


def test_an_oom_count_that_only_root_may_read(serve_as_nobody, receiver):
    """uWSGI's cgroup is root's alone unless the ini says otherwise: said once, and the death is told as killed."""
    with watch.cgroup_with_limit(200 << 20) as folder:
        server = serve_as_nobody(f"{WATCH}cgroup = {folder}\nprocesses = 2", app=watch.APP)
        server.crash("/grow?400")
        assert "GET /grow" == watch.one_event(receiver, server, "killed")["transaction"]
        said = [line for line in server.text().splitlines() if "may not read how often the cgroup" in line]
        assert 1 == len(said) and "cgroup-dir-mode = 0755" in said[0]
        server.stop()


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_full_queue_before_such_a_worker(serve_as_nobody, receiver, uwsgi):
    """As another user: a full listen queue is told, with the request that keeps the worker and its stack."""
    lines = "sentry-watch = listen-queue\nsentry-watch-patience = 5000\nlisten = 2\nprocesses = 1"
    server = serve_as_nobody(lines, uwsgi=uwsgi, app=watch.APP)
    watch.in_background(server, "/victim?60")
    wait_for(lambda: watch.written(server.tmp_path / "victim.pid"), "a busy worker")
    with watch.filled(("127.0.0.1", server.port), 6):
        event = watch.one_event(receiver, server, "listen-queue")
    assert "GET /victim" == event["transaction"] and "hold" == functions(event)[-1]
    (server.tmp_path / "let-go").touch()


DROPS = [
    pytest.param("master-as-root = true", id="master-as-root"),
    pytest.param("drop-after-apps = true", id="drop-after-apps"),
    pytest.param("drop-after-init = true", id="drop-after-init", marks=full),
    pytest.param("lazy-apps = true", id="lazy-apps", marks=full),
]


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize("drop", DROPS)
def test_an_app_that_root_loads_reports_as_the_later_user(serve_as_nobody, receiver, uwsgi, drop):
    """The application is loaded by root, its errors are those of the later user: delivered, and none is lost."""
    server = serve_as_nobody(f"processes = 2\n{drop}", uwsgi=uwsgi)
    assert 500 == server.get("/boom")[0]
    wait_for(lambda: receiver.events, server.text)
    assert ["ValueError"] == [event["exception"]["values"][0]["type"] for event in receiver.events]
    wait_for(lambda: server.waiting() == 0, "the reply at the sender")
    counts = ledger_at_rest(server)
    assert (1, 1) == (counts["captured"], counts["delivered"])
    assert {NOBODY} == {path.stat().st_uid for path in server.spool.rglob("*")}


@pytest.mark.parametrize("drop", DROPS[1:])
def test_an_app_that_root_loads_reports_without_the_plugin(receiver, passable, drop):
    """The same where no plugin names a spool: it is the later user's, and a thread of the worker delivers."""
    port = free_port()
    uid = 100_000 + port  # nobody else's: its default spool is in /tmp
    command = [*launch_readable(passable), UWSGI, "--master", "--enable-threads", "--need-app", "--uid", str(uid)]
    (passable / "app.py").write_text(APP.replace("{root!r}", repr(str(ROOT))))
    spool = Path(f"/tmp/heka-raven-{uid}")
    with open(passable / "log", "wb") as log:
        server = subprocess.Popen(
            [*command, "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "app.py", f"--{drop.split()[0]}"],
            cwd=passable, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "TEST_DSN": receiver.dsn, "HEKA_RAVEN_SPOOL": ""},
        )  # fmt: skip
        try:
            wait_for(lambda: status(port, "/") == 200, lambda: (passable / "log").read_text(), process=server)
            assert 500 == status(port, "/boom")
            wait_for(lambda: receiver.events, lambda: (passable / "log").read_text())
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    assert ["ValueError"] == [event["exception"]["values"][0]["type"] for event in receiver.events]
    assert uid == spool.stat().st_uid
    shutil.rmtree(spool)


def status(port, path):
    """The status of one reply; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


GIVEN = 'chown -R "$1" "$2" && shift 2 && exec "$@"'


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize("refused", [False, True], ids=["its-own-spool", "no-spool-at-all"])
def test_a_hook_as_vassal_of_a_tyrant(serve, receiver, passable, uwsgi, refused):
    """A tyrant's hook-as-vassal runs as the vassal's user: the event is counted and delivered from that user's spool.

    Where that is refused too, the log says that the event is lost. The emperor has no master here, which is said.
    """
    uid = 100_000 + free_port()  # nobody else's: its default spool is in /tmp
    spool = Path(f"/tmp/heka-raven-{uid}")
    if refused:
        spool.mkdir(mode=0o755)  # root's
    shared_plugin(uwsgi).parent.chmod(0o755)  # the vassal loads it as its own user
    words = find_plugin(uwsgi, shared_plugin(uwsgi)).replace(" = ", "=").split("\n")
    words += [f"sentry-dsn={receiver.dsn}", f"sentry-spool={passable}/emperor", "hook-as-vassal=sentry:message=vassal"]
    give = ["sh", "-c", GIVEN, "sh", f"{uid}:{uid}", str(passable / "uwsgi-vassals")]
    try:
        server = serve(
            "processes = 1", uwsgi=uwsgi, where=passable, app=APP, home=uwsgi == DEBIAN, spool=False,
            launch=[*launch_readable(passable), *give], env={"TEST_DSN": receiver.dsn},
            emperor=" ".join(["--emperor-tyrant", *(f"--{word}" for word in words)]),
        )  # fmt: skip
        assert str(uid) == server.get("/")[1]
        assert "an emperor with no master and no socket: its hooks report, but it has no sender" in server.text()
        told = f"uid {uid} may not write to this server's spool"
        if refused:
            assert f"{told}, nor to its own: {spool}: belongs to another user" in server.text()
            assert [] == receiver.events
            return
        wait_for(lambda: receiver.events, server.text)
        assert re.search(rf"{told}: what pid \d+ reports goes to {spool}", server.text())
        assert ["vassal"] == [event["logentry"]["formatted"] for event in receiver.events]
        server.spool = spool
        wait_for(lambda: 0 == server.waiting(), server.text)  # it is delivered once its sender has the answer
        counts = ledger_at_rest(server)
        assert (1, 1) == (counts["captured"], counts["delivered"])
        assert {uid} == {path.stat().st_uid for path in spool.rglob("*")}
        assert not (passable / "emperor").exists()  # a vassal that made it would own it
        server.stop()
    finally:
        shutil.rmtree(spool, ignore_errors=True)
