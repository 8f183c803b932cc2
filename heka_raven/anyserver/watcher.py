"""Looks at a process and its children, five times a second: the requests that they tell, and their ends."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from heka_raven.anyserver.ending import CRASHES, death_of, last_words, status_of
from heka_raven.events.server import Sentence
from heka_raven.eyes.answers import read_answer
from heka_raven.eyes.own import ANSWER_SIGNAL, STACK_SIGNAL
from heka_raven.eyes.rules import Rules, from_the_job_on
from heka_raven.eyes.slots import ANSWERS, IN_ORDER, REGISTERED, ROW_SIZE, InFlight, Slots
from heka_raven.eyes.slots import SLOW as IS_SLOW
from heka_raven.gunicorn.asking import Question
from heka_raven.gunicorn.c_stack import read_c_stack
from heka_raven.gunicorn.event import EventMaker, request_of
from heka_raven.gunicorn.kernel import catches, parent_of
from heka_raven.gunicorn.kinds import SLOW, Frame, read_stacks
from heka_raven.gunicorn.threads import cpu_percent, look_at, read_doing
from heka_raven.gunicorn.values import HIDDEN, MEANWHILE, TOLD, outside, read_frames
from heka_raven.spool import watched as files

TICK_S = 0.2
ANSWER_WAIT_S = 0.5  # for a main thread that runs Python; nothing here waits for us
MAX_STACK = 256 * 1024
STATUS_WAIT_S = 0.5  # after an end, for the parent to ask: from then on Linux 6.15 tells others
CHILDREN_S = 2.0  # that outlive the process watched: how long they are waited for
NOT_RUNNING = "none: Python did not run in the main thread, or no handler is allowed (see --values)"
MAX_NAME = 40
MAX_ANCESTORS = 64


@dataclass(slots=True)
class Process:
    """One that tells."""

    pid: int
    path: str
    inode: int
    pidfd: int  # -1: it is gone
    slots: Slots
    stacks: int
    values: int
    server: str
    last: list[InFlight] = field(default_factory=list)
    died_s: float = 0.0
    ticks: dict[InFlight, tuple[int, float]] = field(default_factory=dict)  # of CPU, and when that was read

    def flag(self, number: int) -> bool:
        return any(row.flags[number] for row in self.slots.rows())

    @property
    def lives(self) -> bool:
        return self.pidfd >= 0

    def close(self) -> None:
        if self.lives:
            os.close(self.pidfd)
        os.close(self.stacks)
        os.close(self.values)
        self.slots.memory.close()


class Watcher:
    """Watches one process and what came from it."""

    def __init__(
        self, pid: int, spool_path: str, slow_s: float, maker: EventMaker, rules: Rules, looks_outside: bool = False
    ) -> None:
        self._pid = pid
        self._spool_path = spool_path
        self._slow_s = slow_s
        self._maker = maker
        self._rules = rules  # of the watch's own client
        self._looks_outside = looks_outside
        self._number = 0
        self._processes: dict[str, Process] = {}
        self.another_tells = False  # another watch, of a process that this one found
        files.sweep(spool_path)

    def tells(self) -> bool:
        """Whether there is a process that tells."""
        return bool(self._processes)

    def run(self, pidfd: int) -> None:
        """Until the process ends, and its children, which may take a moment more."""
        while not select.select([pidfd], [], [], TICK_S)[0]:
            self.look()
        until = time.monotonic() + CHILDREN_S
        self.look()
        while self._processes and time.monotonic() < until:
            time.sleep(TICK_S)
            self.look()

    def look(self) -> None:
        """One tick."""
        self._find()
        for path, process in list(self._processes.items()):
            ended = bool(select.select([process.pidfd], [], [], 0)[0])
            process.last = process.slots.in_flight(0)  # after that: what ended leaves its slots as they were
            if ended:
                process.died_s = process.died_s or time.monotonic()
                status = status_of(process.pid, process.pidfd)
                if status is not None or time.monotonic() - process.died_s >= STATUS_WAIT_S:
                    del self._processes[path]
                    self._bury(process, status)
            else:
                self._look_at(process)

    # -- who is there ------------------------------------------------------------------------------------------------

    def _find(self) -> None:
        for pid, start, path in files.told(self._spool_path):
            known = self._processes.get(path)
            try:
                if known is not None and os.lstat(path).st_ino == known.inode:
                    continue
                lives = files.start_of(pid) == start
                if lives and known is None and not self._is_of_ours(pid):
                    continue
                found = _open(pid, start, path)
                if known is not None:  # it is another program now
                    known.close()
                if found is not None and found.lives:
                    self._processes[path] = found
                elif found is not None:
                    self._bury_at_once(found)
            except BlockingIOError:
                self.another_tells = True
            except OSError:
                continue  # it is going, or coming

    def _bury_at_once(self, process: Process) -> None:
        """One that came, told, and died between two looks."""
        if any(self._is_of_ours(row.worker) for row in process.slots.rows()):
            process.last = process.slots.in_flight(0)
            self._bury(process, status_of(process.pid, -1))
        else:
            process.close()

    def _is_of_ours(self, pid: int) -> bool:
        for _ in range(MAX_ANCESTORS):
            if pid == self._pid:
                return True
            pid = parent_of(pid)
            if pid <= 1:
                break
        return False

    # -- who lives ---------------------------------------------------------------------------------------------------

    def _look_at(self, process: Process) -> None:
        now_s = time.monotonic()
        for request in process.last:
            if request not in process.ticks and (doing := look_at(process.pid, request.tid)) is not None:
                process.ticks[request] = doing.ticks, now_s
        process.ticks = {request: process.ticks[request] for request in process.last if request in process.ticks}
        for request in list(process.last):
            age_s = now_s - request.began_ns / 1e9
            if self._slow_s and age_s >= self._slow_s and process.slots.is_news(0, request, IS_SLOW):
                self._tell_slow(process, request)

    def _tell_slow(self, process: Process, request: InFlight) -> None:
        if process.flag(REGISTERED) and not catches(process.pid, STACK_SIGNAL):
            process.slots.begin_row(0, 0, 0)  # it has become another program, which has none of these requests
            process.last = []
            return
        doing = read_doing(process.pid, request.tid)  # before the signal, which ends the call in which it waits
        said, facts = Sentence(process.server, SLOW), {}
        if doing is not None:
            said.doing, facts = doing.in_words(), dict[str, Any](doing.facts())
            ticks, since_s = process.ticks.get(request, (0, 0.0))
            share = cpu_percent(ticks, doing.ticks, time.monotonic() - since_s) if since_s else None
            if share is not None:
                facts["cpu_percent"] = share
        data = self._ask(process, request)
        frames = read_stacks(self._read(process))[0].get(0, [])
        shown, answer, facts["values"] = self._take_values(process, request, data)
        if request not in process.slots.in_flight(0):  # its thread may have had the next one
            said.doing, shown, frames, answer, facts = "", [], [], b"", {"values": MEANWHILE}
        self._tell(process, said, request, shown or frames, facts=facts, answer=answer)

    def _ask(self, process: Process, request: InFlight) -> bytes | None:
        """Its own answer; where there is none faulthandler has written the stack, if it may look there."""
        if not process.flag(REGISTERED):
            return None
        self._number += 1
        asked = process.flag(ANSWERS) and catches(process.pid, ANSWER_SIGNAL)
        question = Question(process.pid, request.tid, asked)
        data = None
        with contextlib.suppress(OSError):  # it is gone
            os.ftruncate(process.stacks, 0)
            os.ftruncate(process.values, 0)
            process.slots.ask(0, self._number, request.thread)
            if asked:
                signal.pidfd_send_signal(process.pidfd, ANSWER_SIGNAL)
            data, may_dump = question.wait(
                lambda: read_answer(process.values, self._number), lambda: process.slots.has_begun(0), ANSWER_WAIT_S
            )
            if may_dump:
                question.dump(process.pidfd, STACK_SIGNAL, process.stacks)
        return data

    def _take_values(self, process: Process, request: InFlight, data: bytes | None) -> tuple[list[Frame], bytes, str]:
        """The frames with their values, what is known of the request, and where the values are from, or why not."""
        known, _, told = (data or b"").partition(b"\n")
        frames, hidden = read_frames(told)
        if frames:
            return frames, known, HIDDEN if hidden else TOLD
        if not self._looks_outside:
            return [], known, NOT_RUNNING if data is None else HIDDEN
        frames, why = outside(process.pid, request.thread, self._rules.line() + b"\n" + process.slots.rules(0))
        return frames, known, why

    def _read(self, process: Process) -> str:
        return os.pread(process.stacks, MAX_STACK, 0).decode("utf-8", "replace")

    # -- who died ----------------------------------------------------------------------------------------------------

    def _bury(self, process: Process, status: int | None) -> None:
        words, named = last_words(self._read(process))
        kind, death = death_of(status, named, process.flag(IN_ORDER), bool(process.last))
        files.remove(process.path)
        if kind not in CRASHES and any(request.job() for request in process.last) and files.start_of(self._pid):
            kind = None  # the parent of a pool of jobs tells of the task that was lost; of a crash it has no stack
        if kind is not None:
            stacks, current = read_stacks(words if kind in CRASHES else "")
            its = [request for request in process.last if request.thread == current]
            if current is not None:  # else nobody knows which
                suspect = its[0] if len(its) == 1 else None
            else:
                suspect = process.last[0] if process.last else None
            said = Sentence(process.server, kind, signal=death.signal or 0, status=death.exit_status)
            frames = stacks.get(suspect.thread if suspect is not None else current or 0, [])
            self._tell(process, said, suspect, frames, native=read_c_stack(words) if words else [])
        process.close()

    def _tell(
        self,
        process: Process,
        said: Sentence,
        suspect: InFlight | None,
        frames: list[Frame],
        facts: dict[str, Any] | None = None,
        native: list[Any] | None = None,
        answer: bytes = b"",
    ) -> None:
        now_ns = time.monotonic_ns()
        said.who = f"process {process.pid}"
        others = [process, *(each for each in self._processes.values() if each is not process)]
        self._maker.report(
            said,
            worker={"name": process.server, "pid": process.pid, **(facts or {})},
            suspect=suspect,
            bystanders=[
                {**request_of(request, now_ns), "pid": each.pid}
                for each in others
                for request in each.last
                if request is not suspect
            ],
            frames=from_the_job_on(frames, lambda frame: frame.file),
            native=native or [],
            answer=answer,
            now_ns=now_ns,
        )


def _open(pid: int, start: int, path: str) -> Process | None:
    """A process that tells; None: it has not begun to.

    Raises:
        BlockingIOError: another watch tells of it.
        OSError: it is gone.
    """
    file, stacks, values = files.open_told(path, ROW_SIZE)
    pidfd = -1
    try:
        fcntl.flock(stacks, fcntl.LOCK_EX | fcntl.LOCK_NB)  # one watch, one event; another takes over when it ends
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
        if pidfd >= 0 and files.start_of(pid) != start:
            os.close(pidfd)  # dead, or another process by now
            pidfd = -1
        slots = Slots(mmap.mmap(file, ROW_SIZE))
        if any(slots.rows()):
            name = _name(slots.read_answer(0))
            found = Process(pid, path, os.fstat(file).st_ino, pidfd, slots, stacks, values, name)
            pidfd = stacks = values = -1
            return found
        return None
    finally:
        for descriptor in (file, stacks, values, pidfd):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def _name(software: bytes) -> str:
    """What the server calls itself, without a version."""
    words = software.decode("utf-8", "replace").replace("/", " ").replace(":", " ").split()
    return words[0][:MAX_NAME] if words else "server"
