"""What a host does to a process: no descriptors, deleted directories, a read-only disk, signals at any moment."""

import os
import resource
import signal
import subprocess
import threading
import time

import pytest

from heka_raven.sender.lock import SenderLock
from heka_raven.sender.loop import Sender
from heka_raven.sender.options import SenderOptions
from heka_raven.spool import spool as spool_module
from heka_raven.spool.spool import Spool
from support.delivery import STREAM, app, assert_exact, assert_once, command, end, fill, run_app, send_once, waiting
from support.sentry_server import Reply, Server
from support.waiting import wait_for


def run_sender(spool, until):
    """Run a sender of this process until *until* is true."""
    sender = Sender(Spool(str(spool)), SenderOptions())
    thread = threading.Thread(target=sender.run)
    thread.start()
    try:
        wait_for(until)
    finally:
        sender.stop()
        thread.join()


def test_no_descriptor_is_free(spool):
    """The sender's process has none for a while, and events of others come: they are sent once there are some again."""
    code = (
        "capture(SpoolStream(path=path))\n"
        "sys.stdin.readline()\n"
        "held = []\n"
        "try:\n"
        "    while True: held.append(os.dup(0))\n"
        "except OSError: os.write(1, b'none\\n')\n"
        "os.read(0, 1)\n"
        "for fd in held: os.close(fd)\n"
        "signal.pause()\n"
    )
    with Server() as server:
        process = app(
            spool,
            server.dsn,
            code,
            stdin=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        )
        try:
            ids = [process.stdout.readline().decode().strip()]
            wait_for(lambda: not waiting(spool))
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert b"none\n" == process.stdout.readline()
            ids += fill(spool, server.dsn, 3)
            time.sleep(0.5)  # several looks
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait_for(lambda: not waiting(spool))
        finally:
            end(process, signal.SIGKILL)
        assert_once(ids, server)


def test_a_file_that_cannot_be_read_now(spool, monkeypatch):
    """It is neither lost nor forgotten: the sender comes back to it, though nothing changes in new/."""
    with Server() as server:
        ids = fill(spool, server.dsn, 2)
        os.utime(spool / "new", (1, 1))  # nothing has changed for long
        read, failed = Spool.read, []

        def fail_once(self, name):
            if name not in failed:
                failed.append(name)
                return None
            return read(self, name)

        monkeypatch.setattr(Spool, "read", fail_once)
        run_sender(spool, lambda: not waiting(spool))
        assert_once(ids, server)


def test_state_is_deleted_alone(spool):
    """Somebody throws state/ away under a process that is the only one: it makes it anew, and sends on."""
    code = STREAM + "capture(stream)\nsys.stdin.readline()\ncapture(stream)\nsignal.pause()\n"
    with Server() as server:
        process = app(spool, server.dsn, code, stdin=subprocess.PIPE)
        try:
            wait_for(lambda: spool.exists() and server.events and not waiting(spool))
            subprocess.run(["rm", "-rf", str(spool / "state")], check=True)
            process.stdin.write(b"\n")
            process.stdin.flush()
            wait_for(lambda: len(server.events) == 2 and not waiting(spool))
        finally:
            end(process, signal.SIGKILL)


def test_everybody_counts_in_the_new_spool(spool):
    """The spool is deleted under three processes: also those that find it made anew already count where it is seen."""
    code = "stream = SpoolStream(path=path, sender='off')\n" + "capture(stream)\nsys.stdin.readline()\n" * 2
    processes = [app(spool, "http://a@h/1", code, stdin=subprocess.PIPE) for _ in range(3)]
    try:
        for process in processes:
            process.stdout.readline()
        subprocess.run(["rm", "-rf", str(spool)], check=True)
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            wait_for(lambda: waiting(spool))
    finally:
        for process in processes:
            end(process, signal.SIGKILL)
    assert_exact(spool, captured=3, delivered=0)


def test_a_full_spool_that_is_deleted_takes_events_at_once(spool):
    """What is written in operations: deleting the whole directory makes room, for every process."""
    full, other = Spool(str(spool), max_count=2), Spool(str(spool), max_count=2)
    for writer in (full, other):
        writer.ledger.add("captured")
        wait_for(lambda writer=writer: not writer.put(os.urandom(16).hex(), b"x"))
    subprocess.run(["rm", "-rf", str(spool)], check=True)
    assert full.put(os.urandom(16).hex(), b"x") and other.put(os.urandom(16).hex(), b"x")


def test_a_report_that_the_server_trickles_an_answer_to(spool):
    """A server that is slow to answer a client report holds no event up."""

    def behave(request):
        return Reply(trickle_s=5) if "client_report" in request.kinds else Reply()

    code = (
        "import heka_raven.sender.client_reports as reports\n"
        "reports.REPORT_EVERY_S = 0.5\n"
        "stream = SpoolStream(path=path, timeout_s=60)\n"
        "capture(stream)\n"
        "sys.stdin.readline()\n"
        "stream.ledger.add_many((('captured', 1), ('discarded.before_send', 1)))\n"
        "sys.stdin.readline()\n"
        "capture(stream, 3)\n"
        "signal.pause()\n"
    )
    with Server(behave) as server:
        process = app(spool, server.dsn, code, stdin=subprocess.PIPE)
        try:
            for wanted in (
                lambda: spool.exists() and server.events and not waiting(spool),
                lambda: len(server.requests) == 2,
                lambda: len(server.events) == 4,
            ):
                wait_for(wanted)
                process.stdin.write(b"\n")
                process.stdin.flush()
        finally:
            end(process, signal.SIGKILL)


def test_a_file_that_changed_no_mtime(spool):
    """A file that came without a change of the folder's time, as after a restore, is found by the next housekeeping."""
    code = (
        "import heka_raven.sender.housekeeping as housekeeping\n"
        "housekeeping.HOUSE_EVERY_S = 2\n"
        "stream = SpoolStream(path=path)\n"
        "capture(stream)\n"
        "signal.pause()\n"
    )
    with Server() as server:
        process = app(spool, server.dsn, code)
        try:
            wait_for(lambda: spool.exists() and server.events and not waiting(spool))
            time.sleep(0.5)  # a folder that changed just now is listed once more
            before = os.stat(spool / "new").st_mtime_ns
            fill(spool, server.dsn, 1)
            os.utime(spool / "new", ns=(before, before))
            wait_for(lambda: len(server.events) == 2 and not waiting(spool))
        finally:
            end(process, signal.SIGKILL)


def test_a_finished_event_that_cannot_be_removed(spool, monkeypatch):
    """The disk is read-only for a while: what was delivered is not sent again, and is removed when that is over."""
    unlink, broken = os.unlink, [True]

    def unlink_or_fail(path, **options):
        if broken[0] and "/new/" in str(path):
            raise OSError(30, "Read-only file system")
        unlink(path, **options)

    with Server() as server:
        ids = fill(spool, server.dsn, 3)
        monkeypatch.setattr(spool_module.os, "unlink", unlink_or_fail)

        def until():
            if len(ids) == 3 and len(server.events) == 3:
                ids.extend(fill(spool, server.dsn, 1))  # new/ changes
            elif broken[0] and len(server.events) > 3:
                time.sleep(1.5)  # several listings
                broken[0] = False
            return not waiting(spool)

        run_sender(spool, until)
        assert_once(ids, server)
        assert_exact(spool, captured=4, delivered=4)


@pytest.mark.parametrize("most", [0, 1])
def test_no_more_threads(spool, monkeypatch, most):
    """The system gives the sender one thread, or no other than its own: that one delivers everything."""
    start = threading.Thread.start
    given = []

    def start_or_fail(thread):
        if thread.name == "heka-raven-send":
            if len(given) == most:
                raise RuntimeError("can't start new thread")
            given.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    with Server(lambda request: Reply(after_s=0.3)) as server:
        ids = fill(spool, server.dsn, 6)
        run_sender(spool, lambda: not waiting(spool))
        assert_once(ids, server)
        assert 1 == server.most_at_once


def test_no_thread_can_be_started_at_exit(spool):
    """Python 3.12 starts none once the main thread is through, which is before a short script's sender has begun."""
    code = (
        "start = threading.Thread.start\n"
        "def start_one(thread):\n"
        "    if thread.name != 'heka-raven-sender':\n"
        '        raise RuntimeError("can\'t create new thread at interpreter shutdown")\n'
        "    start(thread)\n"
        "threading.Thread.start = start_one\n"
        "stream = SpoolStream(path=path, exit_wait_s=20)\n"
        "capture(stream, 5)\n"
        "stream.ledger.add_many((('captured', 1), ('discarded.before_send', 1)))\n"
    )
    with Server() as server:
        process = app(spool, server.dsn, code, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=60)
        assert (0, b"") == (process.returncode, err)
        assert_once(out.decode().split(), server)
        assert_exact(spool, captured=6, delivered=5)


def test_an_event_of_a_later_exit_handler(spool):
    """It waits for the next sender: this process does not begin a send that its end would cut off."""
    code = (
        "import atexit\n"
        "atexit.register(lambda: (capture(stream, 3), time.sleep(0.7)))\n"
        "stream = SpoolStream(path=path, exit_wait_s=20)\n"
        "capture(stream)\n"
    )
    with Server(lambda request: Reply(after_s=1)) as server:
        _, ids = run_app(spool, server.dsn, code)
        assert (4, 3) == (len(ids), len(waiting(spool)))
        assert 0 == send_once(spool)[0]
        assert_once(ids, server)


def test_a_signal_handler_reports_while_the_thread_starts(spool):
    """It does not wait for the code that it met; both events are delivered, by one thread."""
    code = (
        "stream = SpoolStream(path=path, exit_wait_s=20)\n"
        "signal.alarm(40)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: capture(stream))\n"
        "start = threading.Thread.start\n"
        "def start_late(thread):\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    start(thread)\n"
        "threading.Thread.start = start_late\n"
        "capture(stream)\n"
        "threading.Thread.start = start\n"
        "names = [thread.name for thread in threading.enumerate()]\n"
        "assert names.count('heka-raven-sender') == 1, names\n"
    )
    with Server() as server:
        exit_code, ids = run_app(spool, server.dsn, code)
        assert (0, 2) == (exit_code, len(ids))
        assert_once(ids, server)


def test_sigterm_while_it_waits_for_the_lock(spool):
    """A sender that waits for its turn says for whom, and ends at once with code 0."""
    Spool(str(spool))
    lock = SenderLock(str(spool))
    assert lock.acquire()
    sender = command("send", "--spool", spool)
    try:
        assert f"waiting, the sender is pid {os.getpid()}" in sender.stderr.readline()
    finally:
        assert 0 == end(sender)
        lock.release()


def test_a_lock_that_cannot_be_had(spool):
    """Where its file is no file of ours that is said, and not that another sender has it; mended, it goes on."""
    with Server() as server:
        fill(spool, server.dsn, 1)
        (spool / "state" / "sender.lock").mkdir()
        code, _, err = send_once(spool)
        assert (1, True) == (code, "the lock cannot be had" in err and "Is a directory" in err), err
        sender = command("send", "--spool", spool)
        try:
            assert "waiting, the lock cannot be had" in sender.stderr.readline()
            (spool / "state" / "sender.lock").rmdir()
            wait_for(lambda: not waiting(spool))
        finally:
            assert 0 == end(sender)


def test_the_spool_is_gone_while_it_waits(spool):
    """Without a directory a sender says so, not that somebody else is at it."""
    sender = command("send", "--spool", spool)
    try:
        assert "sending" in sender.stderr.readline()
        os.rename(spool, spool.with_name("away"))
        assert "it is gone: the next event makes it anew" in sender.stderr.readline()
    finally:
        assert 0 == end(sender)
