"""The watch: what a worker waits for, that is slow or over its limit: the call, and the other end of it."""

import fcntl
import os
import re
import socket
import threading
from contextlib import ExitStack

import pytest

from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import wait_for
from support.watch import GEVENT, PREFORK, WATCH, in_background, one_event

APP = """
import fcntl, os, re, socket, sys, threading, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge

uwsgi_bridge.show_stacks()
here = os.path.dirname(os.path.abspath(__file__))

def ask_database(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)

def ask_with_patience(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.recv(1)

def take_lock():
    with open(here + "/cache.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

def read_pipe():
    os.read(os.pipe()[0], 1)

def lock_twice():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def rest():
    time.sleep(60)

def compute():
    re.match(r"(a+)+$", "a" * 60 + "b")

def application(env, start):
    what, port = env["PATH_INFO"].strip("/"), env.get("QUERY_STRING", "")
    if what == "recv":
        ask_database(int(port))
    if what == "poll":
        ask_with_patience(int(port))
    if what in ("lock", "pipe", "futex", "sleep", "busy"):
        dict(lock=take_lock, pipe=read_pipe, futex=lock_twice, sleep=rest, busy=compute)[what]()
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""
SLOW = "sentry-watch = slow\nsentry-watch-slow = 2\nenable-threads = true\n"
PLACES = {
    "recv": "ask_database", "poll": "ask_with_patience", "lock": "take_lock", "pipe": "read_pipe",
    "futex": "lock_twice", "sleep": "rest", "busy": "compute",
}  # fmt: skip


@pytest.fixture
def world(tmp_path):
    """A peer that never answers, and a lock that somebody holds."""
    with ExitStack() as stack:
        peer = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        lock = stack.enter_context((tmp_path / "cache.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield peer.getsockname()[1], tmp_path / "cache.lock"


def events_of(server, receiver, port, names):
    """Ask for all of it at once; the event of each."""
    in_background(server, *[f"/{name}?{port}" for name in names])
    wait_for(lambda: len(receiver.events) == len(names), lambda: f"{receiver.texts()}\n{server.text()}", limit_s=60)
    found = {event["transaction"].removeprefix("GET /"): event for event in receiver.events}
    assert set(names) == found.keys()
    return found


@pytest.mark.parametrize("mode", ["processes = 7", "processes = 1\nthreads = 7"], ids=["prefork", "threads"])
def test_what_a_slow_request_waits_for(serve, receiver, world, mode):
    """A connection by its address, a lock by its file and holder, a pipe, a lock between threads, a sleep; and one that
    runs (not beside threads: they would wait for it): one event each, with the words in its sentence and context."""
    port, lock = world
    names = [name for name in PLACES if name != "busy" or "threads" not in mode]
    found = events_of(serve(f"{SLOW}{mode}\n", app=APP), receiver, port, names)
    expected = {
        "recv": f"recv from 127.0.0.1:{port}, tcp",
        "poll": f"poll on 127.0.0.1:{port}, tcp",
        "lock": f"flock on {lock}, held by pid {os.getpid()}",
        "pipe": "read from a pipe",
        "futex": "futex, probably a lock: see threads",
        "sleep": "a sleep",
    }
    for name, words in expected.items():
        context = found[name]["contexts"]["uwsgi"]
        assert words == context["waiting_on"], name
        assert ("waiting", None) == (context["state"], context.get("waiting_on_missing"))
        said = found[name]["logentry"]["formatted"]
        short = re.escape(words.removesuffix(", tcp"))
        worker = rf"uWSGI's worker \d has been in GET /{name} for [\d.]+ s"
        assert re.fullmatch(rf"{worker}: waiting on {short} at {PLACES[name]} \(app\.py:\d+\)", said), said
        assert context.get("cpu_percent", 0) < 50
    if "busy" in found:
        busy = found["busy"]["contexts"]["uwsgi"]
        assert "running" == busy["state"] and "waiting_on" not in busy
        said = found["busy"]["logentry"]["formatted"]
        assert re.search(r" for [\d.]+ s: running at compute \(app\.py:\d+\)", said)
    threads = {event["contexts"]["uwsgi"].get("thread") for event in found.values()}
    assert ({"the request's", "the main one"} if "threads" in mode else {None}) >= threads


@pytest.mark.parametrize("mode", [PREFORK, GEVENT], ids=["prefork", "gevent"])
def test_what_a_harakiri_ended(serve, receiver, world, mode):
    """What it waited for is read before the signal for the stack interrupts it."""
    port, _ = world
    server = serve(f"{WATCH}harakiri = 3\n{mode}", app=APP)
    threading.Thread(target=server.crash, args=(f"/recv?{port}",), daemon=True).start()
    event = one_event(receiver, server, "harakiri")
    assert f"recv from 127.0.0.1:{port}, tcp" == event["contexts"]["uwsgi"]["waiting_on"]
    said = rf"uWSGI killed worker \d after 3 s in GET /recv: waiting on recv from 127\.0\.0\.1:{port} at ask_database "
    assert re.match(said, event["exception"]["values"][0]["value"])
    assert event["fingerprint"] == ["harakiri", "GET /recv", "ask_database in app.py"]


@ROOT_ONLY
@pytest.mark.parametrize("more", ["", "master-as-root = true\n"], ids=["nobody", "master-as-root"])
def test_as_another_user(passable, receiver, serve, more):
    """Workers that root started as nobody let a master of that user see their state alone, which the event says; a
    master that stays root sees all."""
    with socket.create_server(("127.0.0.1", 0)) as peer:
        port = peer.getsockname()[1]
        server = serve(
            f"uid = {NOBODY}\ngid = {NOBODY}\nsentry-watch = slow\nsentry-watch-slow = 1\n{more}{PREFORK}",
            app=APP, where=passable, launch=launch_readable(passable),
        )  # fmt: skip
        in_background(server, f"/recv?{port}")
        event = one_event(receiver, server, "slow")
    context = event["contexts"]["uwsgi"]
    assert "waiting" == context["state"]
    if more:
        assert f"recv from 127.0.0.1:{port}, tcp" == context["waiting_on"]
    else:
        assert re.fullmatch(rf"user {NOBODY} may not read /proc/\d+/syscall", context["waiting_on_missing"])
        assert "waiting_on" not in context and ": waiting" not in event["logentry"]["formatted"]
