"""The process that watches: the slots, the workers through pidfds, and what the arbiter tells of deaths.

It asks nobody to wait for it, and it is the sender of the spool.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heka_raven.events.server import Sentence
from heka_raven.eyes.slots import ABORTED, IN_ORDER, OVER_TIME, REGISTERED, TOLD, InFlight, Row, Slots
from heka_raven.eyes.slots import SLOW as IS_SLOW
from heka_raven.gunicorn.asking import Question
from heka_raven.gunicorn.c_stack import NativeFrame, read_c_stack
from heka_raven.gunicorn.event import SERVER, EventMaker, request_of
from heka_raven.gunicorn.kernel import oom_kills, parent_of
from heka_raven.gunicorn.kinds import (
    ABORT,
    BACKLOG,
    EXIT,
    SEGFAULT,
    SLOW,
    TIMEOUT,
    Death,
    Frame,
    OomCount,
    kind_of,
    read_stacks,
)
from heka_raven.gunicorn.last_words import FIRST, LastWords, is_readable
from heka_raven.gunicorn.queues import is_news, read_queues
from heka_raven.gunicorn.threads import Doing, cpu_percent, look_at, read_doing
from heka_raven.gunicorn.top import Shown, Top
from heka_raven.gunicorn.values import GONE, MEANWHILE, NO_THREAD, TWO_AT_ONCE, ValuesReader
from heka_raven.gunicorn.worker import ANSWER_SIGNAL, EXIT_MARK, OWN_FILE, STACK_SIGNAL

TICK_S = 0.2
QUEUES_EVERY_S = 1.0
BEFORE_TIMEOUT_S = 0.5  # a sync worker's stack is read so long before gunicorn may end it
FACTS_WAIT_S = 2.0  # after a death, for the arbiter to tell of it; without that the death is one in order
LAST_WORDS = {SEGFAULT: FIRST.decode(), ABORT: FIRST.decode(), EXIT: EXIT_MARK}  # of a worker on its way out
CRASHES = (SEGFAULT, ABORT)
GOES_ON = "over the timeout, which gunicorn does not end"
MAX_BURIED = 1000
MAX_STACK = 256 * 1024
FACT = struct.Struct("<QqBB")  # pid, status as of waitpid, over its timeout, gunicorn ends


@dataclass(slots=True)
class Settings:
    """What the watcher must know of gunicorn and of the configuration."""

    timeout_s: float
    slow_s: float
    arbiter_ends_it: bool  # whether the arbiter sees that a request takes too long: sync workers
    sockets: dict[int, str] = field(default_factory=dict)  # inodes of the listening sockets, and their names
    backlog_percent: int = 100


@dataclass(slots=True)
class Watched:
    """One worker."""

    row: Row
    pidfd: int
    frames: dict[int, list[Frame]] = field(default_factory=dict)
    shown: list[Frame] = field(default_factory=list)  # of the suspect, with values;
    values: str | None = None  # and where they are from
    current: int = 0  # the thread that crashed, or left
    native: list[NativeFrame] = field(default_factory=list)  # of a crash
    held: tuple[list[Frame], str] | None = None  # what was seen, with values, while it crashed
    answer: bytes = b""
    read_for: InFlight | None = None  # the request at which stack and answer were read,
    doing: Doing | None = None  # and what its thread did then
    cpu_percent: int | None = None
    ticks: dict[InFlight, tuple[int, float]] = field(default_factory=dict)  # of CPU, and when that was read
    last: list[InFlight] = field(default_factory=list)
    beside: list[tuple[Row, InFlight]] | None = None  # of a dead one: the requests of the others when that was seen
    told: bool = False
    died_s: float | None = None
    fact: tuple[int, bool, bool] | None = None


class Watcher:
    """Looks, once a tick, and reports."""

    def __init__(
        self,
        slots: Slots,
        stacks: list[int],
        values: ValuesReader,
        last_words: LastWords,
        facts: int,
        settings: Settings,
        maker: EventMaker,
    ) -> None:
        self._slots = slots
        self._values = values
        self._last_words = last_words
        self._stacks = stacks
        self._facts = facts
        self._settings = settings
        self._maker = maker
        self._workers: dict[tuple[int, int], Watched] = {}
        self._buried: OrderedDict[tuple[int, int], None] = OrderedDict()
        self._arbiter = 0
        self._full: dict[str, bool] = {}
        self._queues_at_s = 0.0
        self._oom = OomCount(oom_kills(), time.monotonic())
        self._top: Top | None = None

    def run(self, arbiter: int, pidfd: int, is_current: Callable[[], bool]) -> None:
        """Until the arbiter ends, or has made another."""
        self._arbiter = arbiter
        if self._maker.spool_path:
            self._top = Top(self._maker.spool_path, self._maker.scrubber, arbiter)
        while not self._wait(pidfd) and is_current():
            self.look()
        if is_current():
            self.look()
        if self._top is not None:
            self._top.close()

    def _wait(self, arbiter: int) -> bool:
        """For a tick, or until a worker dies, crashes, or is told of; whether the arbiter has ended."""
        poll = select.poll()
        living = [each.pidfd for each in self._workers.values() if each.died_s is None]
        for descriptor in (arbiter, self._facts, *self._last_words.reads, *living):
            poll.register(descriptor, select.POLLIN)
        return any(descriptor == arbiter for descriptor, _ in poll.poll(TICK_S * 1000))

    def look(self) -> None:
        """One tick."""
        now_s = time.monotonic()
        self._take_facts()  # before the flags are read, which a worker sets before it ends
        self._find_workers()
        self._look_at_crashes()
        for watched in list(self._workers.values()):
            if watched.died_s is None and is_readable(watched.pidfd, 0):
                watched.died_s = now_s
                watched.beside = watched.beside or self._beside(watched)
            if watched.died_s is None:
                self._look_at(watched)
            elif watched.fact is not None or now_s - watched.died_s > FACTS_WAIT_S:
                self._bury(watched)
        self._oom.sample(oom_kills(), now_s)
        if self._top is not None:
            self._top.look(((each.row, each.last) for each in self._workers.values()), self._stack_of)
        if now_s - self._queues_at_s >= QUEUES_EVERY_S:
            self._queues_at_s = now_s
            self._look_at_queues()

    def _look_at_queues(self) -> None:
        for queue in read_queues(self._settings.sockets):
            full, news = is_news(
                self._full.get(queue.address, False), queue.waiting, queue.limit, self._settings.backlog_percent
            )
            self._full[queue.address] = full
            if not news:
                continue
            busy = [(each.last[0].began_ns, each) for each in self._workers.values() if each.last]
            said = Sentence(
                SERVER, BACKLOG, words=f"{queue.waiting} of {queue.limit} connections wait at {queue.address}"
            )
            figures = {"queue": {"address": queue.address, "waiting": queue.waiting, "limit": queue.limit}}
            if busy:
                oldest = min(busy, key=lambda pair: pair[0])[1]
                self._tell(oldest, said, oldest.last[0], figures=figures)
            else:
                self._tell(None, said, None, figures=figures)

    def _find_workers(self) -> None:
        for row in self._slots.rows():
            key = (row.pid, row.began_ns)
            known = self._workers.get(key)
            if known is not None:
                known.row = row
            elif key not in self._buried:
                try:
                    pidfd = os.pidfd_open(row.pid)
                except OSError:
                    continue  # it is gone; if that was now, the arbiter tells of it
                if parent_of(row.pid) == self._arbiter:
                    self._workers[key] = Watched(row, pidfd)
                else:
                    os.close(pidfd)  # another process has its number by now

    def _take_facts(self) -> None:
        while True:
            try:
                data = os.read(self._facts, FACT.size)
            except BlockingIOError:
                return
            if len(data) < FACT.size:
                return
            pid, status, aborted, stopping = FACT.unpack(data)
            for row in self._slots.rows():
                key = (row.pid, row.began_ns)
                if row.pid != pid or key in self._buried:
                    continue
                watched = self._workers.get(key)
                if watched is None:  # it came and went between two looks
                    watched = self._workers[key] = Watched(row, -1, died_s=time.monotonic())
                watched.fact = watched.fact or (status, bool(aborted), bool(stopping))

    # -- living workers --------------------------------------------------------------------------------------------

    def _look_at(self, watched: Watched) -> None:
        watched.last = self._slots.in_flight(watched.row.place)
        now_ns = time.monotonic_ns()
        settings = self._settings
        watched.ticks = {request: seen for request, seen in watched.ticks.items() if request in watched.last}
        for request in watched.last:
            age_s = (now_ns - request.began_ns) / 1e9
            if age_s >= TICK_S and request not in watched.ticks and (began := look_at(watched.row.pid, request.tid)):
                watched.ticks[request] = began.ticks, time.monotonic()
            place = watched.row.place
            if settings.slow_s and age_s >= settings.slow_s and self._slots.is_news(place, request, IS_SLOW):
                self._tell(watched, Sentence(SERVER, SLOW), request)
            if not settings.timeout_s:
                continue
            if settings.arbiter_ends_it:
                if age_s >= settings.timeout_s - BEFORE_TIMEOUT_S and watched.read_for != request:
                    self._read_stack(watched, request)
            elif age_s >= settings.timeout_s and self._slots.is_news(place, request, OVER_TIME):
                self._tell(watched, Sentence(SERVER, TIMEOUT, words=GOES_ON), request)
        if watched.row.flags[ABORTED] and not watched.told:
            watched.told = True
            self._tell(watched, self._timed_out(), self._over_time(watched), fresh=False)

    def _over_time(self, watched: Watched) -> InFlight | None:
        """The request for which gunicorn ends a worker; it may have ended with the SystemExit that was raised in it."""
        return watched.read_for or (watched.last[0] if watched.last else None)

    def _timed_out(self) -> Sentence:
        return Sentence(SERVER, TIMEOUT, limit_s=int(self._settings.timeout_s))

    def _read_stack(self, watched: Watched, request: InFlight) -> None:
        """Ask the worker for its stack and its request; only one that said it can answer is ever signalled."""
        watched.read_for = request
        watched.frames, watched.answer, watched.shown, watched.values = {}, b"", [], None
        self._read_doing(watched, request)  # before the signals, which end the call in which it waits
        if not watched.row.flags[REGISTERED]:
            return
        place, pid = watched.row.place, watched.row.pid
        descriptor = self._stacks[place]
        question = Question(pid, request.tid, asked=True)
        try:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            self._slots.take_answer(place)
            self._values.ask(place, request.thread)
            signal.pidfd_send_signal(watched.pidfd, ANSWER_SIGNAL)
            data, may_dump = self._values.wait(place, question)
            if may_dump:
                question.dump(watched.pidfd, STACK_SIGNAL, descriptor)
        except OSError:
            return
        watched.frames, _ = read_stacks(self._stack_text(watched))
        watched.answer = self._slots.take_answer(place)
        watched.shown, watched.values = self._values.take(place, pid, request.thread, data)
        if request not in self._slots.in_flight(place):  # its thread may have had the next one
            watched.frames, watched.answer, watched.shown, watched.values = {}, b"", [], MEANWHILE
            watched.doing = None

    def _read_doing(self, watched: Watched, request: InFlight) -> None:
        watched.doing = doing = read_doing(watched.row.pid, request.tid)
        ticks, since_s = watched.ticks.get(request, (0, 0.0))
        watched.cpu_percent = None
        if doing is not None and since_s:
            watched.cpu_percent = cpu_percent(ticks, doing.ticks, time.monotonic() - since_s)

    def _stack_of(self, worker: int, slot: int) -> Shown | None:
        """The stack of a request that somebody asked for, whatever is read of it for an event later."""
        for watched in self._workers.values():
            for request in watched.last:
                if watched.row.worker == worker and request.slot == slot:
                    self._read_stack(watched, request)
                    watched.read_for = None
                    return Shown(request.began_ns, self._stack_text(watched), watched.shown, watched.values)
        return None

    def _stack_text(self, watched: Watched) -> str:
        return os.pread(self._stacks[watched.row.place], MAX_STACK, 0).decode("utf-8", "replace")

    # -- workers that crash, and dead ones ----------------------------------------------------------------------------

    def _look_at_crashes(self) -> None:
        """Workers that are held by their last words: their values are read, and they are let go."""
        begun = self._last_words.begun()
        for place in begun[::-1]:
            watched = next((each for each in self._workers.values() if each.row.place == place), None)
            alive = watched is not None and watched.died_s is None
            thread = self._last_words.thread(place, watched.pidfd) if watched is not None and alive else 0
            if watched is not None:
                watched.beside = self._beside(watched)
                watched.last = self._slots.in_flight(place)
                if not thread:
                    watched.held = [], NO_THREAD
                elif place != begun[0]:
                    watched.held = [], TWO_AT_ONCE
                elif not self._is_over_time(watched):  # else that was read before
                    watched.held = self._values.from_outside(place, watched.row.pid, thread)
            self._last_words.let_go(place)

    def _is_over_time(self, watched: Watched) -> bool:
        """Whether gunicorn ends this worker now, which it does with the signal of ``abort``."""
        settings = self._settings
        if not (settings.timeout_s and settings.arbiter_ends_it and watched.last):
            return False
        return time.monotonic() - watched.last[0].began_ns / 1e9 >= settings.timeout_s - BEFORE_TIMEOUT_S

    def _beside(self, watched: Watched | None) -> list[tuple[Row, InFlight]]:
        """The requests of the other workers."""
        found = []
        for other in self._workers.values():
            if other is not watched and other.died_s is None:
                other.last = self._slots.in_flight(other.row.place)
                found += [(other.row, request) for request in other.last]
        return found

    def _bury(self, watched: Watched) -> None:
        key = (watched.row.pid, watched.row.began_ns)
        del self._workers[key]
        self._buried[key] = None
        while len(self._buried) > MAX_BURIED:
            self._buried.popitem(last=False)
        if watched.pidfd >= 0:
            os.close(watched.pidfd)
        # The row stays as the worker left it until another takes it, the longest unused first.
        left = watched.last = self._slots.in_flight(watched.row.place) or watched.last
        if watched.fact is not None and watched.fact[1]:
            told = [request for request in left if self._slots.was_told(watched.row.place, request, OVER_TIME)]
            watched.told = watched.told or bool(told)
        flags = watched.row.flags
        status, aborted, stopping = watched.fact or (0, False, True)
        death = Death(
            exit_status=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            aborted=aborted or bool(flags[ABORTED]),
            told=watched.told or bool(flags[TOLD]),
            in_order=bool(flags[IN_ORDER]),
            stopping=stopping,
        )
        if death.signal == signal.SIGKILL:
            death.oom_killed = self._oom.take(oom_kills())
        kind = kind_of(death)
        if kind is None:
            return
        suspect = left[0] if left else None
        if kind == TIMEOUT:
            suspect = self._over_time(watched) or suspect
        else:
            suspect = self._read_last_words(watched, kind, suspect)
        facts = Sentence(SERVER, kind, signal=death.signal or 0, status=death.exit_status)
        self._tell(watched, self._timed_out() if kind == TIMEOUT else facts, suspect, fresh=False)

    def _read_last_words(self, watched: Watched, kind: str, oldest: InFlight | None) -> InFlight | None:
        """What a worker wrote on its way out; and the request that did it.

        None: no request of the thread that did it, or several (greenlets), of which nobody knows.
        """
        place = watched.row.place
        pipe = self._last_words.take(place) if kind in CRASHES and self._last_words.reads else ""
        # Before that mark may stand what was read of a request before.
        _, mark, text = (pipe or self._stack_text(watched)).rpartition(LAST_WORDS.get(kind, "\0"))
        watched.frames, current = read_stacks(text if mark else "")
        watched.native = read_c_stack(text) if mark else []
        if kind == EXIT:
            for frames in watched.frames.values():
                if frames and frames[-1].file == OWN_FILE:
                    del frames[-1]
            watched.shown, watched.values = self._values.of_exit(place)
        elif kind in CRASHES:
            watched.shown, watched.values = watched.held or ([], GONE if mark else None)
        else:
            watched.shown, watched.values = [], None
        if not mark:
            return oldest
        watched.current = current or 0
        its = [request for request in watched.last if current in (None, request.thread)]
        return its[0] if len(its) == 1 else None

    def _tell(
        self,
        watched: Watched | None,
        said: Sentence,
        suspect: InFlight | None,
        fresh: bool = True,
        figures: Mapping[str, Any] | None = None,
    ) -> None:
        if watched is not None and fresh and suspect is not None:
            self._read_stack(watched, suspect)
        now_ns = time.monotonic_ns()
        own = [(watched.row, request) for request in watched.last] if watched is not None else []
        beside = watched.beside if watched is not None else None
        bystanders = [
            {**request_of(request, now_ns), "worker": row.worker, "pid": row.pid}
            for row, request in [*own, *(self._beside(watched) if beside is None else beside)]
            if request is not suspect
        ]
        # What was read of a request before this one is not its own.
        is_own = watched is not None and suspect is not None and watched.read_for == suspect
        frames = watched.frames if watched is not None and (is_own or not fresh) else {}
        worker: dict[str, Any] = {"worker": watched.row.worker, "pid": watched.row.pid} if watched else {}
        if watched is not None and is_own and watched.doing is not None and said.kind in (TIMEOUT, SLOW, BACKLOG):
            said.doing = watched.doing.in_words()
            worker |= watched.doing.facts()
            if watched.cpu_percent is not None:
                worker["cpu_percent"] = watched.cpu_percent
        thread = suspect.thread if suspect is not None else watched.current if watched is not None else 0
        chosen = frames.get(thread, [])
        if not chosen and len(frames) == 1:
            [chosen] = frames.values()
        if watched is not None and (is_own or not fresh):
            chosen = watched.shown or chosen
            if watched.values is not None:
                worker["values"] = watched.values
        self._maker.report(
            said,
            worker={**worker, **(figures or {})},
            suspect=suspect,
            bystanders=bystanders,
            frames=chosen,
            native=watched.native if watched is not None and said.kind in CRASHES else [],
            answer=watched.answer if watched is not None and is_own else b"",
            now_ns=now_ns,
        )
