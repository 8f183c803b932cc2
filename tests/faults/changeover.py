"""Two senders of one spool: one ends, and the other, which is watched, takes over; what an older version left."""

import os
import shutil
import signal
import time

from faults import watched
from faults.c_half import InC, Started
from faults.python_half import PythonSender, fill
from faults.scenario import Scenario
from faults.spools import judge, send_clean
from heka_raven.cli.main import main as command
from heka_raven.sender.lock import holder_pid
from support.paths import DATA

KEPT = DATA / "versions" / "1.0.0.dev0" / "spool"
FIRST_S = 10
TAKE_OVER_S = 5
LAST_S = 2  # where the fault stays


class Changeover(PythonSender):
    """`heka-raven send` waits for the lock, gets it, and delivers what came meanwhile."""

    name = "changeover-python"

    def begin(self, number):
        self.token = f"{os.getpid()}o{number}"
        self.directory = self.fresh(number)
        self.path = os.path.join(self.directory, "spool")
        path, self.dsn = self.path, self.server.dsn("ok", self.token)
        self.ids = fill(path, self.dsn, 1)
        self.first = watched.fork(lambda tell: command(["send", "--spool", path]))
        self.first.wait_ready()
        self.first.go()
        until = time.monotonic() + FIRST_S
        while holder_pid(path) != self.first.pid:
            assert time.monotonic() < until, "the first sender has no lock"
            time.sleep(0.01)
        return self.second()

    def second(self):
        path = self.path
        return watched.fork(lambda tell: command(["send", "--spool", path]))

    @property
    def take_over_s(self):
        return LAST_S if self.lasts else TAKE_OVER_S

    def drive(self, process):
        self.ids += fill(self.path, self.dsn, 1)
        self.first.signal(signal.SIGTERM)
        assert self.first.wait(FIRST_S) is not None, "the first sender does not end"
        self.ids += fill(self.path, self.dsn, 1)
        until = time.monotonic() + self.take_over_s
        while os.listdir(os.path.join(self.path, "new")) and not process.ended() and time.monotonic() < until:
            time.sleep(0.01)
        self.over(process)

    def over(self, process):
        process.signal(signal.SIGTERM)


class ToC(InC, Changeover):
    """The same with the plugin's sender as the second one."""

    name = "changeover-c"
    leave_out = frozenset()

    def second(self):
        return Started(self.directory, self.path, "send", str(self.take_over_s))

    def over(self, process):
        """It ends by itself."""


class OldSpool(Scenario):
    """A spool that version 1.0.0.dev0 left is delivered by today's sender."""

    name = "old-spool"
    leave_out = PythonSender.leave_out
    events = 4  # captured; one of them was delivered then

    def begin(self, number):
        self.token = f"{os.getpid()}v{number}"
        self.path = os.path.join(self.fresh(number), "spool")
        shutil.copytree(KEPT, self.path)
        for root, _, files in os.walk(self.path):
            os.chmod(root, 0o700)
            for name in files:
                os.chmod(os.path.join(root, name), 0o600)
        new, self.ids = os.path.join(self.path, "new"), []
        target = f"@127.0.0.1:{self.server.port}/ok/{self.token}/".encode()
        for name in sorted(os.listdir(new)):
            with open(os.path.join(new, name), "r+b") as file:
                data = file.read().replace(b"@127.0.0.1:9/", target)
                file.seek(0)
                file.write(data)
            os.rename(os.path.join(new, name), f"{new}/{time.time_ns():020d}-{name.partition('-')[2]}")
            self.ids.append(name.split("-")[2][:32])
        path = self.path
        return watched.fork(lambda tell: command(["send", "--once", "--spool", path]))

    def after(self, process, fault):
        send_clean(self.path)
        _, taken = self.server.seen(self.token)
        kills = int(fault is not None and fault.kills)
        may_repeat = fault is not None and (fault.kills or fault.network or fault.call == "unlink")
        off = self.events if fault is not None and fault.on else 0
        # The sizes of the ledger are those of the files as they were kept.
        return judge(
            self.path, self.ids, [], taken, kills=kills, repeats=may_repeat, captured=self.events, unwritten=off
        )


SCENARIOS = [Changeover, ToC, OldSpool]
