"""What version 1.0.0.dev0 left on disk is read; what a later one lays out in another way is refused, never misread."""

import os
import shutil
import time

import pytest

from heka.exceptions import ConfigError
from heka_raven.streams import SpoolStream
from support.delivery import assert_exact, fill, in_words, run_command, send_once, waiting
from support.inbox import running_inbox
from support.paths import DATA
from support.sentry_server import Server
from support.uwsgi import ledger_at_rest
from support.waiting import wait_for

KEPT = DATA / "versions" / "1.0.0.dev0"


def copy_kept(spool, port):
    """The spool as it was kept, for a server on *port*, and not a day old."""
    shutil.copytree(KEPT / "spool", spool)
    for path in [spool, *spool.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    for path in sorted((spool / "new").iterdir()):
        path.write_bytes(path.read_bytes().replace(b"@127.0.0.1:9/", b"@127.0.0.1:%d/" % port))
        path.rename(path.with_name(f"{time.time_ns():020d}-{path.name.partition('-')[2]}"))


def test_the_spool_is_delivered(spool):
    """Three events wait, one of protocol 3: heka-raven send delivers them, and the old ledger is added up."""
    with Server() as server:
        copy_kept(spool, server.port)
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        assert 3 == len(server.requests)
    assert_exact(spool, captured=4, delivered=4)


def test_the_spool_is_delivered_by_the_plugin(spool, serve, receiver):
    """The same by the sender in C."""
    copy_kept(spool, receiver.port)
    server = serve("")
    wait_for(lambda: server.waiting() == 0, server.text)
    assert (4, 4) == tuple(ledger_at_rest(server)[name] for name in ("captured", "delivered"))


def test_the_inbox_is_read(tmp_path):
    """The database of an old inbox opens, with its events."""
    shutil.copy(KEPT / "inbox.db", tmp_path)
    with running_inbox(tmp_path / "inbox.db") as inbox:
        assert [f"{number:032x}" for number in (2, 1)] == [row["event_id"] for row in inbox.events()]


@pytest.fixture
def later(spool):
    """A spool of a version to come."""
    fill(spool, "http://a@127.0.0.1:9/1", 1)
    (spool / "state" / "format").write_text("2\n")
    before = sorted((str(path), path.stat().st_mtime_ns) for path in spool.rglob("*") if path.is_file())
    yield spool
    assert before == sorted((str(path), path.stat().st_mtime_ns) for path in spool.rglob("*") if path.is_file())


@pytest.mark.parametrize("command", [["send", "--once"], ["status"], ["retry-dead"]])
def test_a_later_spool_is_refused(later, command):
    """One line that says why; nothing in it is touched."""
    code, _, err = run_command(*command, "--spool", later)
    assert 0 != code
    (line,) = err.splitlines()
    assert f"spool {later}: state/format names another format than 1, the only one that this version knows" in line


def test_a_later_spool_is_refused_by_a_stream(later):
    """An application that names it is told so."""
    with pytest.raises(ConfigError, match="names another format than 1"):
        SpoolStream(path=str(later), sender="off").spool.open()


def test_a_later_spool_is_refused_by_the_plugin(later, serve, receiver):
    """uWSGI says so in one line, and serves."""
    server = serve("route-if = equal:${REQUEST_METHOD};PUT sentry:message=m")
    assert 200 == server.get("/", "PUT")[0]
    wait_for(lambda: "/state/format: names another format than 1" in server.text(), server.text)
    assert [] == receiver.requests and 1 == len(waiting(later))


def test_format_1_may_be_said(spool):
    """The number of the format that is known changes nothing."""
    fill(spool, "http://a@127.0.0.1:9/1", 1)
    for text in ("1", "1\n"):
        (spool / "state" / "format").write_text(text)
        assert 0 == run_command("status", "--spool", spool)[0]
    os.mkfifo(spool / "state" / "later")
    os.rename(spool / "state" / "later", spool / "state" / "format")
    assert 0 != run_command("status", "--spool", spool)[0]
