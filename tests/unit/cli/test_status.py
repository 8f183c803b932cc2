"""`heka-raven status` of a spool that is not to be trusted: root looks at what a user may have prepared."""

import json
import os
import stat

import pytest

from heka_raven.spool.ledger import start_time
from support.delivery import fill, run_command

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
