"""What the tests of the watch share: an app with a request for each way to die, and how events are read."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.receiver import Receiver
from support.uwsgi import DEBIAN, Server, find_uwsgi
from support.waiting import WAIT_S, wait_for

full = pytest.mark.full
EVERY_UWSGI = [
    pytest.param(find_uwsgi(), id="pypi"),
    pytest.param(DEBIAN, id="debian", marks=[full, pytest.mark.skipif(not os.path.exists(DEBIAN), reason="no Debian")]),
]
# On a busy machine a worker may have to wait for a processor before it can say anything.
WATCH = "sentry-watch = true\nsentry-watch-patience = 5000\n"
PREFORK = "processes = 4\n"
LAZY = PREFORK + "lazy-apps = true\n"
THREADS = "processes = 2\nthreads = 2\nenable-threads = true\n"
GEVENT = "processes = 1\ngevent = 8\n"
MODES = [
    pytest.param(PREFORK, id="prefork"),
    pytest.param(LAZY, id="lazy-apps", marks=full),
    pytest.param(THREADS, id="threads", marks=full),
    pytest.param(GEVENT, id="gevent", marks=full),
]
APP = """
import ctypes, mmap, os, subprocess, sys, threading, time
sys.path.insert(0, {root!r})
from heka_raven import uwsgi_bridge
import uwsgi

uwsgi_bridge.show_stacks()
if b"gevent" in uwsgi.opt or "gevent" in uwsgi.opt:
    from gevent import sleep as pause
else:
    from time import sleep as pause

kept = []

def stuck_in_python(seconds):
    time.sleep(seconds)

def stuck_in_c(seconds):
    # PyDLL keeps the GIL: no other Python code of this process runs meanwhile.
    ctypes.PyDLL(None).sleep(seconds)

def hold(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until and not os.access("let-go", os.F_OK):
        pause(0.05)

def stuck_until_let_go():
    while not os.access("let-go", os.F_OK):
        time.sleep(0.05)

def crash():
    ctypes.string_at(0)

def give_up():
    os.abort()

def leave(status):
    os._exit(status)

def overflow():
    # The C library goes down its stack for each parenthesis, and no Python stands in between to count.
    ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(4096), b"(" * 1000000, 1)

def note_pid(name):
    with open("held", "a") as f:
        f.write(name + "\\n")
    own = "%s.%d.%d" % (name, os.getpid(), time.monotonic_ns())
    with open(own, "w") as f:
        f.write(str(os.getpid()))
    os.rename(own, name)

def in_a_thread(die):
    # Its stack lies below that of another, which begins with a page that nobody may read.
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    thread = threading.Thread(target=die)
    thread.start()
    thread.join()

def children():
    for die in (crash, lambda: leave(7), give_up):
        pid = os.fork()
        if pid == 0:
            die()
        os.waitpid(pid, 0)
    return "both are dead"

def application(env, start):
    what, query = env["PATH_INFO"].strip("/"), env.get("QUERY_STRING", "")
    answer = str(os.getpid())
    if what in ("sleep", "c"):
        note_pid(what + ".pid")
        (stuck_in_python if what == "sleep" else stuck_in_c)(30)
    if what == "slow":
        stuck_until_let_go()
        answer = "slept well"
    if what in ("hold", "victim"):
        note_pid(what + ".pid")
        hold(float(query))
    if what in ("segfault", "abort"):
        pause(float(query) if query.isdigit() else 0)
        crash() if what == "segfault" else give_up()
    if what == "exit":
        status, _, seconds = query.partition("&")[0].partition(",")
        pause(float(seconds))
        leave(int(status))
    if what == "grow":
        kept.append(b"x" * (int(query) << 20))
    if what == "map":  # address space, and no memory
        kept.append(mmap.mmap(-1, int(query) << 20))
    if what == "overflow":
        overflow()
    if what == "thread":
        tell = lambda: uwsgi_bridge.tell_reported("0123456789abcdef" * 2, "KeyError", "x", env)
        in_a_thread({"segfault": crash, "exit": lambda: leave(7), "tell": tell}[query])
    if what == "descriptors":
        listing = ["ls", "-l", "/proc/self/fd"]
        answer = subprocess.run(listing, close_fds=False, stdout=subprocess.PIPE).stdout.decode()
    if what == "exec":
        os.execv("/bin/sleep", ["sleep", "30"])
    if what == "children":
        answer = children()
    start("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""


def in_background(server: Server, *paths: str) -> None:
    for path in paths:
        threading.Thread(target=server.crash, args=(path,), daemon=True).start()


def hold_three(server: Server, seconds: float) -> None:
    """Three requests beside the bad one; back once they run."""
    held = server.tmp_path / "held"
    before = held.read_text().count("hold") if held.exists() else 0
    in_background(server, *[f"/hold?{seconds}"] * 3)
    wait_for(lambda: held.exists() and held.read_text().count("hold") >= before + 3, "three requests to run")


def get_until_told(receiver: Receiver, server: Server, path: str) -> tuple[int, str]:
    """Ask for what takes until the test lets go, after its slowness was told and a look or two more; the answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(server.get(path)), daemon=True)
    thread.start()
    wait_for(
        lambda: "GET " + path in [e["transaction"] for e in receiver.events],
        lambda: f"{path} to be told as slow\n{server.text()}",
    )
    time.sleep(1.5)  # a look or two, in which it is not told again
    (server.tmp_path / "let-go").touch()
    thread.join(WAIT_S)
    return answers[0]


def kinds(receiver: Receiver) -> list[str]:
    return [event["tags"]["uwsgi.event"] for event in receiver.events]


def one_event(receiver: Receiver, server: Server, kind: str) -> dict:
    """The one event of this kind; no other event beside it."""
    found = wait_for(
        lambda: [e for e in receiver.events if e.get("tags", {}).get("uwsgi.event") == kind],
        lambda: f"{kind}, got {receiver.texts()}\n{server.text()}",
    )
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    assert len(receiver.events) == 1, receiver.texts()
    return found[0]


def frames(event: dict, *, native: bool) -> list[dict]:
    """Outermost first: of machine code, or of Python."""
    every = event["exception"]["values"][0].get("stacktrace", {"frames": []})["frames"]
    return [frame for frame in every if (frame.get("platform") == "native") is native]


def functions(event: dict) -> list[str]:
    """Those of Python, outermost first."""
    return [frame["function"] for frame in frames(event, native=False)]


def native(event: dict) -> list[tuple[str, str]]:
    """Function and library of each native frame, outermost first."""
    return [(f.get("function", ""), os.path.basename(f.get("package", ""))) for f in frames(event, native=True)]


def suspect(event: dict) -> dict:
    return event["contexts"]["uwsgi"]["suspect"]


def bystanders(event: dict) -> list[str]:
    return [request["url"] for request in event["contexts"]["uwsgi"].get("bystanders", [])]


def written(path: Path) -> str:
    """What a file holds; empty where it is not there yet."""
    return path.read_text() if path.exists() else ""


@contextlib.contextmanager
def cgroup_with_limit(limit: int) -> Iterator[Path]:
    """A cgroup of its own whose processes may take *limit* bytes together; skips where this machine allows none."""
    folder = _made_cgroup(limit)
    if folder is None:
        pytest.skip("this machine lets us make no memory cgroup")
    try:
        yield folder
    finally:
        for pid in written(folder / "cgroup.procs").split():  # a test that failed left its server
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        wait_for(lambda: not written(folder / "cgroup.procs").strip(), "an empty cgroup")
        folder.rmdir()


def _made_cgroup(limit: int) -> Path | None:
    for parent, setting, swap in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max", "memory.swap.max"),
    ):
        folder = Path(parent) / f"hk-watch-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / setting).write_text(str(limit))
            if (folder / swap).exists():
                (folder / swap).write_text(str(limit) if "memsw" in swap else "0")
            return folder
        except OSError:
            folder.rmdir()
    return None


@contextlib.contextmanager
def filled(address: str | tuple[str, int], count: int) -> Iterator[None]:
    """So many connections that nobody accepts."""
    with contextlib.ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(
                socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
            )
            client.setblocking(False)
            client.connect_ex(address)
        yield
