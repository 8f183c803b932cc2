"""The ledger: exact over processes, forks, folds and kills."""

import contextlib
import ctypes
import os
import resource
import signal
import struct
import threading
import time

import pytest

from heka_raven.sender.lock import SenderLock
from heka_raven.spool import ledger
from heka_raven.spool.directory import make_spool
from heka_raven.spool.ledger import MAGIC, OFFSETS, SIZE, Ledger, fold, read_snapshot
from support.delivery import run_app
from support.waiting import wait_for


@pytest.fixture
def spool(tmp_path):
    path = str(tmp_path / "spool")
    make_spool(path)
    return path


def files(spool):
    return sorted(name for name in os.listdir(f"{spool}/state/ledger") if name not in ("total", ".total"))


def plant(spool, name="999999999-1-deadbeef", **counts):
    """A ledger file of a process that is dead."""
    values = bytearray(SIZE)
    values[:8] = MAGIC
    for key, n in counts.items():
        struct.pack_into("<Q", values, OFFSETS[key], n)
    with open(f"{spool}/state/ledger/{name}", "wb") as file:
        file.write(values)


def in_child(function):
    """Run in a forked child; its exit status must be 0."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_counts(spool):
    """What is added is read back, by any process, at once."""
    mine = Ledger(spool)
    mine.add("captured", 3)
    mine.add_many((("spooled.count", 3), ("spooled.bytes", 300), ("discarded.throttled", 2)))
    snapshot = read_snapshot(spool)
    assert (3, 3, 300) == (snapshot["captured"], snapshot.pending, snapshot.pending_bytes)
    assert 2 == snapshot.discarded["throttled"]
    assert -2 == snapshot.missing
    mine.close()


def test_threads_lose_no_count(spool):
    """Counts of several threads add up."""
    mine = Ledger(spool)
    threads = [threading.Thread(target=lambda: [mine.add("captured") for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4000 == read_snapshot(spool)["captured"]
    mine.close()


def test_a_forked_child_counts_in_a_file_of_its_own(spool):
    """Parent and child count on after a fork; nothing is lost, nothing counted twice."""
    mine = Ledger(spool)
    mine.add("captured", 10)

    def child():
        mine.add("captured", 5)

    in_child(child)
    mine.add("captured")
    assert 16 == read_snapshot(spool)["captured"]
    assert 2 == len(files(spool))
    assert 1 == fold(spool)
    assert 16 == read_snapshot(spool)["captured"]
    mine.close()


def test_a_daemonised_process_keeps_its_own_files(spool, tmp_path):
    """Who daemonises closes every descriptor: a file that got the ledger's number is neither closed nor written to."""
    mine = Ledger(spool)
    mine.add("captured")
    path = tmp_path / "of the app"

    def daemonised():
        os.closerange(3, mine._fd + 1)
        files = [open(path, "wb", buffering=0) for _ in range(mine._fd - 2)]
        assert mine._fd == files[-1].fileno()
        mine.add("captured")
        assert 1 == files[-1].write(b"x")

    in_child(daemonised)
    assert b"x" == path.read_bytes()
    assert 2 == read_snapshot(spool)["captured"]
    mine.close()


def test_a_fork_while_another_thread_counts(spool):
    """A child forked while the parent's lock is held can count: it has a lock of its own."""
    mine = Ledger(spool)
    mine.add("captured")
    with mine._lock:
        signal.alarm(20)
        in_child(lambda: threading.Thread(target=mine.add, args=("captured",)).run())
        signal.alarm(0)
    assert 2 == read_snapshot(spool)["captured"]
    mine.close()


def test_a_signal_handler_may_count(spool):
    """A handler that reports while its own thread counts does not hang."""
    mine = Ledger(spool)
    old = signal.signal(signal.SIGUSR1, lambda *_: mine.add("captured"))
    try:
        with mine._lock:
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert 1 == read_snapshot(spool)["captured"]
    mine.close()


def test_two_ledgers_of_one_process(spool):
    """Two clients with one spool in one process do not overwrite each other."""
    one, two = Ledger(spool), Ledger(spool)
    for _ in range(10):
        one.add("captured")
        two.add("captured")
    assert 20 == read_snapshot(spool)["captured"]
    one.close()
    two.close()


def test_counts_survive_sigkill(spool):
    """A killed process's counts are there, and are folded into the total once."""
    code, ids = run_app(
        spool, "http://a@b/1", "capture(SpoolStream(path=path, sender='off'), 7)\nos.kill(os.getpid(), 9)"
    )
    assert (-9, 7) == (code, len(ids))
    assert 7 == read_snapshot(spool)["captured"]
    assert (1, 0) == (fold(spool), fold(spool))
    assert (7, 7, 0) == (read_snapshot(spool)["captured"], read_snapshot(spool).pending, read_snapshot(spool).missing)
    assert [] == files(spool)


def test_the_plugins_files_are_folded_too(spool):
    """A file without a tag, as the C plugin writes it, counts like any other."""
    plant(spool, "999999999-1", captured=4)
    assert 4 == read_snapshot(spool)["captured"]
    assert 1 == fold(spool)
    assert 4 == read_snapshot(spool)["captured"]


@pytest.mark.parametrize("step", ["rename", "unlink"])
def test_a_fold_that_dies_counts_once(spool, step, monkeypatch):
    """Killed before or after total is replaced: every reader sees each count once, and so does the next fold."""
    plant(spool, captured=5)
    plant(spool, "999999999-2-00000000", captured=7)

    def die(*_):
        os._exit(0)

    def child():
        monkeypatch.setattr(ledger.os, "rename" if step == "rename" else "unlink", die)
        fold(spool)

    in_child(child)
    assert 2 == len(files(spool))
    assert 12 == read_snapshot(spool)["captured"]
    fold(spool)
    assert 12 == read_snapshot(spool)["captured"]
    assert [] == files(spool)
    plant(spool, captured=1)  # the same name again (the pid came round): it was taken off the list
    fold(spool)
    fold(spool)
    assert 13 == read_snapshot(spool)["captured"]


def test_a_reader_beside_a_fold_sees_every_count(spool, monkeypatch):
    """While files are folded, read after read gives the same sum."""
    # The real fold comes once a minute. Here a reader may meet one in each of its tries.
    monkeypatch.setattr(ledger, "SNAPSHOT_TRIES", 10_000)
    for i in range(60):
        plant(spool, f"999999999-{i}-aa", captured=1)
    wrong = []
    done = threading.Event()

    def read():
        while not done.is_set():
            if (n := read_snapshot(spool)["captured"]) != 60:
                wrong.append(n)

    thread = threading.Thread(target=read)
    thread.start()
    alive = iter(range(60))
    real = ledger.is_alive
    try:
        # A few at a time, so that the reader meets many folds.
        while files(spool):
            limit = next(alive) + 5
            ledger.is_alive = lambda pid, start, limit=limit: int(start) > limit
            fold(spool)
            time.sleep(0.02)
    finally:
        ledger.is_alive = real
        done.set()
        thread.join()
    assert [] == wrong


def test_living_processes_are_not_folded(spool):
    """The file of a process that lives stays, also one of another user's."""
    mine = Ledger(spool)
    mine.add("captured")
    plant(spool, f"1-{ledger.start_time(1)}", captured=1)
    assert 0 == fold(spool)
    assert 2 == len(files(spool))
    mine.close()


def test_a_recycled_pid_is_a_dead_process(spool):
    """The same pid with another start time is another process."""
    plant(spool, f"{os.getpid()}-1-00", captured=2)
    assert 1 == fold(spool)
    assert 2 == read_snapshot(spool)["captured"]


def test_what_is_no_ledger_is_taken_away(spool):
    """A file cut short by a kill within its creation counts nothing, harms nothing and goes; foreign files stay."""
    for name, data in (("999999999-1-aa", b""), ("999999999-2-bb", b"x" * SIZE), ("notes.txt", b"mine")):
        with open(f"{spool}/state/ledger/{name}", "wb") as file:
            file.write(data)
    plant(spool, captured=3)
    assert 3 == read_snapshot(spool)["captured"]
    fold(spool)
    assert 3 == read_snapshot(spool)["captured"]
    assert ["notes.txt"] == files(spool)


def test_a_ledger_whose_directory_is_gone_counts_on(spool):
    """No directory: no error, and the counts are written once there is one again."""
    os.rmdir(f"{spool}/state/ledger")
    mine = Ledger(spool)
    mine.add("captured")
    os.mkdir(f"{spool}/state/ledger", 0o700)
    mine.add("captured")
    assert 2 == read_snapshot(spool)["captured"]
    mine.close()


def test_a_full_disk_loses_no_count(spool, monkeypatch):
    """A count that cannot be written is written with the next."""
    mine = Ledger(spool)
    mine.add("captured")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger.os, "pwrite", full)
    mine.add("captured")
    mine.add("delivered")
    monkeypatch.undo()
    assert 1 == read_snapshot(spool)["captured"]
    mine.add("captured")
    assert (3, 1) == (read_snapshot(spool)["captured"], read_snapshot(spool)["delivered"])
    mine.close()


def test_the_last_counts_are_written_at_the_end(spool):
    """There is no next count: what could not be written (here: no file may grow) is written when the ledger closes."""

    def count_and_close():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        mine = Ledger(spool)
        mine.add("captured")
        assert 0 == read_snapshot(spool)["captured"]
        assert [] == os.listdir(f"{spool}/state/ledger")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        mine.close()

    in_child(count_and_close)
    assert 1 == read_snapshot(spool)["captured"]


def test_many_processes_at_once(spool):
    """Processes that count at once, while their files are folded, add up exactly."""
    pids = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            mine = Ledger(spool)
            for _ in range(200):
                mine.add("captured")
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        fold(spool)
        os.waitpid(pid, 0)
    wait_for(lambda: fold(spool) == 0)
    assert 1200 == read_snapshot(spool)["captured"]


@pytest.mark.parametrize("unreadable", ["total", "999999998-1-cafe"])
def test_a_file_that_cannot_be_read_is_not_an_empty_one(spool, unreadable):
    """A fold that may not read a file, or has no descriptor left for it, leaves it as it is: nothing is forgotten."""
    plant(spool, captured=5)
    assert 1 == fold(spool)
    plant(spool, "999999998-1-cafe", captured=2)
    path = f"{spool}/state/ledger/{unreadable}"

    def fold_as_somebody():
        os.chmod(path, 0)
        os.chdir(spool)
        if os.geteuid() == 0:
            for folder, _, names in os.walk(spool):
                for name in (folder, *(f"{folder}/{name}" for name in names)):
                    os.chown(name, 4711, 4711)
            os.setuid(4711)
        with contextlib.suppress(OSError):
            fold(".")
        os.chmod(f"state/ledger/{unreadable}", 0o600)

    in_child(fold_as_somebody)
    assert 7 == read_snapshot(spool)["captured"]


def test_a_descriptor_that_is_somebody_elses_by_now(spool):
    """A child closes all it inherited, and opens a file under our number: neither ledger nor lock closes that one."""
    ledger, lock = Ledger(spool), SenderLock(spool)
    ledger.add("captured")
    assert lock.acquire()
    numbers = ledger._fd, lock._fd
    # A fork of which Python knows nothing, as uWSGI's: else the child would have closed the lock's at once.
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        code = 1
        try:
            for number in numbers:
                os.close(number)
                os.dup2(0, number)
            ledger.__del__()
            lock.release()
            for number in numbers:
                os.fstat(number)
            code = 0
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    ledger.close()
    lock.release()
