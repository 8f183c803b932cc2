"""What the tests of the watch's values share: an application that hangs or dies in each way, with planted secrets."""

from __future__ import annotations

import os
from pathlib import Path

from support.uwsgi import Server

PLANTED = "plantedsecret"  # in every value that must never be seen, wherever it lies
# Each of them calls its function with an order, a token, and a dict that holds another secret.
APP = """
import collections, ctypes, itertools, os, re, sys, threading, time
sys.path.insert(0, {root!r})
from heka_raven.middleware import RavenMiddleware

if "TEST_CONNINFO" in os.environ:
    import psycopg

PLANTED = "planted" + "secret"

def keep_busy(secret_of_a_thread):
    while True:
        time.sleep(0.05)

def begin():
    import uwsgi
    if {"threads", b"threads"} & set(uwsgi.opt) and not hasattr(begin, "thread"):
        begin.thread = threading.Thread(target=keep_busy, args=(PLANTED,), daemon=True)
        begin.thread.start()

def sleep_in_python(order, token, request):
    number = order * 2
    time.sleep(60)

def loop_in_python(order, token, request):
    number = order * 2
    while True:
        number = order * 2  # the same again: a value read in between must be true as well

def match_text(order, token, request):
    number = order * 2
    text = "a" * 41 + "!"
    re.match("(a|a)*$", text)

def loop_in_c(order, token, request):
    number = order * 2
    collections.deque(itertools.repeat(number), maxlen=0)  # C without an end, which keeps the interpreter

def ask_database(order, token, request):
    number = order * 2
    with psycopg.connect(os.environ["TEST_CONNINFO"]) as connection:
        connection.execute("LOCK TABLE held")

def write_to_8(order, token, request):
    number = order * 2
    ctypes.memmove(8, b"x" * 64, 64)

def abort_in_c(order, token, request):
    number = order * 2
    ctypes.CDLL(None).abort()

def leave(order, token, request):
    number = order * 2
    os._exit(7)

def idle(order, token, request):
    time.sleep(0.05)

KINDS = {f.__name__: f for f in (sleep_in_python, loop_in_python, match_text, loop_in_c, ask_database, write_to_8,
                                 abort_in_c, leave)}

def inner(env, start):
    begin()
    what = env["PATH_INFO"].strip("/")
    if what in KINDS:
        note = "pid.%s.%d" % (what, os.getpid())
        with open(note, "w") as f:
            f.write("x")
        KINDS[what](20, PLANTED, {"user": "ann", "api_key": PLANTED, "argv": ["--password", PLANTED]})
    start("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [b"well"]

application = RavenMiddleware(inner, dsn=os.environ["TEST_DSN"], catchall=True)
"""


def variables(event: dict, function: str) -> dict:
    """The local variables of the innermost Python frame of *function*: the C library has an abort, too."""
    frames = [f for f in event["exception"]["values"][0]["stacktrace"]["frames"] if f.get("platform") != "native"]
    found = [frame for frame in frames if frame.get("function") == function]
    assert found, [frame.get("function") for frame in frames]
    return found[-1].get("vars", {})


def assert_shown(event: dict, function: str) -> None:
    """The values that the function had, and nothing of what is private."""
    shown = variables(event, function)
    assert (20, 40) == (shown.get("order"), shown.get("number")), (shown, event["contexts"]["uwsgi"])
    assert "[Filtered]" == shown["token"]
    assert {"user": "ann", "api_key": "[Filtered]", "argv": ["--password", "[Filtered]"]} == shown["request"]
    assert PLANTED not in repr(event)


def assert_nowhere(server: Server, *outside: str) -> None:
    """No file below the folder of the test holds a planted secret, but those that say it in their source."""
    for folder, _, names in os.walk(server.tmp_path):
        for name in names:
            path = Path(folder) / name
            if path.is_file() and name not in outside:
                assert PLANTED.encode() not in path.read_bytes(), path
