"""Local variables in gunicorn's events: told by the worker, or read from outside; never what is private."""

import time

import pytest

from support.gunicorn import Gunicorn, functions, kill_the_watch
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.values import PLANTED, variables
from support.waiting import still, wait_for

pytest.importorskip("gunicorn")
APP = """
import collections, ctypes, itertools, os, time
from heka_raven.middleware import RavenMiddleware

PLANTED = "planted" + "secret"

def sleep_in_python(order, token, iban, request):
    number = order * 2
    while True:
        time.sleep(0.05)

def loop_in_c(order, token, iban, request):
    number = order * 2
    collections.deque(itertools.repeat(number), maxlen=0)

def leave(order, token, iban, request):
    number = order * 2
    os._exit(7)

def crash(order, token, iban, request):
    number = order * 2
    ctypes.string_at(0)

def abort(order, token, iban, request):
    number = order * 2
    os.abort()

def abort_in_a_child(order, token, iban, request):
    number = order * 2
    pid = os.fork() or os.abort()
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == 6

KINDS = {f.__name__: f for f in (sleep_in_python, loop_in_c, leave, crash, abort, abort_in_a_child)}

def view(environ, start_response):
    what = environ["PATH_INFO"].strip("/")
    if what in KINDS:
        KINDS[what](20, PLANTED, PLANTED, {"user": "ann", "api_key": PLANTED})
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

application = RavenMiddleware(
    view, dsn="http://key@127.0.0.1:9/1", stream_path="SPOOL", stream_sender="off", scrub_keys=["iban"]
)
"""
THREADS = ["-k", "gthread", "--threads", "4"]


def assert_shown(event, function, values):
    shown = variables(event, function)
    assert values == event["contexts"]["gunicorn"]["values"]
    assert (20, 40) == (shown["order"], shown["number"])
    assert {"[Filtered]"} == {shown["token"], shown["iban"], shown["request"]["api_key"]}
    assert PLANTED not in str(event)


@pytest.mark.parametrize(
    ("path", "kind", "options"),
    [
        ("sleep_in_python", "timeout", []),
        ("sleep_in_python", "timeout", ["-k", "gevent"]),
        ("leave", "exit", []),
        ("leave", "exit", THREADS),
    ],
)
def test_the_worker_itself_tells(tmp_path, path, kind, options):
    """Where Python runs in the main thread the worker tells its values; the application's own names are private too."""
    with Gunicorn(tmp_path, "--timeout", "2", *options, app=APP) as server:
        server.get_later(f"/{path}")
        event = server.event(kind)
    if "gevent" in options:
        return  # the greenlet that runs is the hub, or the application's: both are right
    assert_shown(event, path, "told by the worker")


@pytest.mark.parametrize(("path", "options"), [("loop_in_c", []), ("loop_in_c", THREADS), ("sleep_in_python", THREADS)])
def test_from_outside(tmp_path, path, options):
    """C code that keeps the interpreter is read by py-spy, if values=True; also in a thread of a pool."""
    with Gunicorn(tmp_path, "--timeout", "3", *options, app=APP, slow=1, extra="values=True") as server:
        server.get_later(f"/{path}")
        event = server.event("slow")
    told = event["contexts"]["gunicorn"]["values"]
    if path == "loop_in_c":  # else its main thread tells them, if it is quick enough
        assert "read from outside" == told
    assert_shown(event, path, told)


@pytest.mark.parametrize("options", [[], THREADS, ["-k", "gevent"]], ids=["sync", "gthread", "gevent"])
@pytest.mark.parametrize(("path", "kind"), [("crash", "segfault"), ("abort", "abort")])
def test_of_a_crash(tmp_path, path, kind, options):
    """A worker that crashes is held by its last words until py-spy has read it; then it dies of the same signal."""
    with Gunicorn(tmp_path, "-w", "2", *options, app=APP, extra="values=True") as server:
        server.get(f"/{path}")
        event = server.event(kind)
        assert f"died of SIG{'SEGV' if kind == 'segfault' else 'ABRT'}" in event["logentry"]["formatted"]
        assert_shown(event, path, "read from outside")
        assert b"ok" == server.get("/")


def test_of_a_crash_without_the_option(tmp_path):
    """Nobody holds a worker where that is not wanted; the event says what would."""
    with Gunicorn(tmp_path, app=APP) as server:
        server.get("/crash")
        event = server.event("segfault")
    assert {} == variables(event, "crash")
    assert "none: the worker is gone (see values=True)" == event["contexts"]["gunicorn"]["values"]


def test_a_child_that_aborts_is_not_its_worker(tmp_path):
    """The application's own child that crashes is no event, and is held by nobody."""
    with Gunicorn(tmp_path, app=APP, extra="values=True") as server:
        began = time.monotonic()
        assert b"ok" == server.get("/abort_in_a_child")
        assert time.monotonic() - began < 20
        assert [] == still(server.events)


def test_a_crash_that_nobody_reads(tmp_path):
    """Without a watcher and its keeper a worker that crashes is not held, and is replaced as ever."""
    with Gunicorn(tmp_path, app=APP, extra="values=True") as server:
        kill_the_watch(server.process.pid)
        server.get("/crash")
        wait_for(lambda: server.get("/") == b"ok", what=server.said)
        server.get("/abort")
        wait_for(lambda: len(server.events()) == 2, what=server.said)
        crash, abort = server.events()  # the first is told by the watch that was made with the next worker
    assert "segfault" == crash["tags"]["gunicorn.event"]
    assert [] == functions(crash)
    assert_shown(abort, "abort", "read from outside")


def test_a_timeout_is_none_of_an_abort(tmp_path):
    """gunicorn ends a worker with the signal of abort: that is the timeout, once, with the values read before."""
    with Gunicorn(tmp_path, "--timeout", "2", app=APP, extra="values=True") as server:
        server.get("/sleep_in_python")
        event = server.event("timeout")
    assert_shown(event, "sleep_in_python", "told by the worker")


def test_without_the_option(tmp_path):
    """Without values=True nobody looks from outside, and the event says what would."""
    with Gunicorn(tmp_path, app=APP, slow=1) as server:
        server.get_later("/loop_in_c")
        event = server.event("slow")
    assert {} == variables(event, "loop_in_c")
    assert "none: Python did not run in the main thread (see values=True)" == event["contexts"]["gunicorn"]["values"]


@ROOT_ONLY
def test_as_another_user(passable):
    """Workers that changed their user are read as well: they let the watcher look."""
    options = ("--user", str(NOBODY), "--group", str(NOBODY))
    launch = launch_readable(passable)
    with Gunicorn(passable, *options, app=APP, slow=1, extra="values=True", launch=launch) as server:
        server.get_later("/loop_in_c")
        event = server.event("slow")
    assert_shown(event, "loop_in_c", "read from outside")
