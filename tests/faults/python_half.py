"""The Python half under faults: who writes, who sends, who folds, who brings back what was dead."""

import os
import uuid

from faults import watched
from faults.scenario import Scenario
from faults.spools import event_bytes, judge, send_clean
from heka_raven.cli import send as _send  # imported here, so that no child has to
from heka_raven.cli.main import main as command
from heka_raven.spool import ledger
from heka_raven.spool.spool import Spool
from heka_raven.streams import SpoolStream
from support.paths import DATA

EVENTS = 3
__all__ = ["SCENARIOS", "_send"]


def new_id():
    return uuid.uuid4().hex


def fill(path, dsn, count, hk=None):
    """Capture here, before anything is watched; the ids."""
    stream = SpoolStream(path=path, sender="off")
    ids = [new_id() for _ in range(count)]
    for event_id in ids:
        stream.ledger.add("captured")
        assert stream.write_event(event_id, dsn, event_bytes(event_id), hk=hk)
    stream.ledger.close()
    return ids


class PythonWriter(Scenario):
    """A process that makes its spool and captures three events."""

    name = "python-writer"

    def begin(self, number):
        self.token = f"{os.getpid()}w{number}"
        self.path = os.path.join(self.fresh(number), "spool")
        self.ids = [new_id() for _ in range(EVENTS)]
        path, dsn, ids = self.path, self.server.dsn("ok", self.token), self.ids

        def act(tell):
            stream = SpoolStream(path=path, sender="off")
            for event_id in ids:
                stream.ledger.add("captured")
                tell(event_id, stream.write_event(event_id, dsn, event_bytes(event_id)))
            stream.ledger.close()

        return watched.fork(act)

    def after(self, process, fault):
        send_clean(self.path)
        _, taken = self.server.seen(self.token)
        kills = int(fault is not None and fault.kills)
        refused = process.notes.ids(taken=False)
        wrong = judge(
            self.path,
            process.notes.ids(),
            refused,
            taken,
            kills=kills,
            may_arrive=self.ids,
            unwritten=EVENTS if fault is not None and fault.on else 0,
        )
        if fault is None and refused:
            wrong.append(f"refused with no fault: {refused}")
        return wrong


class PythonSender(Scenario):
    """`heka-raven send --once` with three events, against a server that answers in one way at first."""

    mode = "ok"
    tls = False
    hk = {"timeout_s": 3}  # a request that a fault left half would wait for ten
    # A new thread that gets no memory ends before Thread.start() hears of it, which then waits for ever: CPython's own.
    leave_out = frozenset({"mmap"})

    def begin(self, number):
        self.token = f"{os.getpid()}s{number}"
        self.path = os.path.join(self.fresh(number), "spool")
        hk = {**self.hk, "ca": str(DATA / "tls" / "ca.pem")} if self.tls else self.hk
        self.ids = fill(self.path, self.server.dsn(self.mode, self.token, self.tls), EVENTS, hk)
        path = self.path

        def act(tell):
            command(["send", "--once", "--spool", path])

        return watched.fork(act)

    def after(self, process, fault):
        send_clean(self.path)
        seen, taken = self.server.seen(self.token)
        kills = int(fault is not None and fault.kills)
        # Under TLS a reply is read by the call that reads files, too: a count one off may meet it.
        lost_replies = fault is not None and (fault.kills or fault.network or (self.tls and fault.call == "read"))
        stays_twice = fault is not None and fault.call.startswith("unlink") and (fault.on or self.hits > 1)
        return judge(
            self.path,
            self.ids,
            [],
            seen if self.mode == "400" else taken,
            kills=kills,
            repeats=lost_replies or stays_twice,
            captured=EVENTS,
            unwritten=EVENTS if fault is not None and fault.on else 0,
        )


class PythonFold(Scenario):
    """The ledgers of dead processes are folded into the total."""

    name = "ledger-fold"

    def begin(self, number):
        self.path = os.path.join(self.fresh(number), "spool")
        path = self.path
        for done in range(4):
            watched.run_here(lambda tell: fill(path, "http://public@127.0.0.1:9/1", 1))
            if done == 1:
                ledger.fold(path)
        self.before = ledger.read_snapshot(path).counts

        return self.work()

    def work(self):
        path = self.path

        def act(tell):
            try:
                ledger.fold(path)
            except OSError:
                pass  # as the housekeeping does
            ledger.read_snapshot(path)

        return watched.fork(act)

    def after(self, process, fault):
        wrong = []
        for _ in range(3):  # read; fold by a clean sender; fold again
            after = ledger.read_snapshot(self.path).counts
            if after != self.before:
                wrong.append(f"the counters were {self._brief(self.before)} and are {self._brief(after)}")
            ledger.fold(self.path)
        left = [name for name in os.listdir(os.path.join(self.path, "state", "ledger")) if name != "total"]
        return wrong + ([f"left in state/ledger: {left}"] if left else [])

    @staticmethod
    def _brief(counts):
        return {name: n for name, n in counts.items() if n}


class RetryDead(Scenario):
    """`heka-raven retry-dead` with two events that a server refused."""

    name = "retry-dead"

    def begin(self, number):
        self.token = f"{os.getpid()}d{number}"
        self.path = os.path.join(self.fresh(number), "spool")
        path = self.path
        self.ids = fill(path, self.server.dsn("ok", self.token), 2)

        def bury(tell):
            spool = Spool(path)
            for name in spool.names():
                spool.bury(name, "discarded.send_error", len(spool.read(name)), "status 400")
            spool.ledger.close()

        watched.run_here(bury)

        def act(tell):
            command(["retry-dead", "--spool", path])

        return watched.fork(act)

    def after(self, process, fault):
        wrong = []
        kills = int(fault is not None and fault.kills)
        spool = Spool(self.path)
        waiting, dead = {n.split("-")[-1] for n in spool.names()}, {n.split("-")[-1] for n in spool.dead_names()}
        spool.ledger.close()
        both = waiting & dead
        if both and not (kills or fault.call in ("unlink", "unlinkat")):
            wrong.append(f"in both places: {both}")
        watched.run_here(lambda tell: command(["retry-dead", "--spool", self.path]))
        send_clean(self.path)
        _, taken = self.server.seen(self.token)
        repeats = fault is not None and (fault.kills or fault.call == "unlink")
        return wrong + judge(self.path, self.ids, [], taken, kills=kills, repeats=repeats)


def _sender(name, mode, tls=False):
    return type(name, (PythonSender,), {"name": name, "mode": mode, "tls": tls})


SCENARIOS = [
    PythonWriter,
    _sender("python-sender-200", "ok"),
    _sender("python-sender-429", "429"),
    _sender("python-sender-503", "503"),
    _sender("python-sender-400", "400"),
    _sender("python-sender-cut", "cut"),
    _sender("python-sender-tls", "ok", tls=True),
    PythonFold,
    RetryDead,
]
