"""`heka-raven top`: the requests in flight of real servers; nothing is written while nobody asks."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from heka_raven.spool.in_flight import Wanted, ask, read_told
from support import values
from support.paths import ROOT
from support.terminal import Terminal
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import wait_for
from support.watch import PREFORK, THREADS, full, in_background, one_event

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


def waiting_row(server):
    """The row, once its request waits: a busy machine lets a worker take its time on the way there."""

    def look():
        row = one_row(server)
        return row if row and "recv" in row.get("waiting_on", "") else None

    return wait_for(look, server.text)


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
    row = waiting_row(server)
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
    row = waiting_row(server)
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
    with Terminal(server.spool) as terminal:
        terminal.see(b"GET /orders/16")
        terminal.press(b"1")
        terminal.see(b"in ask_database")
        terminal.see(b"no local variables: this worker tells none (see sentry-watch-values)")
        terminal.press(b" ")
        terminal.see(b"GET /orders/16")
        terminal.press(b"q")
        assert 0 == terminal.process.wait(timeout=60)


TOLD = b"local variables: told by the worker, masked"
OUTSIDE = b"local variables: read from outside, masked"
REFUSED = b"no local variables: Python did not run in the main thread (see sentry-watch-values)"
VALUES = [
    pytest.param(PREFORK, "sleep_in_python", TOLD, id="told"),
    pytest.param(PREFORK + "sentry-watch-values = true\n", "match_text", TOLD, id="told-in-c", marks=full),
    pytest.param(PREFORK + "sentry-watch-values = true\n", "loop_in_c", OUTSIDE, id="outside"),
    pytest.param(THREADS + "sentry-watch-values = true\n", "sleep_in_python", None, id="threads", marks=full),
    pytest.param(PREFORK, "loop_in_c", REFUSED, id="not-allowed", marks=full),
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("mode", "what", "words"), VALUES)
def test_values_on_a_terminal(serve, receiver, mode, what, words):
    """A number shows the local variables of that request too, masked, or one line says why there are none; what is
    private stands on no terminal and in no file, and a harakiri after that has its own values."""
    lines = "sentry-watch = true\nsentry-watch-patience = 5000\nharakiri = 25\n" + mode
    server = serve(lines, app=values.APP, env={"TEST_DSN": receiver.dsn})
    if "values" in mode:
        wait_for(lambda: "spawned uWSGI sentry reader" in server.text(), server.text)
    in_background(server, "/" + what)
    wait_for(lambda: one_row(server), server.text)
    with Terminal(server.spool) as terminal:
        terminal.see(what.encode())
        terminal.press(b"1")
        terminal.see(b"local variables")
        terminal.see(b"any key goes back")
        assert what.encode() in terminal.shown
        if words is not None:
            assert words in terminal.shown, terminal.shown.decode()
        if words is not REFUSED:
            assert b"order = 20" in terminal.shown and b"token = [Filtered]" in terminal.shown
            assert b'"api_key":"[Filtered]"' in terminal.shown
            assert b'"order":20' in terminal.files
        assert values.PLANTED.encode() not in terminal.shown + terminal.files
        terminal.press(b" ")
        terminal.see(b"GET /" + what.encode())
    values.assert_nowhere(server)
    event = one_event(receiver, server, "harakiri")
    if words is not REFUSED:
        values.assert_shown(event, what)


def test_only_the_server_that_is_meant(serve, port):
    """The stack is that of one server's worker: another that shares the spool interrupts nobody."""
    server = serve("sentry-watch = true\n" + PREFORK, app=APP)
    in_background(server, f"/orders/16?port={port}")
    row = wait_for(lambda: one_row(server), server.text)
    wanted = Wanted(row["worker"], row["core"], row["server_pid"] + 1, row["pid_namespace"])
    told = read_told_after(server, wanted)
    assert 1 == len(told["requests"]) and "stack" not in told
    assert "stack" in read_told_after(server, wanted._replace(server_pid=row["server_pid"]))


def read_told_after(server, wanted):
    """What the server says some looks after it was asked."""
    for _ in range(12):
        ask(str(server.spool), wanted)
        time.sleep(0.5)
    [told] = read_told(str(server.spool), time.time())
    return told


def test_a_question_of_tomorrow(serve):
    """A clock that was set back leaves a question of the future: nobody answers it for ever."""
    server = serve("sentry-watch = true\n" + PREFORK, app=APP)
    question = server.spool / "state" / "top"
    question.write_bytes(b"")
    wait_for(lambda: len(files(server)) == 2, server.text, limit_s=20)
    os.utime(question, (time.time() + 3600, time.time() + 3600))
    wait_for(lambda: files(server) == ["top"], lambda: str(files(server)), limit_s=20)


IN_A_CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@ROOT_ONLY
def test_two_containers(serve, port, tmp_path):
    """Two servers whose masters have the same number, each in its container, on one spool: both are shown, and what the
    kernel says of that number here is of neither."""
    lines = f"sentry-watch = true\nsentry-spool = {tmp_path / 'spool'}\n{PREFORK}"
    servers = []
    for name in "ab":
        (tmp_path / name).mkdir()
        servers.append(serve(lines, app=APP, where=tmp_path / name, launch=IN_A_CONTAINER, spool=False))
        in_background(servers[-1], f"/orders/{name}?port={port}")
    servers[0].spool = tmp_path / "spool"

    def both():
        rows = json.loads(top(servers[0], "--once", "--json").stdout or "[]")
        return rows if len(rows) == 2 else None

    rows = wait_for(both, lambda: servers[0].text() + servers[1].text(), limit_s=60)
    assert {"a", "b"} == {row["url"][-1] for row in rows}
    assert {1} == {row["server_pid"] for row in rows} and 2 == len({row["pid_namespace"] for row in rows})
    assert {"not known: in another container"} == {row["state"] for row in rows}
    assert {None} == {row["rss_bytes"] for row in rows}
    for server in servers:
        server.process.kill()  # unshare passes no other signal on
