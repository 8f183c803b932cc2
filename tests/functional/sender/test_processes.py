"""Processes that end, fork and are killed at the worst moment: nothing is lost, everything is accounted for."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from heka_raven.spool.ledger import read_snapshot
from support.delivery import (
    STREAM,
    app,
    assert_exact,
    assert_once,
    command,
    end,
    fill,
    in_words,
    run_app,
    send_once,
    wait_until_delivered,
    waiting,
)
from support.ports import free_port
from support.sentry_server import Reply, Server, script
from support.waiting import WAIT_S, wait_for


def test_normal_exit(spool):
    """A process that ends delivers what it can on the way out; nothing is left for a server that answers."""
    with Server() as server:
        code, ids = run_app(spool, server.dsn, "capture(SpoolStream(path=path, exit_wait_s=20), 20)")
        assert (0, 20) == (code, len(ids))
        assert_once(ids, server)
        assert_exact(spool, captured=20, delivered=20)
        header = server.events[0].envelope[0]
        assert server.dsn.replace(":secret", "") == header["dsn"]
        assert b"secret" not in server.events[0].body


def test_exit_with_a_slow_server(spool):
    """At exit the process waits for what is in flight, for its time; the rest stays spooled for the next."""
    with Server(lambda request: Reply(after_s=0.4)) as server:
        # One connection for the one DSN: all of them would take sixteen seconds.
        code = "capture(SpoolStream(path=path, connections=2, exit_wait_s=4), 40)"
        _, ids = run_app(spool, server.dsn, code)
        left = len(waiting(spool))
        assert 0 < left < 40
        server.behave = script()
        assert 0 == send_once(spool)[0]
        assert set(ids) == set(server.event_ids)
        assert_exact(spool, captured=40, delivered=40)


def test_exit_with_a_hanging_server(spool):
    """A server that never answers holds the exit up for two seconds, no more, and loses nothing."""
    with Server(lambda request: Reply(hang=True)) as server:
        code = "capture(SpoolStream(path=path, timeout_s=60), 3)\nos.write(1, b'%.3f' % time.time())"
        out = app(spool, server.dsn, code).communicate(timeout=80)[0].split()
        assert time.time() - float(out[3]) < 30  # two seconds and a busy machine; the request's timeout is sixty
        assert 3 == len(waiting(spool))
        assert_exact(spool, captured=3, delivered=0)


def test_exit_with_a_dead_server_is_quick(spool):
    """Where nobody listens there is nothing to wait for."""
    dsn = f"http://a@127.0.0.1:{free_port()}/1"
    # A second, in which the sender is refused: nothing tells of that, and without it this is weaker.
    code = "capture(SpoolStream(path=path, exit_wait_s=40), 3)\ntime.sleep(1)\nos.write(1, b'%.3f' % time.time())"
    out = app(spool, dsn, code).communicate(timeout=60)[0].split()
    assert time.time() - float(out[3]) < 20
    assert_exact(spool, captured=3, delivered=0)


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_sudden_end(spool, ending):
    """os._exit, SIGKILL and abort right after the last capture: all twenty are delivered by the next sender."""
    with Server() as server:
        _, ids = run_app(spool, server.dsn, f"capture(SpoolStream(path=path, sender='off'), 20)\n{ending}")
        assert 20 == len(ids)
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        assert_once(ids, server)
        assert_exact(spool, captured=20, delivered=20)


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_sudden_end_beside_the_sender_thread(spool, ending):
    """os._exit and SIGKILL while the thread sends: what was not finished is sent by the next, under the same id."""
    with Server(lambda request: Reply(after_s=0.05)) as server:
        # Some are sent by then, and some are not: any moment will do.
        _, ids = run_app(spool, server.dsn, STREAM + f"capture(stream, 30)\ntime.sleep(0.6)\n{ending}")
        assert 0 == send_once(spool)[0]
        assert set(ids) == set(server.event_ids)
        assert len(server.event_ids) - 30 <= 16  # twice only what was in flight when the process ended
        assert_exact(spool, off_by=1)


def test_burst_against_a_slow_server(spool):
    """300 events at once, 50 ms a reply: all arrive, each once."""
    with Server(lambda request: Reply(after_s=0.05)) as server:
        _, ids = run_app(spool, server.dsn, "capture(SpoolStream(path=path, exit_wait_s=40), 300)")
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        assert_once(ids, server)
        assert_exact(spool, captured=300, delivered=300)
        assert 1 < server.most_at_once <= 16


def test_fork(spool):
    """Parent and child both capture after a fork; when the parent is killed the child's sender takes over."""
    code = STREAM + (
        "capture(stream, 3)\n"
        "time.sleep(0.5)\n"  # the thread runs when the fork comes, or has not begun: both are right
        "if os.fork() == 0:\n"
        "    capture(stream, 3)\n"
        "    while os.getppid() == int(os.environ['PARENT']): time.sleep(0.02)\n"
        "    capture(stream, 3)\n"
        "    time.sleep(30)\n"
        "capture(stream, 3)\n"
        "signal.pause()\n"
    )
    with Server() as server:
        process = app(spool, server.dsn, "os.environ['PARENT'] = str(os.getpid())\n" + code)
        try:
            wait_until_delivered(spool, 9)  # a kill between arrival and count would leave the ledger one short
            process.kill()
            wait_until_delivered(spool, 12)
            child = int((spool / "state" / "sender.lock").read_text())
            assert child != process.pid
        finally:
            process.kill()
            os.kill(int((spool / "state" / "sender.lock").read_text()), signal.SIGKILL)
            ids = process.communicate(timeout=60)[0].decode().split()
        assert_once(ids, server)
        assert_exact(spool, captured=12, delivered=12)


def test_fork_without_a_word_to_python(spool):
    """A C program (uWSGI) forks past Python's hooks: the child counts and sends by itself all the same."""
    code = (
        "import ctypes\n"
        "stream = SpoolStream(path=path, exit_wait_s=20)\n"
        "capture(stream, 2)\n"
        "while os.listdir(path + '/new'): time.sleep(0.02)\n"
        "time.sleep(0.5)\n"  # until the sender is idle: most of the time it is
        # PyDLL keeps the interpreter's lock over the fork, as uWSGI does: a child of CDLL's could wait for it forever.
        "if ctypes.PyDLL(None).fork() == 0:\n"
        "    capture(stream, 2)\n"
        "    time.sleep(0.2)\n"  # its own sender may have begun, or not
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    with Server() as server:
        _, ids = run_app(spool, server.dsn, code)
        send_once(spool)
        assert 4 == len(ids)
        assert_once(ids, server)
        assert_exact(spool, captured=4, delivered=4)


def test_fork_while_the_thread_starts(spool):
    """Forks at every moment of the sender thread's start: no child hangs, whatever module was being imported."""
    code = (
        "signal.alarm(60)\n"
        "stream = SpoolStream(path=path)\ncapture(stream)\n"
        "children = []\n"
        "for _ in range(12):\n"
        "    time.sleep(0.01)\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        signal.alarm(30)\n"
        "        capture(stream)\n"
        "        import urllib3, http.client\n"
        "        stream.close(0.2)\n"
        "        os._exit(0)\n"
        "    children.append(pid)\n"
        "bad = [pid for pid in children if os.waitpid(pid, 0)[1]]\n"
        "sys.exit(len(bad))\n"
    )
    with Server() as server:
        exit_code, ids = run_app(spool, server.dsn, code)
        assert 0 == exit_code
        send_once(spool)
        assert 13 == len(ids)
        assert set(ids) == set(server.event_ids)
        assert_exact(spool, captured=13, off_by=13)  # each child ended without a word, maybe while it counted


def test_two_senders(spool):
    """Two senders and two processes that capture: one delivers, the other waits; killed, the other takes over."""
    with Server(lambda request: Reply(after_s=0.02)) as server:
        first = command("send", "--spool", spool)
        wait_for(lambda: (spool / "state" / "sender.lock").exists() and (spool / "state" / "sender.lock").read_text())
        second = command("send", "--spool", spool)
        code = "stream = SpoolStream(path=path)\nfor _ in range(30): capture(stream); time.sleep(0.01)"
        apps = [app(spool, server.dsn, code) for _ in range(2)]
        ids = [line for process in apps for line in process.communicate(timeout=60)[0].decode().split()]
        wait_until_delivered(spool, 60)
        assert_once(ids, server)
        result = send_once(spool)
        assert 4 == result[0] and str(first.pid) in result[2], in_words(result)
        end(first, signal.SIGKILL)
        more = fill(spool, server.dsn, 5)
        wait_for(lambda: not waiting(spool))
        assert_once(ids + more, server)
        assert 0 == end(second)
        assert_exact(spool, captured=65, delivered=65)


def pending(pid, number):
    """Whether a signal has been sent to that process and not yet taken."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return (int(lines["SigPnd"], 16) | int(lines["ShdPnd"], 16)) >> (number - 1) & 1


def test_sigterm_finishes_what_is_in_flight(spool):
    """SIGTERM in the middle of a request: its answer is still taken, nothing new is begun, exit code 0."""
    may_answer = threading.Event()
    with Server(lambda request: may_answer.wait(WAIT_S) and Reply()) as server:
        fill(spool, server.dsn, 5)
        sender = command("send", "--spool", spool, "--connections", "1", "--timeout", "60")
        wait_for(lambda: server.requests)
        sender.send_signal(signal.SIGTERM)
        wait_for(lambda: not pending(sender.pid, signal.SIGTERM))  # it has the signal before it has the answer
        may_answer.set()
        assert 0 == end(sender)
        assert 1 == len(server.events)
        assert_exact(spool, captured=5, delivered=1)


def test_power_durability(spool):
    """durability = power: all of it as before, fsynced."""
    with Server() as server:
        code, ids = run_app(spool, server.dsn, "capture(SpoolStream(path=path, durability='power'), 10)")
        assert (0, 10) == (code, len(ids))
        send_once(spool)
        assert_once(ids, server)
        assert_exact(spool, captured=10, delivered=10)


def test_the_spool_vanishes_under_the_sender(spool):
    """The directory is deleted while a sender runs: it goes on with the one that the next event makes."""
    with Server() as server:
        sender = command("send", "--spool", spool)
        try:
            fill(spool, server.dsn, 1)
            wait_until_delivered(spool, 1)
            os.rename(spool, spool.with_name("away"))
            time.sleep(0.3)  # it looks for a directory that is not there, some times
            fill(spool, server.dsn, 2)
            wait_until_delivered(spool, 2)
        finally:
            assert 0 == end(sender)
        assert_exact(spool, captured=2, delivered=2)


def kill_writers(spool, dsn, rounds, seed):
    """Kill a process that captures, at random moments; the ids whose capture returned."""
    dice = random.Random(seed)
    ids = []
    for i in range(rounds):
        if i % 20 == 19:  # before the spool is full
            send_once(spool)
        process = app(
            spool, dsn, "stream = SpoolStream(path=path, sender='off')\nwhile True: capture(stream, 1, 20000)"
        )
        first = process.stdout.readline()
        time.sleep(dice.random() * 0.01)
        process.kill()
        rest, _ = process.communicate(timeout=60)
        ids += [line for line in (first + rest).decode().split() if len(line) == 32]
    return ids


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
def test_sigkill_in_the_middle_of_a_write(spool, rounds):
    """Killed at random moments of writing: every event whose capture returned is delivered, once."""
    with Server() as server:
        ids = kill_writers(spool, server.dsn, rounds, rounds)
        assert rounds <= len(set(ids))
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        arrived = server.event_ids
        assert len(arrived) == len(set(arrived))
        assert set(ids) <= set(arrived)
        # A kill between two counts leaves the ledger one off, each time at most.
        assert_exact(spool, off_by=rounds)
        assert read_snapshot(str(spool))["delivered"] == len(arrived)


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_sigkill_in_the_middle_of_a_send(spool, rounds):
    """The sender killed at random moments: nothing is lost, and what arrived twice was in flight at a kill."""
    dice = random.Random(rounds)
    with Server(lambda request: Reply(after_s=dice.random() * 0.01)) as server:
        ids = fill(spool, server.dsn, 60 * rounds)
        for _ in range(rounds):
            seen = len(server.requests)
            sender = command("send", "--spool", spool, "--connections", "4")
            until = time.monotonic() + 5
            while len(server.requests) == seen and waiting(spool) and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(dice.random() * 0.05)
            end(sender, signal.SIGKILL)
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        arrived = server.event_ids
        assert set(ids) == set(arrived)
        assert len(arrived) - len(ids) <= 4 * rounds
        assert_exact(spool, off_by=rounds)
