"""What surrounds the spool: uWSGI with and without the plugin, disks that take no more."""

import contextlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from faults.c_half import driver
from support.delivery import assert_exact, end, run_command, wait_until_delivered, waiting
from support.paths import ROOT, TESTS
from support.ports import free_port
from support.sentry_server import Server
from support.uwsgi import find_uwsgi
from support.waiting import wait_for

UWSGI_APP = """
import sys, threading
from heka_raven.streams import SpoolStream
stream = SpoolStream(path={spool!r})
def application(environ, start_response):
    stream.ledger.add("captured")
    stream.write_event("0" * 32, {dsn!r}, b"{{}}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(any(thread.name.startswith("heka-raven") for thread in threading.enumerate())).encode()]
"""


@contextlib.contextmanager
def serving(tmp_path, spool, dsn, *options):
    """A real uWSGI with UWSGI_APP; gives what GET answers, and the log."""
    (tmp_path / "wsgi_app.py").write_text(UWSGI_APP.format(spool=str(spool), dsn=dsn))
    port = free_port()
    arguments = [find_uwsgi(), "--http-socket", f"127.0.0.1:{port}", "--master", "--workers", "1", "--die-on-term"]
    arguments += ["--wsgi-file", str(tmp_path / "wsgi_app.py"), "--need-app", *options]
    arguments += ["--virtualenv", sys.prefix, "--pythonpath", str(Path(__file__).parent.parent.parent.parent)]

    def ask():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return None

    log = tmp_path / "uwsgi.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(arguments, stdout=file, stderr=file)
        try:
            yield ask, log
        finally:
            end(process)


@pytest.mark.parametrize("threads", [False, True])
def test_uwsgi_without_the_plugin(spool, tmp_path, threads):
    """Without enable-threads no thread starts and one warning names the ways out; with it the thread delivers."""
    with Server() as server:
        with serving(tmp_path, spool, server.dsn, *["--enable-threads"] * threads) as (ask, log):
            assert str(threads).encode() == wait_for(ask)
            ask()
            if threads:
                wait_for(lambda: len(server.events) == 2)
            else:
                assert 2 == len(waiting(spool))
        told = log.read_text(errors="replace")
        assert (0 if threads else 1) == told.count("without enable-threads and without the plugin")
        assert threads or ("plugin = sentry" in told and "enable-threads = true" in told)


def test_uwsgi_with_the_plugin(spool, tmp_path):
    """With the plugin no thread starts: its process delivers, and C and Python share one exact ledger."""
    built = run_command("build-plugin", "--uwsgi", find_uwsgi(), "--output", tmp_path)
    assert 0 == built[0], built
    options = ["--enable-threads", "--plugins-dir", str(tmp_path), "--plugin", "sentry", "--sentry-spool", str(spool)]
    with Server() as server:
        with serving(tmp_path, spool, server.dsn, *options) as (ask, log):
            assert b"False" == wait_for(ask), log.read_text(errors="replace")
            ask()
            wait_until_delivered(spool, 2)
            assert 2 == len(server.events)
        assert_exact(spool, captured=2, delivered=2)
        assert 2 == run_command("status", "--spool", spool)[1].count(": 2")


def in_namespace(script_text, *arguments):
    """Run a shell script as root of a mount namespace of its own."""
    ran = subprocess.run(
        [
            "unshare",
            "--mount",
            *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]),
            "sh",
            "-ec",
            script_text,
            "sh",
        ]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if any(text in ran.stderr for text in ("not permitted", "permission denied", "cannot change root filesystem")):
        pytest.skip("this machine gives no mount namespace")
    return ran


FULL = """
import os, sys, logging
logging.basicConfig(stream=sys.stderr)
from heka_raven.spool.ledger import read_snapshot
from heka_raven.streams import SpoolStream
path, kind = sys.argv[1] + "/spool", sys.argv[2]
stream = SpoolStream(path=path, sender="off")
def capture():
    stream.ledger.add("captured")
    return stream.write_event("0" * 32, "http://a@b/1", b"x" * 20000)
first = capture()
if kind == "full":
    results = [capture() for _ in range(60)]
else:
    # A read-only mount over it: a remount would find the open ledger busy.
    os.system("mount --bind {0} {0} && mount -o remount,bind,ro {0}".format(sys.argv[1]))
    results = [capture() for _ in range(5)]
    os.system("umount " + sys.argv[1])
for name in os.listdir(path + "/new"):
    stream.spool.remove(name, "delivered", 1)
print(first, True in results, False in results, capture(), os.listdir(path + "/tmp"))
s = read_snapshot(path)
print(s.missing, s["discarded.cache_overflow"] == results.count(False), s["write_failed"] == results.count(False))
"""


@pytest.mark.parametrize("kind", ["full", "readonly"])
def test_a_disk_that_takes_no_more(tmp_path, kind):
    """Disk full, or read-only: nothing raised, no half file left, counted, one line of log; then it works again."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    text = 'mount -t tmpfs -o size=600k tmpfs "$1"; exec "$2" -c "$3" "$1" "$4"'
    ran = in_namespace(text, mounted, sys.executable, FULL, kind)
    lines = ran.stdout.splitlines()
    assert [f"True {kind == 'full'} True True []", "0 True True"] == lines, ran.stderr
    assert 1 == ran.stderr.count("could not be written")


DRAIN = """
import sys
from support.delivery import fill
fill(sys.argv[1] + "/spool", sys.argv[2], 20)
with open(sys.argv[1] + "/ballast", "wb", buffering=0) as file:
    try:
        while True: file.write(b"x" * 512)
    except OSError: pass
"""


def test_a_full_disk_is_drained(tmp_path):
    """A sender that starts on a full disk can write nothing, not even its pid: it delivers all the same."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    text = (
        'mount -t tmpfs -o size=256k tmpfs "$1"; PYTHONPATH="$5" "$2" -c "$3" "$1" "$4"; '
        'exec "$2" -m heka_raven.cli.main send --once --spool "$1/spool"'
    )
    with Server() as server:
        ran = in_namespace(text, mounted, sys.executable, DRAIN, server.dsn, Path(__file__).parents[2])
        assert (0, f"20 delivered, 0 left in {mounted}/spool\n") == (ran.returncode, ran.stdout), ran.stderr
        assert 20 == len(set(server.event_ids))


ROOMLESS = """
import os, sys
from faults.c_half import Started
from heka_raven.sender.housekeeping import House
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool
from heka_raven.streams import SpoolStream
mounted, place, maker, writer = sys.argv[1:]
path = mounted + "/spool"

def drive(name, *arguments):
    os.mkdir(f"{place}/{name}")
    process = Started(f"{place}/{name}", path, *arguments)
    process.wait_ready()
    process.go()
    process.wait(60)

def keep_house():
    spool = Spool(path)
    spool.open()
    House(spool).keep(0.0)
    spool.ledger.close()

def capture():
    stream = SpoolStream(path=path, sender="off")
    for number in range(2):
        stream.ledger.add("captured")
        stream.write_event(f"{number:032x}", "http://a@127.0.0.1:9/1", b"x" * 20000)

def spares():
    return sum(name.startswith("spare-") for name in os.listdir(path + "/state/ledger"))

def make():
    drive(f"maker{spares()}", "send", "1") if maker == "c" else keep_house()

Spool(path).open()
make()
print(spares())
os.truncate(path + "/state/ledger/spare-0", 0)  # who made it was killed before it had room
with open(mounted + "/ballast", "wb", buffering=0) as file:
    try:
        while True: file.write(b"x" * 512)
    except OSError: pass
for number in range(5):
    if writer == "c":
        drive(number, "write", "http://a@127.0.0.1:9/1", "2")
    elif os.fork() == 0:
        capture()
        os._exit(0)
    else:
        os.wait()
print(spares())
os.unlink(mounted + "/ballast")
make()
s = read_snapshot(path)
print(s["captured"], s["discarded.cache_overflow"], s["write_failed"], s.missing, spares())
"""


@pytest.mark.parametrize("maker", ["c", "python"])
@pytest.mark.parametrize("writer", ["c", "python"])
def test_a_process_that_begins_and_ends_on_a_full_disk_is_counted(tmp_path, maker, writer):
    """What was lost is in the ledger: either half keeps room for the counts of 32 such processes, for both."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    driver()  # built where there is room
    text = 'mount -t tmpfs -o size=600k tmpfs "$1"; PYTHONPATH="$4" exec "$2" -c "$3" "$1" "$5" "$6" "$7"'
    path = f"{TESTS}{os.pathsep}{ROOT}"
    ran = in_namespace(text, mounted, sys.executable, ROOMLESS, path, tmp_path, maker, writer)
    assert ["32", "26", "10 10 10 0 32"] == ran.stdout.splitlines(), ran.stdout + ran.stderr
