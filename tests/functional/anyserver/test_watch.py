"""`heka-raven watch` beside real waitress: what each end and each slow request is, and what is none."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from heka_raven.cli.main import main
from support.gunicorn import Gunicorn, functions
from support.ports import free_port
from support.spools import spooled
from support.users import NOBODY, ROOT_ONLY
from support.waiting import wait_for

pytest.importorskip("waitress")

DSN = "http://key@127.0.0.1:9/1"
APP = """
import ctypes, os, signal, sys, time
from heka_raven.middleware import RavenMiddleware

def chunks():
    yield b"a"
    time.sleep(2)
    yield b"b"

def view(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2.5)
    if path == "/stuck":
        open(f"stuck-{time.monotonic_ns()}", "w").close()
        time.sleep(600)
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/abort":
        os.abort()
    if path == "/exit":
        os._exit(7)
    if path == "/error":
        raise ValueError("an error of the application")
    if path == "/fork":
        pid = os.fork()
        if not pid:
            ctypes.string_at(0)
        os.waitpid(pid, 0)
    if path == "/served":
        return application(environ, start_response)
    if path == "/streamed":
        start_response("200 OK", [])
        return chunks()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

application = RavenMiddleware(view, dsn="DSN", stream_path="SPOOL", stream_sender="off", watch=WATCH)
"""
SERVE = """
import os, sys
from waitress import serve
from app import application
if sys.argv[2] == "child":
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        os.read(0, 1)
        sys.exit()
serve(application, host="127.0.0.1", port=int(sys.argv[1]), threads=8)
"""


class Waitress:
    """A waitress, and the watch of it."""

    get = Gunicorn.get
    get_later = Gunicorn.get_later
    stuck = Gunicorn.stuck

    def __init__(self, folder, *options, watch=True, child=False):
        self.folder = folder
        self.port = free_port()
        app = APP.replace("SPOOL", str(folder / "spool")).replace("DSN", DSN).replace("WATCH", str(watch))
        (folder / "app.py").write_text(app)
        (folder / "serve.py").write_text(SERVE)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEKA_RAVEN", "SENTRY"))}
        self.logs = [(folder / name).open("wb") for name in ("log", "watch-log")]
        self.process = subprocess.Popen(
            [sys.executable, "serve.py", str(self.port), "child" if child else ""],
            cwd=folder, env=self.environment, stdin=subprocess.PIPE,
            stdout=self.logs[0], stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.watch = None
        try:
            wait_for(lambda: self.get("/") == b"ok", what=self.said, process=self.process)
            self.watch = self.begin_watch(*options)
        except BaseException:
            self.stop()
            raise

    def begin_watch(self, *options):
        process = subprocess.Popen(
            [sys.executable, "-m", "heka_raven.cli.main", "watch", "--pid", str(self.process.pid),
             "--spool", str(self.folder / "spool"), "--dsn", DSN, *options],
            env=self.environment, stdout=self.logs[1], stderr=subprocess.STDOUT,
        )  # fmt: skip
        time.sleep(1.5)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its session
        self.process.wait()
        self.process.stdin.close()
        if self.watch is not None:
            self.watch.kill()
            self.watch.wait()
        for log in self.logs:
            log.close()

    def said(self):
        return "".join(path.read_text() for path in (self.folder / "log", self.folder / "watch-log") if path.exists())

    def files(self):
        return sorted(path.name for path in (self.folder / "spool" / "state" / "watch").iterdir())

    def events(self):
        return [event for event in spooled(self.folder / "spool") if "server.event" in event["tags"]]

    def event(self, kind):
        """The only event of the watch."""
        wait_for(self.events, what=self.said)
        time.sleep(1)
        [event] = self.events()
        assert kind == event["tags"]["server.event"], event["logentry"]
        return event


def test_a_slow_request(tmp_path):
    """One event while it runs: its request without a query, its stack, what it waits for, who else was in flight."""
    with Waitress(tmp_path, "--slow", "1") as server:
        server.get_later("/stuck?token=planted")
        event = server.event("slow")
        assert b"ok" == server.get("/")  # it lives on
        name = server.files()[0]
        assert 0o600 == (tmp_path / "spool" / "state" / "watch" / name).stat().st_mode & 0o777
    assert ("GET /stuck", "warning") == (event["transaction"], event["level"])
    context = event["contexts"]["server"]
    assert ("waitress", "/stuck", "") == (context["name"], context["suspect"]["path"], context["suspect"]["query"])
    assert context["waiting_on"]
    assert "http://shop/stuck" == event["request"]["url"]
    assert "view" == functions(event)[-1]
    assert "planted" not in str(event)
    said = event["logentry"]["formatted"]
    assert said.startswith(f"waitress's process {context['pid']} has been in GET /stuck for 1.")
    assert " at view (app.py:" in said


def test_two_watches(tmp_path):
    """Of two watches of one server one tells; the other goes on when that ends."""
    with Waitress(tmp_path, "--slow", "1") as server:
        second = server.begin_watch("--slow", "1")
        try:
            server.get_later("/slow")
            server.event("slow")
            server.watch.terminate()
            assert 0 == server.watch.wait(timeout=10)
            server.get_later("/stuck")
            wait_for(lambda: 2 == len(server.events()), what=server.said)
        finally:
            second.kill()
            second.wait()


def test_a_slow_body(tmp_path):
    """A request is in flight until its body is through, and no longer."""
    with Waitress(tmp_path, "--slow", "1") as server:
        server.get("/streamed")
        event = server.event("slow")
        server.get("/streamed-no-more")
        time.sleep(1.5)
        assert 1 == len(server.events())
    assert ("GET /streamed", "chunks") == (event["transaction"], functions(event)[-1])


@pytest.mark.parametrize(
    ("path", "words"), [("segfault", "died of SIGSEGV"), ("abort", "died of SIGABRT")], ids=["segfault", "abort"]
)
def test_a_crash(tmp_path, path, words):
    """One event: the request that did it, the others in flight, the stack; the command ends then, and no file stays."""
    with Waitress(tmp_path) as server:
        server.get_later("/stuck")
        wait_for(server.stuck)
        server.get(f"/{path}?token=planted")
        event = server.event(path)
        assert 0 == server.watch.wait(timeout=10)
        assert [] == server.files()
    assert (f"GET /{path}", "fatal") == (event["transaction"], event["level"])
    said = rf"waitress's process \d+ {words} after \d+ ms in GET /{path} at view \(app\.py:\d+\)"
    assert re.fullmatch(said, event["logentry"]["formatted"])
    assert ["/stuck"] == [other["path"] for other in event["contexts"]["server"]["bystanders"]]
    assert "view" in functions(event)
    assert "planted" not in str(event)


def test_a_way_out(tmp_path):
    """An os._exit in a request is an event with its status: here its parent has not asked for that yet."""
    with Waitress(tmp_path) as server:
        server.get("/exit")
        event = server.event("exit")
    assert re.search(r"process \d+ exited with status 7 after \d+ ms in GET /exit$", event["logentry"]["formatted"])


def test_a_kill(tmp_path):
    """A kill -9 with a request in flight is an event with that request."""
    with Waitress(tmp_path) as server:
        server.get_later("/stuck")
        wait_for(server.stuck)
        server.process.send_signal(signal.SIGKILL)
        event = server.event("killed")
        assert 0 == server.watch.wait(timeout=10)
    assert "GET /stuck" == event["transaction"]
    assert "was killed by SIGKILL after" in event["logentry"]["formatted"]


def test_a_child_that_is_killed(tmp_path):
    """A child's end is seen, though its parent waits for it: how it ended is known where the kernel tells strangers."""
    with Waitress(tmp_path, child=True) as server:
        server.get_later("/stuck")
        wait_for(server.stuck)
        [name] = [name for name in server.files() if "." not in name]
        os.kill(int(name.partition("-")[0]), signal.SIGKILL)
        wait_for(server.events, what=server.said)
        time.sleep(1)
        [event] = server.events()
        assert server.watch.poll() is None  # the process watched lives
    assert event["tags"]["server.event"] in ("killed", "ended")
    assert re.search(r"(was killed by SIGKILL|ended) after .* in GET /stuck$", event["logentry"]["formatted"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_what_is_no_event(tmp_path, number):
    """1,000 requests, errors, bodies in pieces, a child that crashes, and an end in order: none."""
    with Waitress(tmp_path, "--slow", "5") as server:
        for path in ["/", "/error", "/served", "/"] * 250:
            server.get(path)
        server.get("/fork")
        server.get("/streamed")
        server.process.send_signal(number)
        server.process.wait(timeout=10)
        assert 0 == server.watch.wait(timeout=10)
        assert ([], []) == (server.events(), server.files())
        assert "" == (tmp_path / "watch-log").read_text()


def test_an_app_that_does_not_tell(tmp_path):
    """That nothing is told is said once; the watch goes on."""
    with Waitress(tmp_path, watch=False) as server:
        server.get("/")
        assert server.watch.poll() is None
        server.process.kill()
        assert 0 == server.watch.wait(timeout=10)
        said = (tmp_path / "watch-log").read_text()
    assert 1 == said.count("\n")
    assert "tells nothing yet" in said


BAD = {
    "no pid": ((), "--pid"),
    "no number": (("--pid", "x"), "--pid: 'x' is not allowed"),
    "no process": (("--pid", "4194303"), "--pid 4194303: there is no such process"),
    "slow": (("--pid", "{pid}", "--slow", "-1"), "--slow: '-1' is not allowed"),
    "no dsn": (("--pid", "{pid}", "--dsn="), "no DSN; give --dsn, or set $SENTRY_DSN"),
    "dsn": (("--pid", "{pid}", "--dsn", "nonsense"), "dsn"),
}


@pytest.mark.parametrize(("options", "words"), BAD.values(), ids=BAD)
def test_bad_input(tmp_path, monkeypatch, capfd, options, words):
    """What is wrong is one line, and exit status 2."""
    for name in ("SENTRY_DSN", "HEKA_RAVEN_DSN"):
        monkeypatch.delenv(name, raising=False)
    options = [option.format(pid=os.getpid()) for option in options]
    given = [] if any(option.startswith("--dsn") for option in options) else ["--dsn", DSN]
    try:
        status = main(["watch", "--spool", str(tmp_path / "spool"), *given, *options])
    except SystemExit as error:
        status = error.code
    said = capfd.readouterr().err
    assert (2, 1) == (status, said.count("\n")), said
    assert said.startswith("heka-raven watch: ") and words in said


@ROOT_ONLY
def test_another_users_process(tmp_path, capfd):
    """A process of another user than the spool's is refused in one line."""
    other = subprocess.Popen(["sleep", "60"], user=NOBODY)
    try:
        status = main(["watch", "--spool", str(tmp_path / "spool"), "--dsn", DSN, "--pid", str(other.pid)])
    finally:
        other.kill()
        other.wait()
    assert 2 == status
    assert f"belongs to uid {NOBODY}" in capfd.readouterr().err
