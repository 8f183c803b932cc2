"""The application's events and the plugin's sender: one spool, or a word about it."""

import os
import re
import shutil
import subprocess
import time

import pytest

from support.users import ROOT_ONLY
from support.uwsgi import DEBIAN, find_uwsgi, ledger_at_rest
from support.waiting import wait_for

UWSGI = find_uwsgi()
EVERY_UWSGI = [
    pytest.param(UWSGI, id="pypi"),
    pytest.param(
        DEBIAN, id="debian",
        marks=[pytest.mark.full, pytest.mark.skipif(not os.path.exists(DEBIAN), reason="no Debian uWSGI")],
    ),
]  # fmt: skip
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    pytest.mark.timeout(180),
]
APP = """
import logging, os, sys
sys.path.insert(0, {root!r})
logging.basicConfig(format="LOG %(levelname)s %(message)s")
from heka.holder import get_client
from heka_raven.middleware import RavenMiddleware

config = {
    "stream_class": "heka_raven.streams.SpoolStream",
    "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": os.environ["TEST_DSN"]})},
}
if os.environ.get("TEST_PATH"):
    config["stream_path"] = os.environ["TEST_PATH"]

def inner(env, start):
    if env["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]

application = RavenMiddleware(inner, get_client("t", config), catchall=True)
"""


@pytest.fixture
def serve_app(serve, receiver, tmp_path):
    """A server with an application whose stream has a path of its own, unless *path* says another."""

    def start(lines, *, uwsgi=UWSGI, path=None, **keywords):
        where = {"TEST_PATH": str(tmp_path / "own") if path is None else path}
        return serve(
            lines, uwsgi=uwsgi, app=APP, home=uwsgi == DEBIAN, env={"TEST_DSN": receiver.dsn, **where}, **keywords
        )

    return start


def errors(server, times):
    for _ in range(times):
        assert 500 == server.get("/boom")[0]


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_stream_path_of_its_own_is_told_once(serve_app, receiver, tmp_path, uwsgi):
    """Whoever writes into a spool that nobody sends says so once, with both paths and the ways out."""
    server = serve_app("processes = 1", uwsgi=uwsgi)
    errors(server, 3)
    said = [line for line in server.text().splitlines() if line.startswith("LOG WARNING nothing delivers from")]
    assert 1 == len(said)
    assert all(words in said[0] for words in (str(tmp_path / "own"), f"delivers from {server.spool}", "enable-threads"))
    assert 3 == len(os.listdir(tmp_path / "own" / "new")) and [] == receiver.events


def test_a_stream_path_of_its_own_is_sent_by_a_thread(serve_app, receiver):
    """With enable-threads a thread of the worker delivers what the plugin does not."""
    server = serve_app("processes = 1\nenable-threads = true")
    errors(server, 2)
    wait_for(lambda: len(receiver.events) == 2, server.text)
    assert "nothing delivers" not in server.text()


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_the_same_directory_by_another_name(serve_app, receiver, tmp_path, uwsgi):
    """stream_path may name the plugin's spool in another way: it is one spool, and no word is said."""
    server = serve_app("processes = 1", uwsgi=uwsgi, path=f"{tmp_path}/../{tmp_path.name}/spool")
    errors(server, 2)
    wait_for(lambda: len(receiver.events) == 2, server.text)
    assert "nothing delivers" not in server.text()


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_refused_spool_is_told_in_both_logs(serve_app, receiver, tmp_path, uwsgi):
    """The plugin may not use its spool: uWSGI's log says why, the application's that its events wait."""
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool").chmod(0o755)
    server = serve_app("processes = 1", uwsgi=uwsgi)
    errors(server, 2)
    assert "lets others in" in server.text() and "nothing will be reported" in server.text()
    assert 1 == server.text().count("nothing delivers from")
    assert "uWSGI's plugin has no spool, which a line at uWSGI's start explains" in server.text()


@ROOT_ONLY
@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_read_only_root_with_a_writable_tmp(serve_app, receiver, tmp_path, uwsgi):
    """As in a container: both halves agree on /tmp, and events are delivered."""
    mounts = 'mount --bind /tmp /tmp && mount -o remount,bind,ro / && shift && exec "$@"'
    launch = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh", "-"]
    server = serve_app("processes = 1", uwsgi=uwsgi, path="", launch=launch, spool=False)
    errors(server, 2)
    wait_for(lambda: len(receiver.events) == 2, server.text)
    assert "nothing delivers" not in server.text() and "spool: /tmp/heka-raven-0" in server.text()
    server.stop()
    shutil.rmtree("/tmp/heka-raven-0")


@ROOT_ONLY
def test_a_read_only_file_system_is_called_so(serve, tmp_path):
    """A spool that cannot be made on a read-only file system is refused with these words."""
    mounts = 'mkdir -p "$1" && mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
    launch = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh", str(tmp_path / "ro")]
    server = serve(f"sentry-spool = {tmp_path}/ro/deep/spool", launch=launch)
    assert f"sentry-spool: {tmp_path}/ro/deep/spool: Read-only file system" in server.text()


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_spool_that_is_moved_away(serve_app, receiver, uwsgi):
    """mv spool spool.old while it runs: the events of both halves go to a new one at the path, and are delivered."""
    lines = "processes = 1\nroute-if = equal:${REQUEST_METHOD};PUT sentry:message=put\n"
    server = serve_app(lines, uwsgi=uwsgi, path="")
    errors(server, 1)
    server.get("/", "PUT")
    wait_for(lambda: len(receiver.events) == 2, server.text)
    server.sender_pid()
    server.spool.rename(server.spool.with_suffix(".old"))
    time.sleep(1.1)  # the Python half looks once a second
    errors(server, 1)
    server.get("/", "PUT")
    wait_for(lambda: len(receiver.events) == 4 and server.waiting() == 0, server.text)
    assert [] == os.listdir(server.spool.with_suffix(".old") / "new")
    counts = ledger_at_rest(server)
    assert (2, 2) == (counts["captured"], counts["delivered"])


@ROOT_ONLY
@pytest.mark.parametrize("below", [False, True], ids=["nothing-below", "a-spool-below"])
@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_a_spool_whose_file_system_is_unmounted_lazily(serve_app, receiver, tmp_path, uwsgi, below):
    """umount -l while it runs: the events of both halves go to what the path leads to by then, and are delivered."""
    disk = tmp_path / "disk"
    spool = disk / "spool"
    disk.mkdir()
    if below:
        spool.mkdir(mode=0o700)
    mounts = 'mount -t tmpfs none "$1" && shift && exec "$@"'
    launch = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh", str(disk)]
    lines = f"sentry-spool = {spool}\nprocesses = 1\nroute-if = equal:${{REQUEST_METHOD}};PUT sentry:message=put\n"
    server = serve_app(lines, uwsgi=uwsgi, path="", launch=launch, spool=False)
    errors(server, 1)
    server.get("/", "PUT")
    wait_for(lambda: len(receiver.events) == 2, server.text)
    assert not (spool / "new").exists()  # it is on the file system that only the server sees
    subprocess.run(
        ["nsenter", "--mount", "--root", "--target", str(server.process.pid), "umount", "-l", disk], check=True
    )
    time.sleep(1.1)  # the Python half looks once a second
    errors(server, 1)
    server.get("/", "PUT")
    server.spool = spool
    wait_for(lambda: len(receiver.events) == 4 and server.waiting() == 0, server.text)
    counts = ledger_at_rest(server)
    assert (2, 2) == (counts["captured"], counts["delivered"])


# The chroot holds all that there is outside, but for /srv, where the spool is: each side has its own.
JAIL = (
    'mkdir -p "$1" && mount -t tmpfs -o mode=755 none /srv && mount --rbind / "$1" && '
    'mount -t tmpfs -o mode=755 none "$1/srv" && shift && exec "$@"'
)


@ROOT_ONLY
@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize(
    "how",
    [
        pytest.param("hook-asap = sentry:message=asap", id="hook-asap"),
        pytest.param("drop-after-apps = true", id="drop-after-apps"),
        pytest.param("master-as-root = true", id="master-as-root", marks=pytest.mark.full),
        pytest.param("", id="plain", marks=pytest.mark.full),
    ],
)
def test_chroot(serve_app, receiver, tmp_path, uwsgi, how):
    """The plugin opens the spool where the application will find it, also when it is not in the chroot yet."""
    launch = ["unshare", "--mount", "--propagation", "private", "sh", "-c", JAIL, "sh", str(tmp_path / "jail")]
    lines = f"processes = 1\nchroot = {tmp_path}/jail\nsentry-spool = /srv/spool\n{how}\n"
    lines += "route-if = equal:${REQUEST_METHOD};PUT sentry:message=put\n"
    server = serve_app(lines, uwsgi=uwsgi, path="", launch=launch, spool=False)
    errors(server, 1)
    server.get("/", "PUT")
    wanted = sorted(["put", "boom"] + (["asap"] if "hook" in how else []))
    wait_for(lambda: wanted == sorted(text_or_value(e) for e in receiver.events), server.text)
    assert "nothing delivers" not in server.text()
    wait_for(lambda: re.search(r"\[sentry\] watching nothing .*; spool /\S+; sender pid", server.text()), server.text)


def text_or_value(event):
    return event["exception"]["values"][-1]["value"] if "exception" in event else event["logentry"]["formatted"]
