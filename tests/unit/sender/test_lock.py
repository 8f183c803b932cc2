"""The sender's lock: one holder, freed by whatever ends it, and never kept by a child."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from heka_raven.sender.lock import SenderLock, holder_pid
from heka_raven.spool.directory import make_spool
from support.delivery import app, end
from support.waiting import wait_for

TAKE = "from heka_raven.sender.lock import SenderLock\nlock = SenderLock(path)\nassert lock.acquire()\n"


@pytest.fixture
def spool(tmp_path):
    path = str(tmp_path / "spool")
    make_spool(path)
    return path


def test_one_holder(spool):
    """Who comes second does not get it, is told who has it, and gets it when it is given back."""
    first, second = SenderLock(spool), SenderLock(spool)
    assert holder_pid(spool) is None
    assert first.acquire() and first.acquire() and first.held()
    assert not second.acquire()
    assert os.getpid() == holder_pid(spool)
    first.release()
    assert (False, None) == (first.held(), holder_pid(spool))
    assert second.acquire()
    second.release()


def test_a_look_takes_nothing(spool):
    """`status` asks who holds it without ever being in the way for longer than a moment."""
    for _ in range(100):
        assert holder_pid(spool) is None
    lock = SenderLock(spool)
    assert lock.acquire()
    lock.release()


@pytest.mark.parametrize(
    ("child", "what"),
    [
        ("pid = os.fork()\nif pid == 0:\n    time.sleep(60)\n", "forked"),
        ("import subprocess\npid = subprocess.Popen(['sleep', '60'], close_fds=False).pid\n", "started"),
        ("import multiprocessing as m\np = m.get_context('fork').Process(target=time.sleep, args=(60,))\n"
         "p.start()\npid = p.pid\n", "multiprocessing's"),
    ],
)  # fmt: skip
def test_an_idle_child_does_not_keep_it(spool, child, what):
    """The holder is killed while a child lives that never reports: the lock is free."""
    process = app(spool, "http://a@h/1", TAKE + child + "os.write(1, b'%d\\n' % pid)\nsignal.pause()\n")
    pid = int(process.stdout.readline())
    try:
        lock = SenderLock(spool)
        assert not lock.acquire()
        end_hard(process)
        os.kill(pid, 0)  # the child is there
        wait_for(lock.acquire)
        lock.release()
    finally:
        os.kill(pid, signal.SIGKILL)
        process.stdout.close()


def test_a_look_at_the_wrong_moment(spool, monkeypatch):
    """`status` holds the lock while it looks: who wants it once tries a few times before saying that it is taken."""
    lock = SenderLock(spool)
    with open(lock.path, "w") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        assert not lock.acquire()
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(look, fcntl.LOCK_UN))  # by the first pause it is over
        assert lock.acquire_soon()
    lock.release()


def end_hard(process):
    """Kill and reap, without waiting for the pipe that the child holds too."""
    process.kill()
    process.wait(timeout=60)


def test_forks_while_another_thread_takes_and_gives_back(spool, monkeypatch):
    """However the moments fall, no child keeps the lock of its parent."""
    lock = SenderLock(spool)
    stop = threading.Event()
    close = os.close

    def close_late(fd):
        if threading.current_thread() is thread:
            time.sleep(0.002)
        close(fd)

    monkeypatch.setattr(os, "close", close_late)

    def take_and_give():
        while not stop.is_set():
            lock.acquire()
            lock.release()

    thread = threading.Thread(target=take_and_give)
    thread.start()
    children = []
    try:
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            children.append(pid)
        stop.set()
        thread.join()
        wait_for(lock.acquire)  # a child that was just born has its first steps to do
        lock.release()
    finally:
        stop.set()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_lock_file_that_was_deleted_protects_nothing(spool):
    """Its holder notices, and another gets the new one."""
    first, second = SenderLock(spool), SenderLock(spool)
    assert first.acquire()
    os.unlink(first.path)
    assert not first.held()
    assert second.acquire()
    assert not first.acquire()
    second.release()
    assert first.acquire()
    first.release()


def test_no_directory(tmp_path):
    """Without a spool there is nothing to take, and nothing raised."""
    assert not SenderLock(str(tmp_path / "nowhere")).acquire()
    assert holder_pid(str(tmp_path / "nowhere")) is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_its_holder_dies(spool, number):
    """The kernel frees it."""
    process = app(spool, "http://a@h/1", TAKE + "os.write(1, b'x\\n')\nsignal.pause()\n")
    process.stdout.readline()
    lock = SenderLock(spool)
    assert not lock.acquire() and process.pid == holder_pid(spool)
    end(process, number)
    assert lock.acquire()
    lock.release()


def test_two_processes_never_hold_it_at_once(spool):
    """Four processes take it in turns, a hundred times each: no two at a time."""
    code = (
        "import os, sys\nsys.path.insert(0, sys.argv[2])\n"
        "from heka_raven.sender.lock import SenderLock\n"
        "lock, path, n = SenderLock(sys.argv[1]), sys.argv[1] + '/taken', 0\n"
        "while n < 100:\n"
        "    if lock.acquire():\n"
        "        os.close(os.open(path, os.O_CREAT | os.O_EXCL))\n"  # raises where another is inside
        "        os.unlink(path)\n"
        "        lock.release()\n"
        "        n += 1\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, spool, os.getcwd()]) for _ in range(4)]
    assert [0] * 4 == [process.wait(timeout=60) for process in processes]
