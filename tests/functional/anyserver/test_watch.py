"""`heka-raven watch` beside real waitress: what each end and each slow request is, and what is none."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from heka_raven.cli.main import main
from support.anyserver import is_watched
from support.gunicorn import Gunicorn, functions
from support.ports import free_port
from support.spools import spooled
from support.users import NOBODY, ROOT_ONLY
from support.values import variables
from support.waiting import still, wait_for

pytest.importorskip("waitress")

DSN = "http://key@127.0.0.1:9/1"
APP = """
import collections, ctypes, itertools, os, signal, sys, time, types
from heka_raven.middleware import RavenMiddleware

PLANTED = "planted" + "secret"

def chunks():
    yield b"a"
    time.sleep(2)
    yield b"b"

def hang(order, token, iban):
    number = order * 2
    if KIND == "python":
        time.sleep(600)
    collections.deque(itertools.repeat(number), maxlen=0)

def view(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2.5)
    if path == "/stuck":
        open(f"stuck-{time.monotonic_ns()}", "w").close()
        time.sleep(600)
    if path == "/values":
        environ["heka_raven.user"] = {"id": "7", "email": "ann@example.com"}
        environ["bottle.route"] = types.SimpleNamespace(rule="/values/<int:id>")
        hang(20, PLANTED, PLANTED)
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/abort":
        os.abort()
    if path == "/exec":
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
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

application = RavenMiddleware(
    view, dsn="DSN", stream_path="SPOOL", stream_sender="off", watch=WATCH, scrub_keys=["iban"]
)
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

    __enter__ = Gunicorn.__enter__
    __exit__ = Gunicorn.__exit__
    get = Gunicorn.get
    get_later = Gunicorn.get_later
    stuck = Gunicorn.stuck

    def __init__(self, folder, *options, watch=True, child=False, kind="python", warm=True):
        self.folder = folder
        self.port = free_port()
        app = APP.replace("SPOOL", str(folder / "spool")).replace("DSN", DSN).replace("WATCH", str(watch))
        app = app.replace("KIND", repr(kind))
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
            if warm:
                wait_for(lambda: self.get("/") == b"ok", what=self.said, process=self.process)
            else:
                wait_for(lambda: self.accepts(), what=self.said, process=self.process)
            self.watch = self.begin_watch(*options)
            wait_for(
                lambda: is_watched(folder / "spool") if warm and watch else "tells nothing yet" in self.said(),
                what=self.said,
                process=self.watch,
            )
        except BaseException:
            self.stop()
            raise

    def accepts(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=60):
            return True
        return False

    def begin_watch(self, *options):
        return subprocess.Popen(
            [sys.executable, "-m", "heka_raven.cli.main", "watch", "--pid", str(self.process.pid),
             "--spool", str(self.folder / "spool"), "--dsn", DSN, *options],
            env=self.environment, stdout=self.logs[1], stderr=subprocess.STDOUT,
        )  # fmt: skip

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
        events = still(self.events)
        assert [kind] == [event["tags"]["server.event"] for event in events], [event["logentry"] for event in events]
        return events[0]


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


@pytest.mark.parametrize("kind", ["python", "c"])
def test_values(tmp_path, kind):
    """What the process tells of a thread, else what py-spy sees: masked by the application's rules; and its request."""
    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Waitress(tmp_path, "--slow", "1", "--values", kind=kind) as server:
        server.get_later("/values", trace)
        event = server.event("slow")
        written = b"".join(path.read_bytes() for path in (tmp_path / "spool" / "state" / "watch").iterdir())
    told = "told by the worker" if kind == "python" else "read from outside"
    assert told == event["contexts"]["server"]["values"]
    shown = variables(event, "hang")
    assert (20, 40, "[Filtered]", "[Filtered]") == (shown["order"], shown["number"], shown["token"], shown["iban"])
    assert "plantedsecret" not in str(event)
    assert b"plantedsecret" not in written
    if kind == "python":
        assert "GET /values/<int:id>" == event["transaction"]
        assert ("7", "[Filtered]") == (event["user"]["id"], event["user"]["email"])
        assert "0af7651916cd43dd8448eb211c80319c" == event["contexts"]["trace"]["trace_id"]


def test_values_are_not_read_from_outside(tmp_path):
    """Without --values nobody looks where the process cannot tell, and the event says what would."""
    with Waitress(tmp_path, "--slow", "1", kind="c") as server:
        server.get_later("/values")
        event = server.event("slow")
    assert "see --values" in event["contexts"]["server"]["values"]
    assert "hang" in functions(event)


def test_a_process_that_becomes_another_program(tmp_path):
    """What replaced itself has none of the requests of before, and no handler: it is not signalled."""
    with Waitress(tmp_path, "--slow", "1") as server:
        server.get("/exec")
        server.get_later("/values")  # keeps the watch busy with what is there
        assert [] == still(server.events, 3)
        assert server.process.poll() is None


def test_two_watches(tmp_path):
    """Of two watches of one server one tells; the other says so, and goes on when that ends."""
    with Waitress(tmp_path, "--slow", "1") as server:
        second = server.begin_watch("--slow", "1")
        try:
            words = f"another watch tells of process {server.process.pid}; this one goes on when that one ends\n"
            wait_for(lambda: words in server.said(), what=server.said, process=second)
            server.get_later("/slow")
            server.event("slow")
            server.watch.terminate()
            assert 0 == server.watch.wait(timeout=60), server.said()
            server.get_later("/stuck")
            wait_for(lambda: 2 == len(server.events()), what=server.said)
            assert 2 == len(still(server.events))
        finally:
            second.kill()
            second.wait()


def test_a_slow_body(tmp_path):
    """A request is in flight until its body is through, and no longer."""
    with Waitress(tmp_path, "--slow", "1") as server:
        server.get("/streamed")
        event = server.event("slow")
        server.get("/streamed-no-more")
        assert 1 == len(still(server.events, 1.5))
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
        assert 0 == server.watch.wait(timeout=60)
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
        assert 0 == server.watch.wait(timeout=60)
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
        [event] = still(server.events)
        assert server.watch.poll() is None  # the process watched lives
    assert event["tags"]["server.event"] in ("killed", "ended")
    assert re.search(r"(was killed by SIGKILL|ended) after .* in GET /stuck$", event["logentry"]["formatted"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_what_is_no_event(tmp_path, number):
    """Hundreds of requests, errors, bodies in pieces, a child that crashes, and an end in order: none."""
    with Waitress(tmp_path, "--slow", "60") as server:
        with ThreadPoolExecutor(4) as several:
            list(several.map(server.get, ["/", "/error", "/served", "/"] * 60))
        server.get("/fork")
        server.get("/streamed")
        server.process.send_signal(number)
        server.process.wait(timeout=60)
        assert 0 == server.watch.wait(timeout=60)
        assert ([], []) == (server.events(), server.files())
        assert "" == (tmp_path / "watch-log").read_text()


def test_an_app_that_does_not_tell(tmp_path):
    """That nothing is told is said once; the watch goes on."""
    with Waitress(tmp_path, watch=False) as server:
        server.get("/")
        assert server.watch.poll() is None
        server.process.kill()
        assert 0 == server.watch.wait(timeout=60)
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


def test_a_crash_in_the_first_request(tmp_path):
    """A process that tells, and dies, between two looks of the watch is one event all the same."""
    with Waitress(tmp_path, child=True, warm=False) as server:
        server.get("/segfault")
        event = server.event("segfault")
    assert ("GET /segfault", "string_at") == (event["transaction"], functions(event)[-1])
