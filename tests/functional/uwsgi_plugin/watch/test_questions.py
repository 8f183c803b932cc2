"""A worker outlives being asked for its stack, whatever its threads are at."""

import os
import signal
import time

import pytest

from support.waiting import wait_for

BUSY = """
import os, sys, threading
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge
uwsgi_bridge.show_stacks()

def call(depth):
    return call(depth - 1) if depth else depth

def calls():
    sys.setswitchinterval(0.0005)  # more turns in less time
    while True:
        call(50)
        sorted(range(10), key=lambda number: -number)

def application(env, start):
    if threading.active_count() == 1:
        for _ in range(3):
            threading.Thread(target=calls, daemon=True).start()
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


@pytest.mark.parametrize("times", [500, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_worker_whose_threads_run_python(serve, receiver, times):
    """faulthandler meets a frame half made, in one question of some thousand: the worker goes on, and none is told."""
    server = serve("sentry-watch = true\nenable-threads = true\nprocesses = 1\n", app=BUSY)
    before = server.get("/")
    for _ in range(times):
        os.kill(int(before[1]), signal.SIGRTMIN + 5)
        time.sleep(0.001)
    assert (200, before[1]) == wait_for(lambda: server.get("/"), server.text)
    assert [] == receiver.events
