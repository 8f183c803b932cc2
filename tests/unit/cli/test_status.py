"""`heka-raven status` of a spool that is not to be trusted: root looks at what a user may have prepared."""

import json
import os
import re
import stat

import pytest

from heka_raven.cli.words import plural, size, span
from heka_raven.spool.ledger import start_time
from support.delivery import command, fill, run_command
from support.sentry_server import Reply, Server, script
from support.waiting import wait_for

ESCAPE = "\x1b]0;owned\x07\x1b[31m\u202e"
FLEET = f"fleet-relay-{os.getpid()}-{start_time(os.getpid())}.json"
PLACES = [
    "state/limits.json",
    pytest.param(f"state/{FLEET}", id="state/fleet"),
    "state/sender.lock",
    "state/ledger/total",
    "state/ledger/7-7",
    "new/x",
]


@pytest.fixture
def spool(tmp_path):
    fill(tmp_path / "spool", "http://a@127.0.0.1:1/1", 1)
    return tmp_path / "spool"


def replace(path, kind):
    if path.exists():
        path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif os.geteuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    else:
        pytest.skip("needs root to make a device")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "device"])
def test_status_opens_no_pipe_and_no_device(spool, place, kind):
    """Whatever lies there: an answer at once, from regular files alone."""
    replace(spool / place, kind)
    code, out, err = run_command("status", "--spool", spool, "--json")
    assert (0, "", 1) == (code, err, json.loads(out)["waiting"])


def test_a_terminal_obeys_nothing_of_a_spool(spool):
    """Escapes in the name of a server or in a fleet's file are shown, never sent to the terminal."""
    limits = {"version": 1, "limits": {f"http://a@{ESCAPE}/1": {"": 4e9}}}
    (spool / "state/limits.json").write_text(json.dumps(limits))
    told = {"role": ESCAPE, "pid": ESCAPE, "listen": [ESCAPE, 7], "counts": {ESCAPE: ESCAPE}}
    broker = {"url": ESCAPE, "state": ESCAPE, "error": ESCAPE, "queues": {ESCAPE: ESCAPE}}
    (spool / "state" / FLEET).write_text(json.dumps({**told, "broker": broker}))
    code, out, err = run_command("status", "--spool", spool)
    assert (0, "") == (code, err)
    assert [] == [c for c in out if not c.isprintable() and c != "\n"]
    assert "owned" in out


@pytest.mark.parametrize("value", [7, "x", None, [[1]], {"a": [1]}, {"url": {}}])
def test_a_fleet_file_of_any_shape(spool, value):
    """What another program wrote costs its own lines, no more."""
    told = dict.fromkeys(("role", "pid", "listen", "counts", "broker", "connections"), value)
    (spool / "state" / FLEET).write_text(json.dumps(told))
    code, _, err = run_command("status", "--spool", spool)
    assert (0, "") == (code, err)


def test_a_huge_state_file_is_not_read(spool):
    """100 GB of holes under the name of a small file."""
    (spool / "state/limits.json").touch()
    os.truncate(spool / "state/limits.json", 100 << 30)
    code, out, _ = run_command("status", "--spool", spool, "--json")
    assert (0, []) == (code, json.loads(out)["limits"])


def test_a_line_a_server(spool):
    """What waits for it, its last success, its last error in words, the next try; no key on the screen."""
    with Server(script(Reply(), Reply(), Reply(400, {"X-Sentry-Error": "bad \x1b[31mdata"}))) as server:
        fill(spool, server.dsn, 3)
        run_command("send", "--once", "--spool", spool)
        _, out, _ = run_command("status", "--spool", spool)
        (line,) = [line for line in out.splitlines() if f"127.0.0.1:{server.port}" in line]
        assert re.fullmatch(
            rf"server http://127.0.0.1:{server.port}/1: nothing waits; delivered \d+ s ago; "
            r"failed \d+ s ago: status 400 bad .\[31mdata",
            line,
        )
    (line,) = [line for line in out.splitlines() if "127.0.0.1:1/" in line]
    assert re.fullmatch(r"server http://127.0.0.1:1/1: 1 waiting; failed \d+ s ago: no connection.*", line), out
    assert "discarded send_error: 1 (refused by the server; heka-raven retry-dead --list says why)" in out
    assert "a@" not in out and "public" not in out


def test_when_it_is_tried_again(spool):
    """While a sender waits, status says for how long."""
    process = command("send", "--spool", spool)
    try:
        wait_for(lambda: "next try in" in run_command("status", "--spool", spool)[1])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_numbers_as_people_say_them():
    """Sizes, spans of time and plurals."""
    assert ["0 bytes", "1 byte", "829 KiB", "1.5 MiB", "2.0 GiB"] == [
        size(n) for n in (0, 1, 829 << 10, 3 << 19, 2 << 30)
    ]
    assert ["0 s", "59 s", "1 min", "2 h 3 min", "3 d", "3 d 4 h", "1 h"] == [
        span(s) for s in (0.4, 59.9, 60, 7380, 259_200, 273_700, 3_601 - 1)
    ]
    assert ["1 event", "2 events", "1,000 events"] == [plural(n, "event") for n in (1, 2, 1000)]


def test_why_an_event_was_refused(spool):
    """dead/ keeps the reason of each, retry-dead --list shows it, and it goes away with the copy."""
    with Server(script(Reply(400, {"X-Sentry-Error": "no such field"}), Reply(413))) as server:
        fill(spool, server.dsn, 2)
        code, out, err = run_command("send", "--once", "--spool", spool)
        assert (3, True) == (code, "2 refused" in err), err
        code, out, _ = run_command("retry-dead", "--list", "--spool", spool)
        assert (0, 2, True) == (code, out.count("\n"), "status 400 no such field" in out and "status 413" in out), out
        run_command("retry-dead", "--spool", spool)
        assert [] == list((spool / "dead").iterdir())


def test_send_once_fails_when_something_was_refused(tmp_path):
    """A script that sends can tell."""
    with Server(lambda request: Reply(400)) as server:
        fill(tmp_path / "other", server.dsn, 1)
        assert 1 == run_command("send", "--once", "--spool", tmp_path / "other")[0]


def test_nobody_is_told_to_change_etc():
    """A directory with something else in it is no spool that lacks a chmod."""
    code, _, err = run_command("status", "--spool", "/etc")
    assert (2, True, False) == (code, "/etc" in err, "chmod" in err)
