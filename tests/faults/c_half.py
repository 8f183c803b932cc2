"""The C half under faults: the plugin's own rooms in a small driver (driver.c); under real uWSGI: uwsgi_half.py."""

import functools
import mmap
import os
import subprocess

from faults.python_half import EVENTS, PythonFold, PythonSender, fill
from faults.scenario import Scenario
from faults.spools import judge, send_clean
from faults.watched import NOTES, Notes, Process
from heka_raven.spool.spool import Spool
from support.paths import DATA, ROOT

SEND_S = 5  # how long the sender tries; with no fault it takes a tenth
FIRST_S = 1  # where the server is to be asked once more: the clean sender does that


@functools.cache
def driver():
    """The program, built where `./run test` builds the C tests."""
    path = ROOT / "build" / "c" / "plain" / "faults_driver"
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "uwsgi_plugin"), str(path)], check=True, capture_output=True, timeout=600
    )
    return str(path)


class Started(Process):
    """The driver, which waits for its signal."""

    def __init__(self, place, *arguments):
        path = os.path.join(place, "notes")
        with open(path, "wb") as file:
            file.truncate(NOTES)
        with open(path, "r+b") as file:
            memory = mmap.mmap(file.fileno(), NOTES)
        self._child = subprocess.Popen(
            [driver(), path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        super().__init__(self._child.pid, Notes(memory))

    def wait(self, limit_s):
        status = super().wait(limit_s)
        self._child.returncode = self.status  # reaped
        return status


class InC(Scenario):
    """What needs the driver."""

    @classmethod
    def prepare(cls):
        driver()


class CWriter(InC):
    """A process that makes its spool and captures three events, as an alarm does."""

    name = "c-writer"

    def begin(self, number):
        self.token = f"{os.getpid()}cw{number}"
        place = self.fresh(number)
        self.path = os.path.join(place, "spool")
        return Started(place, self.path, "write", self.server.dsn("ok", self.token), str(EVENTS))

    def after(self, process, fault):
        send_clean(self.path)
        _, taken = self.server.seen(self.token)
        kills = int(fault is not None and fault.kills)
        ids = process.notes.ids()
        may_arrive = taken if kills and len(set(taken) - set(ids)) <= 1 else ()
        return judge(
            self.path,
            ids,
            process.notes.ids(taken=False),
            taken,
            kills=kills,
            may_arrive=may_arrive,
            unwritten=EVENTS if fault is not None and fault.on else 0,
        )


class CSender(InC, PythonSender):
    """uWSGI's sender with three events, against a server that answers in one way at first."""

    limit_s = SEND_S + 15
    leave_out = frozenset()

    def begin(self, number):
        self.token = f"{os.getpid()}cs{number}"
        place = self.fresh(number)
        self.path = os.path.join(place, "spool")
        hk = {**self.hk, "ca": str(DATA / "tls" / "ca.pem")} if self.tls else self.hk
        self.ids = fill(self.path, self.server.dsn(self.mode, self.token, self.tls), EVENTS, hk)
        return Started(
            place, self.path, "send", str(FIRST_S if self.lasts or self.mode not in ("ok", "400") else SEND_S)
        )

    def after(self, process, fault):
        left = []
        disturbed = fault is not None and (fault.kills or fault.on or fault.network)
        # libc takes it for the end of the folder, and the housekeeping of the next minute looks again.
        disturbed = disturbed or (fault is not None and str(fault).startswith("getdents64") and "ENOENT" in fault.what)
        if self.mode in ("ok", "400") and not self.tls and not disturbed:
            spool = Spool(self.path)
            left = [f"lies in new/ after {SEND_S} s: {name}" for name in spool.names()]
            spool.ledger.close()
        return left + super().after(process, fault)


class CFold(InC, PythonFold):
    """The ledgers of dead processes are folded by the plugin's code."""

    name = "c-ledger-fold"

    def work(self):
        return Started(os.path.dirname(self.path), self.path, "fold")


def _sender(name, mode, tls=False):
    return type(name, (CSender,), {"name": name, "mode": mode, "tls": tls})


SCENARIOS = [
    CWriter,
    _sender("c-sender-200", "ok"),
    _sender("c-sender-429", "429"),
    _sender("c-sender-503", "503"),
    _sender("c-sender-400", "400"),
    _sender("c-sender-cut", "cut"),
    _sender("c-sender-tls", "ok", tls=True),
    CFold,
]
