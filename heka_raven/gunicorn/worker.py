"""What a worker of gunicorn tells the watcher: its requests, its stack, its way out. Nothing here raises into it."""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from heka_raven.eyes.answers import write_answer
from heka_raven.eyes.rules import HIDDEN
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import ABORTED, IN_ORDER, REGISTERED, TOLD, Slots
from heka_raven.gunicorn.kinds import BOOT, EXIT, LEVELS
from heka_raven.gunicorn.values import EXIT as EXIT_ANSWER
from heka_raven.gunicorn.values import allow_looks
from heka_raven.reporting.clients import reporter_of, rules_of
from heka_raven.reporting.dedupe import NOT_SENT, find_mark, mark_reported
from heka_raven.reporting.report import Report
from heka_raven.scope import current_environ, describe_current

STACK_SIGNAL = signal.SIGRTMIN + 5
ANSWER_SIGNAL = signal.SIGRTMIN + 6
OWN_FILE = __file__
EXIT_MARK = "-- os._exit\n"
LOGGER = "gunicorn.watch"
MAX_TEXT = 200  # characters of a transaction


class WorkerSide:
    """The watched half of one worker."""

    def __init__(
        self, client: Any, slots: Slots, row: int, stack_fd: int, values_fd: int, crash_fd: int, boot_fd: int
    ) -> None:
        self._client = client
        self._slots = slots
        self._row = row
        self._stack_fd = stack_fd
        self._values_fd = values_fd
        self._crash_fd = crash_fd
        self._boot_fd = boot_fd
        self._aborted = False

    def begin(self, worker: Any) -> None:
        """After the fork: take the row, and let the stack be seen."""
        self._slots.begin_row(self._row, os.getpid(), worker.age)
        os.ftruncate(self._values_fd, 0)
        reporter = reporter_of(self._client)
        EYES.tell(functools.partial(self._slots.tell_rules, self._row))
        EYES.hide(WorkerSide.begin.__code__.co_filename)
        EYES.add(rules_of(reporter.options) if reporter is not None else HIDDEN)
        try:
            # Of the thread that is signalled: C code that holds the interpreter does not matter (asking.py).
            faulthandler.register(STACK_SIGNAL, file=self._stack_fd, all_threads=False, chain=False)
            if not faulthandler.is_enabled():  # else it is the application's own
                faulthandler.enable(file=self._crash_fd, all_threads=True)
                self._stay_in_front(worker)
                os.register_at_fork(after_in_child=self._be_quiet)
            signal.signal(ANSWER_SIGNAL, self._answer)
            self._slots.set_flag(self._row, REGISTERED)
            self._watch_exit()
        except Exception:
            return  # events without a stack

    def _stay_in_front(self, worker: Any) -> None:
        """gunicorn's own handler for SIGABRT, which an ``abort`` in C does not wait for, comes after faulthandler's."""
        init_signals = worker.init_signals

        def init_and_step_in_front() -> None:
            init_signals()
            handler = signal.getsignal(signal.SIGABRT)
            if handler is None:
                return  # some C code's
            faulthandler.disable()
            signal.signal(signal.SIGABRT, handler)
            faulthandler.enable(file=self._crash_fd, all_threads=True)

        worker.init_signals = init_and_step_in_front

    def _be_quiet(self) -> None:
        """In a child of the application's own: its crash is not the worker's. faulthandler may be the child's own."""
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), self._crash_fd, inheritable=False)
        except OSError:
            return  # it has no descriptor left: it is held, if it crashes

    def allow(self) -> None:
        """After the change of user: the watcher's py-spy may read this worker."""
        allow_looks(os.getppid())

    def _watch_exit(self) -> None:
        """``os._exit`` leaves nothing behind: its stack is written before."""
        ours, leave, descriptor = os.getpid(), os._exit, self._stack_fd

        @functools.wraps(leave)
        def _exit(status: int) -> NoReturn:
            try:
                if os.getpid() == ours:  # not a child of the application's own
                    os.write(descriptor, EXIT_MARK.encode())
                    faulthandler.dump_traceback(file=descriptor, all_threads=True)
                    os.ftruncate(self._values_fd, 0)
                    write_answer(self._values_fd, EXIT_ANSWER, EYES.look(0, sys._getframe(1)))
            finally:
                leave(status)

        os._exit = _exit

    def _answer(self, signum: int, frame: FrameType | None) -> None:
        """Runs between two instructions of the application: reads, and lets nothing out."""
        try:
            number, thread = self._slots.question(self._row)
            self._answer_request()
            write_answer(self._values_fd, number, EYES.look(thread, frame, bare=True))
        except BaseException:
            return

    def _answer_request(self) -> None:
        try:
            facts = describe_current()
            if facts is not None:
                known = {"transaction": facts.transaction[:MAX_TEXT], "user": facts.user, "trace": facts.trace}
                self._slots.answer(self._row, json.dumps(known, default=str).encode())
        except BaseException:
            return

    def abort(self) -> None:
        """gunicorn ends this worker for its timeout: the SystemExit that it raises in the application is no event.

        Raises:
            SystemExit: in gunicorn's place, marked as known.
        """
        self._aborted = True
        self._slots.set_flag(self._row, ABORTED)
        error = SystemExit(1)
        try:
            mark_reported(error, None, NOT_SENT + os.urandom(16).hex(), current_environ())
        except Exception:
            pass
        raise error

    def leave(self, worker: Any) -> None:
        """The worker's own way out. An error that ends it is an event from here, with all that Python knows."""
        self._slots.set_flag(self._row, IN_ORDER)
        leaving = sys.exc_info()[1]
        if self._aborted or leaving is None:
            return
        if find_mark(leaving, leaving.__traceback__, None) is not None:
            self._slots.set_flag(self._row, TOLD)  # a sys.exit(1) of the application, which the middleware has reported
            return
        error = leaving.__context__ if isinstance(leaving, SystemExit) and leaving.code not in (0, None) else None
        if not isinstance(error, Exception):
            return
        self._slots.set_flag(self._row, TOLD)
        kind = EXIT if getattr(worker, "booted", False) else BOOT
        if kind == BOOT and not self._is_first_to_tell():
            return
        reporter = reporter_of(self._client)
        if reporter is None:
            return
        reporter.report(
            self._client,
            Report(
                exc_info=(type(error), error, error.__traceback__),
                mechanism={"type": "gunicorn.watch", "handled": False},
                level=LEVELS[kind],
                logger=LOGGER,
                tags={"gunicorn.event": kind},
                contexts={"gunicorn": {"worker": worker.age, "pid": os.getpid()}},
            ),
        )

    def _is_first_to_tell(self) -> bool:
        """All workers fail to boot alike: whoever gets the one byte tells of it."""
        try:
            return bool(os.read(self._boot_fd, 1))
        except OSError:
            return False
