"""What one scenario is, and how a fault is tried on it."""

import os
import shutil
from dataclasses import dataclass, field

from faults import watched
from faults.calls import list_faults, read_trace

LIMIT_S = 30


@dataclass
class Result:
    """What the harness has to say of one fault."""

    fault: str
    hit: bool
    wrong: list = field(default_factory=list)


class Scenario:
    """A piece of work that a process does, and what must hold afterwards; one for each worker of the harness."""

    name = ""
    kill = True  # also SIGKILL
    leave_out = frozenset()  # calls that are the harness's own, or that a million others make
    limit_s = LIMIT_S
    theirs = None  # in a traceback: a library that ends the process by an error of its own; somebody starts it again
    may_wait = False  # for what stays away, as a broker does where there are no descriptors

    def __init__(self, server):
        self.server = server
        self.place = ""
        self.hits = 0
        self.fault = None

    def open(self, place):
        """Once for each worker: begin what lasts."""
        self.place = place

    def close(self):
        """End it."""

    def begin(self, number):
        """Prepare a try and return the process that waits for its signal to go."""
        raise NotImplementedError

    def after(self, process, fault):
        """What is wrong now, as texts."""
        raise NotImplementedError

    def fresh(self, number):
        """A new directory for one try."""
        path = os.path.join(self.place, f"case{number}")
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path, 0o700)
        return path

    @classmethod
    def prepare(cls):
        """Once for all workers, before they are forked."""

    @classmethod
    def end(cls):
        """When the scenario is over."""

    def drive(self, process):
        """What others do while it works."""

    # --- what the harness calls

    def learn(self):
        """Run once, watched: the calls of this work, and the faults to try."""
        process = self.begin(0)
        process.wait_ready()
        strace = watched.learn(process.pid, os.path.join(self.place, "trace"))
        process.go()
        self.drive(process)
        if process.wait(self.limit_s) is None:
            raise AssertionError(f"{self.name}: hangs with no fault at all")
        kinds = read_trace(strace.end())
        wrong = self.after(process, None)
        if wrong:
            raise AssertionError(f"{self.name}: wrong with no fault at all: {wrong}")
        kinds = {name: uses for name, uses in kinds.items() if name not in self.leave_out}
        return kinds, list_faults(kinds, kill=self.kill)

    @property
    def lasts(self):
        """Whether the fault of this try stays: what waits for it to go waits for nothing."""
        return self.fault is not None and self.fault.on

    def attempt(self, number, fault):
        self.fault = fault
        process = self.begin(number)
        process.wait_ready()
        strace = watched.inject(process.pid, os.path.join(self.place, "trace"), fault)
        process.go()
        self.drive(process)
        ended = process.wait(self.limit_s)
        trace = strace.end()
        self.hits = trace.count("INJECTED")  # each thread that came so far met it
        hit = os.WIFSIGNALED(process.status) if fault.kills else self.hits > 0
        result = Result(str(fault), hit)
        if ended is None and not (self.may_wait and fault.on):
            result.wrong.append("it hangs")
        elif process.notes.trouble and not (self.theirs and self.theirs in process.notes.trouble):
            result.wrong.append(f"it raised: {process.notes.trouble[-600:]}")
        elif ended is not None and os.WIFSIGNALED(ended) and not fault.kills:
            result.wrong.append(f"it died of signal {os.WTERMSIG(ended)}")
        result.wrong += self.after(process, fault)
        return result
