"""The spool as hypothesis plays with it: writers and senders of both halves, killed, forked, out of room, in any order.

Real processes on a real directory: the Python half, and the C half through its driver (tests/faults/driver.c).
"""

import os
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from faults import watched
from faults.c_half import Started
from faults.python_half import new_id
from faults.receiver import Receiver
from faults.spools import event_bytes, judge, send_clean
from heka_raven.cli.main import main as command
from heka_raven.sender.lock import SenderLock
from heka_raven.spool import ledger
from heka_raven.streams import SpoolStream

LIMIT_S = 60
ROUNDS = 20
SEND_S = 2
ROOM = 300  # bytes of a file on a disk that is full: no event, no ledger
HALVES = st.sampled_from(["python", "c"])
ANSWERS = st.sampled_from(["ok", "ok", "429", "503", "cut", "closed"])
# Milliseconds until a SIGKILL: a writer's whole life has about three, a sender's ten.
DELAYS = st.sampled_from([None, None, None, 0, 0.3, 1, 2, 4, 8])


class SpoolMachine(RuleBasedStateMachine):
    """What was taken in is in one place in the end, whatever was done to whom."""

    receiver = None

    @initialize()
    def begin(self):
        self.place = tempfile.mkdtemp(prefix="hk-machine-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.path = os.path.join(self.place, "spool")
        self.token = Path(self.place).name.replace("_", "x")
        self.taken, self.refused, self.may_arrive, self.senders = [], [], [], []
        self.started = self.kills = self.unwritten = 0
        self.repeats = False

    def _c(self, *arguments):
        self.started += 1
        place = os.path.join(self.place, f"driver{self.started}")
        os.mkdir(place)
        return Started(place, self.path, *arguments)

    def _go(self, process):
        process.wait_ready()
        process.go()

    def _end(self, process, delay_ms):
        """Let it end, or kill it; whether it was killed."""
        if delay_ms is not None:
            time.sleep(delay_ms / 1000)
            process.signal(signal.SIGKILL)
        assert process.wait(LIMIT_S) is not None, "it hangs"
        assert not process.notes.trouble, process.notes.trouble
        killed = not process.notes.done
        assert not killed or delay_ms is not None, "it died"
        self.kills += killed
        return killed

    def _note(self, notes):
        self.taken += notes.ids()
        self.refused += notes.ids(taken=False)

    @rule(half=HALVES, count=st.integers(1, 3), answer=ANSWERS, delay_ms=DELAYS)
    def write(self, half, count, answer, delay_ms):
        dsn = self.receiver.dsn(answer, self.token)
        if half == "c":
            process = self._c("write", dsn, str(count))
        else:
            ids = [new_id() for _ in range(count)]
            self.may_arrive += ids
            process = watched.fork(lambda tell: capture(self.path, dsn, ids, tell))
        self._go(process)
        self._end(process, delay_ms)
        self._note(process.notes)

    @rule(answer=ANSWERS)
    def write_and_fork(self, answer):
        """A process that has counted forks, and both go on."""
        dsn, ids = self.receiver.dsn(answer, self.token), [new_id() for _ in range(3)]

        def act(tell):
            stream = SpoolStream(path=self.path, sender="off")
            write(stream, dsn, ids[0], tell)
            pid = os.fork()
            if pid == 0:
                try:
                    write(stream, dsn, ids[1], lambda *_: None)
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            tell(ids[1])
            write(stream, dsn, ids[2], tell)
            stream.ledger.close()

        self._note(watched.run_here(act))

    @rule(answer=ANSWERS, hours=st.sampled_from([-48, -1, 1]))
    def write_with_another_clock(self, answer, hours):
        """A clock that jumped by some hours; by more than a day forwards the event would be too old, in truth."""
        dsn, ids = self.receiver.dsn(answer, self.token), [new_id()]

        def act(tell):
            told = time.time_ns
            time.time_ns = lambda: told() + hours * 3600 * 10**9
            capture(self.path, dsn, ids, tell)

        notes = watched.run_here(act)
        if hours > -24:
            self._note(notes)
        else:
            self.may_arrive += ids  # a sender drops it as too old

    @rule(count=st.integers(1, 2))
    def write_without_room(self, count):
        """A disk that takes no whole file."""
        dsn, ids = self.receiver.dsn("ok", self.token), [new_id() for _ in range(count)]

        def act(tell):
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
            capture(self.path, dsn, ids, tell)

        notes = watched.run_here(act)
        assert [] == notes.ids()
        self._note(notes)
        self.unwritten += count

    @rule(half=HALVES)
    def start_sender(self, half):
        if half == "c":
            process = self._c("send", str(SEND_S))
        else:
            process = watched.fork(lambda tell: command(["send", "--once", "--spool", self.path]))
        self._go(process)
        self.senders.append(process)

    @rule(delay_ms=DELAYS)
    def end_sender(self, delay_ms):
        if self.senders:
            self.repeats |= self._end(self.senders.pop(0), delay_ms)

    @rule(half=HALVES, delay_ms=DELAYS)
    def fold(self, half, delay_ms):
        """As the lock's holder does it; where another has it, nobody folds."""
        if half == "c":
            if self.senders:
                return  # the driver asks for no lock
            process = self._c("fold")
        else:

            def act(tell):
                if SenderLock(self.path).acquire():
                    ledger.fold(self.path)

            process = watched.fork(act)
        self._go(process)
        self._end(process, delay_ms)

    def teardown(self):
        if not hasattr(self, "senders"):
            return
        for process in self.senders:
            self.repeats |= self._end(process, None)
        for _ in range(ROUNDS):  # each may bring one event to a server that says 429 to all at first
            send_clean(self.path)
            if not os.path.isdir(self.path) or not os.listdir(os.path.join(self.path, "new")):
                break
        _, arrived = self.receiver.seen(self.token)
        wrong = judge(
            self.path, self.taken, self.refused, arrived, kills=self.kills, repeats=self.repeats,
            may_arrive=self.may_arrive, unwritten=self.unwritten * 2 + self.kills,
        )  # fmt: skip
        shutil.rmtree(self.place)
        assert [] == wrong


def capture(path, dsn, ids, tell):
    stream = SpoolStream(path=path, sender="off")
    for event_id in ids:
        write(stream, dsn, event_id, tell)
    stream.ledger.close()


def write(stream, dsn, event_id, tell):
    stream.ledger.add("captured")
    tell(event_id, stream.write_event(event_id, dsn, event_bytes(event_id)))


@pytest.mark.parametrize(
    "examples", [5, pytest.param(150, marks=[pytest.mark.full, pytest.mark.timeout(1800)])], ids=["some", "many"]
)
def test_whatever_is_done_to_whom(examples):
    """No event is lost, none is twice without a reason, no half file is read as whole, and the ledger adds up."""
    receiver = Receiver()
    try:
        machine = type("Machine", (SpoolMachine,), {"receiver": receiver})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
    finally:
        receiver.stop()
