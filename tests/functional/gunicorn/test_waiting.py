"""The watch under real gunicorn: what a worker waits for that is slow or over its timeout."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from support.gunicorn import Gunicorn
from support.terminal import Terminal
from support.waiting import wait_for

pytest.importorskip("gunicorn")

APP = """
import fcntl, os, re, socket, time

def ask_database(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)

def take_lock():
    with open("cache.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

def read_pipe():
    os.read(os.pipe()[0], 1)

def compute():
    re.match(r"(a+)+$", "a" * 60 + "b")

def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/recv":
        ask_database(int(query.rpartition("&")[2]))
    if path in ("/lock", "/pipe", "/busy"):
        {"/lock": take_lock, "/pipe": read_pipe, "/busy": compute}[path]()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def port():
    """Of a peer that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as peer:
        yield peer.getsockname()[1]


def test_a_timeout(tmp_path, port):
    """What a worker over its timeout waited for stands in the sentence and in the context."""
    with Gunicorn(tmp_path, "-w", "2", "--timeout", "3", app=APP) as server:
        server.get_later(f"/recv?{port}")
        event = server.event("timeout")
    context = event["contexts"]["gunicorn"]
    assert ("waiting", f"recv from 127.0.0.1:{port}, tcp") == (context["state"], context["waiting_on"])
    said = (
        rf"gunicorn killed worker \d+ after 3 s in GET /recv: waiting on recv from 127\.0\.0\.1:{port} at ask_database "
    )
    assert re.match(said, event["logentry"]["formatted"])


@pytest.mark.parametrize("options", [["-w", "4"], ["-k", "gthread", "--threads", "4"]], ids=["sync", "gthread"])
def test_slow_requests(tmp_path, port, options):
    """A connection, a lock and its holder, a pipe: with threads each is asked of its own thread. One that runs says
    so."""
    paths = ["/recv", "/lock", "/pipe", *(["/busy"] if "-w" in options else [])]
    with (
        Gunicorn(tmp_path, *options, "--timeout", "0", slow=1, app=APP) as server,
        open(tmp_path / "cache.lock", "w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in paths:
            server.get_later(f"{path}?{port}")
        wait_for(lambda: len(server.events()) == len(paths), what=server.said)
        found = {event["transaction"].removeprefix("GET "): event for event in server.events()}
    expected = {
        "/recv": f"recv from 127.0.0.1:{port}, tcp",
        "/lock": f"flock on {tmp_path}/cache.lock, held by pid {os.getpid()}",
        "/pipe": "read from a pipe",
    }
    for path, words in expected.items():
        context = found[path]["contexts"]["gunicorn"]
        assert ("waiting", words) == (context["state"], context["waiting_on"])
        assert context["cpu_percent"] < 50
        said = re.escape(words.removesuffix(", tcp"))
        pattern = (
            rf"gunicorn's worker \d+ has been in GET {path} for [\d.]+ s: waiting on {said} at \w+ \(app\.py:\d+\)"
        )
        assert re.fullmatch(pattern, found[path]["logentry"]["formatted"])
    if "/busy" in found:
        context = found["/busy"]["contexts"]["gunicorn"]
        assert "running" == context["state"] and "waiting_on" not in context
        assert ": running at compute " in found["/busy"]["logentry"]["formatted"]


def test_top(tmp_path, port):
    """`heka-raven top` shows the requests in flight, with what each waits for, and leaves nothing behind."""
    top = [sys.executable, "-m", "heka_raven.cli.main", "top", "--spool", str(tmp_path / "spool"), "--once"]
    with Gunicorn(tmp_path, "-k", "gthread", "--threads", "3", app=APP, sender="auto") as server:
        server.get_later(f"/recv?token=planted&{port}")
        rows = wait_for(
            lambda: json.loads(subprocess.run([*top, "--json"], stdout=subprocess.PIPE, check=True).stdout),
            what=server.said,
        )
        assert "/recv" in subprocess.run(top, stdout=subprocess.PIPE, check=True, text=True).stdout
        wait_for(lambda: not list((tmp_path / "spool" / "state").glob("*top*")), limit_s=20)
    [row] = rows
    assert ("gunicorn", "GET", "GET /recv") == (row["server"], row["method"], row["transaction"])
    assert f"recv from 127.0.0.1:{port}, tcp" == row["waiting_on"] and row["rss_bytes"] > 1 << 20
    assert "planted" not in str(row)


def test_the_stack_on_a_key(tmp_path, port):
    """On a key `heka-raven top` shows the stack of one request with its local variables, masked."""
    with Gunicorn(tmp_path, "-k", "gthread", "--threads", "3", app=APP, sender="auto") as server:
        server.get_later(f"/recv?token=planted&{port}")
        with Terminal(tmp_path / "spool") as terminal:
            wait_for(lambda: terminal.saw(b"GET /recv"), what=server.said)
            terminal.press(b"1")
            terminal.see(b"in ask_database")
            terminal.see(b"any key goes back")
            assert f"port = {port}".encode() in terminal.shown and b"told by the worker, masked" in terminal.shown
            assert b"planted" not in terminal.shown + terminal.files
