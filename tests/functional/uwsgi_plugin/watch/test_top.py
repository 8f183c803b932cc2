"""`heka-raven top`: the requests in flight of real servers; nothing is written while nobody asks."""

import json
import os
import pty
import select
import socket
import subprocess
import sys
import time

import pytest

from support.paths import ROOT
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import wait_for
from support.watch import PREFORK, THREADS, in_background

APP = """
import os, socket, sys, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge
uwsgi_bridge.show_stacks()

def ask_database(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.recv(1)

def application(env, start):
    if env["PATH_INFO"].startswith("/orders"):
        uwsgi_bridge.tell_request(env, transaction="GET /orders/<id>", user={"id": "7", "password": "planted"})
        ask_database(int(env["QUERY_STRING"].rpartition("=")[2]))
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


def top(server, *options):
    return subprocess.run(
        [sys.executable, "-m", "heka_raven.cli.main", "top", "--spool", str(server.spool), *options],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
    )  # fmt: skip


def one_row(server):
    done = top(server, "--once", "--json")
    assert 0 == done.returncode, done.stderr + server.text()
    rows = json.loads(done.stdout)
    return rows and rows[0]


def files(server):
    return sorted(name for name in os.listdir(server.spool / "state") if "top" in name)


@pytest.fixture
def port():
    """Of a peer that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as peer:
        yield peer.getsockname()[1]


@pytest.mark.parametrize("mode", [PREFORK, THREADS], ids=["prefork", "threads"])
def test_a_request_in_flight(serve, port, mode):
    """Age, worker, method, path (masked), route, user, memory, CPU and what it waits for; and on the server's side no
    file once nobody asks."""
    server = serve("sentry-watch = true\n" + mode, app=APP)
    assert [] == files(server)
    in_background(server, f"/orders/16?token=planted&port={port}")
    row = wait_for(lambda: one_row(server), server.text)
    assert ("GET", "uWSGI", server.process.pid) == (row["method"], row["server"], row["server_pid"])
    assert row["url"].endswith("/orders/16") and "GET /orders/<id>" == row["transaction"]
    assert "7" == row["user"]["id"] and "planted" not in str(row)
    assert row["age_ms"] > 0 and row["rss_bytes"] > 1 << 20 and 0 <= row["cpu_percent"] < 50
    assert ("waiting", f"recv from 127.0.0.1:{port}, tcp") == (row["state"], row["waiting_on"])
    text = top(server, "--once").stdout
    assert "GET /orders/16 (/orders/<id>)" in text and f"recv from 127.0.0.1:{port}, tcp" in text
    wait_for(lambda: files(server) == [], lambda: str(files(server)), limit_s=20)


def test_nobody_answers(tmp_path, serve):
    """A server that does not watch, or a spool without any: one line, and exit code 1."""
    done = top(serve(PREFORK, app=APP), "--once")
    assert 1 == done.returncode and 1 == done.stderr.count("\n")
    assert "no server answers" in done.stderr and "" == done.stdout


def test_what_nobody_asked_for_is_not_written(serve):
    """What others leave in the spool's state is not obeyed: an old question, a link, a pipe, nonsense."""
    server = serve("sentry-watch = true\n" + PREFORK, app=APP)
    question = server.spool / "state" / "top"
    for make in (
        lambda: (question.write_bytes(b"stack 1"), os.utime(question, (1, 1))),
        lambda: question.symlink_to("/etc/passwd"),
        lambda: os.mkfifo(question),
    ):
        make()
        time.sleep(2.5)
        assert ["top"] == files(server)
        question.unlink()
    question.write_bytes(b"stack 999999999999999999999 \xff")
    wait_for(lambda: len(files(server)) == 2, server.text, limit_s=20)
    assert 200 == server.get("/")[0]


@ROOT_ONLY
def test_another_user_s_server(passable, serve, port):
    """Root sees the requests of a server of another user, whose files stay that user's and closed to others."""
    server = serve(
        f"uid = {NOBODY}\ngid = {NOBODY}\nsentry-watch = true\n{PREFORK}",
        app=APP, where=passable, launch=launch_readable(passable),
    )  # fmt: skip
    in_background(server, f"/orders/16?port={port}")
    row = wait_for(lambda: one_row(server), server.text)
    assert f"recv from 127.0.0.1:{port}, tcp" == row["waiting_on"]
    command = [sys.executable, "-m", "heka_raven.cli.main", "top", "--spool", str(server.spool), "--once"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT):
        found = wait_for(lambda: list((server.spool / "state").glob("top-*.json")), server.text)
        info = found[0].stat()
        assert (NOBODY, 0o600) == (info.st_uid, info.st_mode & 0o777)


def test_on_a_terminal(serve, port):
    """A number shows the Python stack of that request; q ends it and leaves the terminal as it was."""
    server = serve("sentry-watch = true\n" + PREFORK, app=APP)
    in_background(server, f"/orders/16?port={port}")
    wait_for(lambda: one_row(server), server.text)
    ours, theirs = pty.openpty()
    shown = b""
    command = [sys.executable, "-m", "heka_raven.cli.main", "top", "--spool", str(server.spool)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT) as process:

        def see(words):
            nonlocal shown
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65536)
            return words in shown

        wait_for(lambda: see(b"GET /orders/16"), lambda: shown.decode())
        os.write(ours, b"1")
        wait_for(lambda: see(b"in ask_database"), lambda: shown.decode(), limit_s=30)
        os.write(ours, b" ")
        shown = b""
        wait_for(lambda: see(b"GET /orders/16"), lambda: shown.decode(), limit_s=30)
        os.write(ours, b"q")
        assert 0 == process.wait(timeout=30)
    os.close(ours)
    os.close(theirs)
