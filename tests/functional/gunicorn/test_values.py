"""Local variables in gunicorn's events: told by the worker, or read from outside; never what is private."""

import time

import pytest

from support.gunicorn import Gunicorn
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.values import PLANTED, variables

pytest.importorskip("gunicorn")
APP = """
import collections, itertools, os, time
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

KINDS = {f.__name__: f for f in (sleep_in_python, loop_in_c, leave)}

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
        time.sleep(0.1)
    assert_shown(event, "loop_in_c", "read from outside")
