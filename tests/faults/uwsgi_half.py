"""The plugin under faults, inside a real uWSGI: an alarm, a route, a death that the watch reports.

uWSGI makes system calls of its own beside ours, and is not on trial: only calls that name the spool are made to fail.
"""

import os
import signal
import time
from pathlib import Path

from faults import watched
from faults.calls import list_faults, read_trace
from faults.scenario import Result, Scenario
from faults.spools import half_files
from heka_raven.spool.ledger import read_snapshot
from support.uwsgi import Server, find_uwsgi, shared_plugin

SETTLE_S = 10
FIRST_S = 1  # while the fault lasts, counts may not be written
INI = """
processes = 1
sentry-no-sender = true
sentry-watch = true
alarm-freq = 0
alarm = direct sentry:level=error
route = ^/routed sentry:message=routed
"""


class Uwsgi(Scenario):
    """One server for many tries; a new one where its master was killed."""

    trigger_path = "/"

    def open(self, place):
        super().open(place)
        self.started = 0
        self.uwsgi = None

    def close(self):
        if self.uwsgi is not None:
            self.uwsgi.stop()

    def process_pid(self):
        """The thread that is watched."""
        raise NotImplementedError

    def ensure(self):
        """A server that answers, and has captured once: what it opens then is open."""
        if self.uwsgi is not None and self.uwsgi.process.poll() is None:
            return
        self.close()
        self.started += 1
        place = Path(self.fresh(f"server{self.started}"))
        self.uwsgi = Server(find_uwsgi(), shared_plugin(find_uwsgi()), place, INI, dsn="http://key@127.0.0.1:9/1")
        self.uwsgi.wait_ready()
        self.path = str(self.uwsgi.spool)
        self.trigger(self.state())

    def state(self):
        snapshot = read_snapshot(self.path)
        lost = sum(snapshot.discarded.values())
        return {"captured": snapshot["captured"], "ended": snapshot["spooled.count"] + lost, "lost": lost}

    def trigger(self, before, limit_s=SETTLE_S):
        """Once, and wait until its event has its end; False when that did not come."""
        self.uwsgi.crash(self.trigger_path)
        until = time.monotonic() + limit_s
        while time.monotonic() < until and self.uwsgi.process.poll() is None:
            now = self.state()
            if now["captured"] > before["captured"] and now["ended"] - before["ended"] >= 1:
                return True
            time.sleep(0.01)
        return False

    def _watch(self, *options):
        return watched.Strace(self.process_pid(), os.path.join(self.place, "trace"), *options, follow=False)

    def learn(self):
        self.ensure()
        strace = self._watch("-yy", "-s", "0")
        assert self.trigger(self.state()), f"{self.name}: no event with no fault at all\n{self.uwsgi.text()[-2000:]}"
        kinds = read_trace(strace.end(), ours=self.path)
        faults = [fault for fault in list_faults(kinds) if fault.number]
        return {name: [use for use in uses if use is not None] for name, uses in kinds.items()}, faults

    def attempt(self, number, fault):
        self.ensure()
        before, files = self.state(), set(os.listdir(os.path.join(self.path, "new")))
        in_master = os.path.isdir(f"/proc/{self.uwsgi.process.pid}/task/{self.process_pid()}")
        strace = self._watch("-e", f"trace={fault.call}", "-e", fault.expression(), "-s", "0")
        self.trigger(before, FIRST_S)
        trace = strace.end(1)
        # Of a thread that is killed strace may not hear the end, but of the call that it was killed in.
        hit = trace.rstrip().endswith("= ?") or "killed by" in trace if fault.kills else "INJECTED" in trace
        result = Result(str(fault), hit)
        if fault.kills and hit and in_master:
            self.uwsgi.process.wait(SETTLE_S)  # a moment passes until it has ended
        if self.uwsgi.process.poll() is None:
            if not self._answers():
                result.wrong.append("uWSGI answers no more")
            if not self.trigger(self.state()):  # this one counts what could not be written before, too
                result.wrong.append(f"an event has no end: {before} became {self.state()}")
        elif not fault.kills:
            result.wrong.append(f"uWSGI ended: {self.uwsgi.text()[-500:]}")
        result.wrong += self._judge(before, files, fault)
        return result

    def _answers(self):
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            try:
                if self.uwsgi.get("/")[0] == 200:
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def _judge(self, before, files, fault):
        wrong, kills = [], int(fault.kills)
        now = set(os.listdir(os.path.join(self.path, "new")))
        after = self.state()
        wrong += half_files(self.path, only=now - files)
        captured, ended = after["captured"] - before["captured"], after["ended"] - before["ended"]
        if not ended <= captured <= ended + kills:
            wrong.append(f"{captured} captured, {ended} have an end")
        came = len(now - files) + after["lost"] - before["lost"]
        if not captured - kills <= came <= captured + kills:
            wrong.append(f"{captured} captured, {came} are in new/ or counted as lost")
        return wrong


class Route(Uwsgi):
    """An internal route reports, in the worker."""

    name = "uwsgi-route"
    trigger_path = "/routed"

    def process_pid(self):
        return next(pid for pid in sorted(self.uwsgi.pids()) if pid != self.uwsgi.process.pid)


class Alarm(Uwsgi):
    """An alarm is raised in a worker and reported by the master's thread of alarms."""

    name = "uwsgi-alarm"
    trigger_path = "/alarms?1"

    def process_pid(self):
        master = self.uwsgi.process.pid
        return next(tid for tid in sorted(map(int, os.listdir(f"/proc/{master}/task"))) if tid != master)


class Watch(Uwsgi):
    """A worker is killed, and the master reports which request was running."""

    name = "uwsgi-watch"
    trigger_path = "/sleep?30"

    def process_pid(self):
        return self.uwsgi.process.pid

    def trigger(self, before, limit_s=SETTLE_S):
        worker = Route.process_pid(self)
        os.kill(worker, signal.SIGKILL)
        self.trigger_path = "/pid"
        return super().trigger(before, limit_s)


SCENARIOS = [Route, Alarm, Watch]
