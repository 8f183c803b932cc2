"""What other processes wait for, by /proc: real children in real calls."""

import contextlib
import fcntl
import os
import platform
import select
import signal
import socket
import threading
import time

import pytest

from heka_raven.gunicorn.threads import cpu_percent, look_at, read_doing
from support.waiting import wait_for

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no table of system calls")


@contextlib.contextmanager
def child(wait_here):
    """A process that does nothing but *wait_here*."""
    pid = os.fork()
    if not pid:
        try:
            wait_here()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def says(pid, words):
    """Whether the child comes to wait for that."""

    def said():
        doing = read_doing(pid, pid)
        return doing is not None and doing.waiting_on == words and doing

    doing = wait_for(said, lambda: f"{words!r}, not {read_doing(pid, pid)}")
    assert (f"waiting on {words}", "") == (doing.in_words(), doing.missing)


def test_sleep_pipe_and_poll():
    """A sleep, a pipe by read, poll and select, and several at once."""
    read, write = os.pipe()
    poll = select.poll()
    poll.register(read)
    poll.modify(read, select.POLLIN)
    for wait_here, words in (
        (lambda: time.sleep(60), "a sleep"),
        (lambda: os.read(read, 1), "read from a pipe"),
        (lambda: poll.poll(60_000), "poll on a pipe"),
        (lambda: select.select([read], [], [], 60), "select on a pipe"),
        (lambda: os.waitpid(-1, 0) if os.fork() else time.sleep(2), "the end of a child process"),
    ):
        with child(wait_here) as pid:
            says(pid, words)
    os.close(read)
    os.close(write)


def test_sockets():
    """A connection by the address of its other end, TCP's and a unix socket's; with a timeout Python polls it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        port = server.getsockname()[1]
        with child(lambda: client.recv(1)) as pid:
            says(pid, f"recv from 127.0.0.1:{port}, tcp")
        client.settimeout(60)
        with child(lambda: client.recv(1)) as pid:
            says(pid, f"poll on 127.0.0.1:{port}, tcp")
        server.accept()[0].close()
        with child(server.accept) as pid:
            says(pid, f"accept on 127.0.0.1:{port}, tcp")


def test_ipv6():
    """Likewise over IPv6."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        with socket.create_connection(server.getsockname()[:2]) as client, child(lambda: client.recv(1)) as pid:
            says(pid, f"recv from [0:0:0:0:0:0:0:1]:{server.getsockname()[1]}, tcp")


def test_unix_sockets(tmp_path):
    """A unix socket by the name that was connected to."""
    path = str(tmp_path / "pg")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        connection = server.accept()[0]
        with child(lambda: client.recv(1)) as pid:
            says(pid, f"recv from unix:{path}")
        connection.close()


def test_locks(tmp_path):
    """A lock names its file, whatever that is called, and who holds it."""
    path = tmp_path / "cache\n.lock"
    shown = str(path).replace("\n", "?")
    with path.open("w+") as ours, path.open("w+") as other:
        fcntl.flock(ours, fcntl.LOCK_EX)
        with child(lambda: fcntl.flock(other, fcntl.LOCK_EX)) as pid:
            says(pid, f"flock on {shown}, held by pid {os.getpid()}")
        fcntl.lockf(ours, fcntl.LOCK_EX)
        with child(lambda: fcntl.lockf(other, fcntl.LOCK_EX)) as pid:
            says(pid, f"fcntl on {shown}, held by pid {os.getpid()}")


def test_a_fifo_that_nobody_opens(tmp_path):
    """A call that takes a path names it."""
    os.mkfifo(tmp_path / "fifo")
    with child(lambda: os.open(tmp_path / "fifo", os.O_RDONLY)) as pid:
        says(pid, f"open of {tmp_path}/fifo")


def test_threads():
    """A thread of its own is asked by its number; a lock between threads is a futex."""

    def wait_here():
        lock = threading.Lock()
        lock.acquire()
        thread = threading.Thread(target=lambda: time.sleep(60))
        thread.start()
        lock.acquire()

    with child(wait_here) as pid:
        says(pid, "futex, probably a lock: see threads")
        [other] = [int(tid) for tid in os.listdir(f"/proc/{pid}/task") if int(tid) != pid]
        wait_for(lambda: read_doing(pid, other).waiting_on == "a sleep")
    assert read_doing(pid, pid) is None


def test_a_busy_one():
    """A thread that runs waits for nothing, and its share of the processor is told."""

    def wait_here():
        while True:
            pass

    with child(wait_here) as pid:
        before, began = look_at(pid, pid), time.monotonic()
        after = wait_for(lambda: (found := read_doing(pid, pid)).state == "running" and found)
        assert ("", "", "running") == (after.waiting_on, after.missing, after.in_words())
        share = wait_for(lambda: cpu_percent(before.ticks, look_at(pid, pid).ticks, time.monotonic() - began))
        assert 0 < share <= 100
    assert [None, None, 100, 0] == [
        cpu_percent(0, 5, 0.01), cpu_percent(9, 5, 1), cpu_percent(0, 500, 1), cpu_percent(5, 5, 1),
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_who_may_not_look_says_so():
    """Another user's process: its state, and why there is no more."""
    with child(lambda: time.sleep(60)) as pid:
        says(pid, "a sleep")
        read, write = os.pipe()
        asker = os.fork()
        if not asker:
            os.setgid(65534)
            os.setuid(65534)
            doing = read_doing(pid, pid)
            os.write(write, f"{doing.state}|{doing.waiting_on}|{doing.missing}".encode())
            os._exit(0)
        os.waitpid(asker, 0)
        assert f"waiting||user 65534 may not read /proc/{pid}/syscall" == os.read(read, 500).decode()
        os.close(read)
        os.close(write)
