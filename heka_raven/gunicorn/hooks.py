"""Hooks of gunicorn, in front of those that stand in its configuration, and the processes that they start."""

# Rule 1: a hook of the configuration is called as before, with what it expects; what fails in here is logged once.
# Rule 2: the arbiter waits for nothing: it writes facts into a pipe that is full at worst, and forks.

from __future__ import annotations

import logging
import mmap
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from heka.convert import to_flag, to_int, to_seconds
from heka.exceptions import ConfigError
from heka.limited_log import TROUBLES
from heka_raven.eyes.slots import ROWS, Slots
from heka_raven.gunicorn.event import EventMaker
from heka_raven.gunicorn.last_words import LastWords, is_readable, make_pipes
from heka_raven.gunicorn.queues import listening
from heka_raven.gunicorn.request_hooks import make_request_hooks
from heka_raven.gunicorn.values import ValuesReader
from heka_raven.gunicorn.watcher import FACT, Settings, Watcher
from heka_raven.gunicorn.worker import WorkerSide
from heka_raven.reporting.clients import build_client, reporter_of, rules_of
from heka_raven.spool.watched import close_all

MAX_SLOW_S = 86400.0
RESPAWN_MS = 1000

Hook = Callable[..., Any]


class Watch:
    """All that one arbiter has of the watch."""

    def __init__(self) -> None:
        self.slots = Slots()
        self.stacks = [os.memfd_create(f"heka-raven-{row}", os.MFD_CLOEXEC) for row in range(ROWS)]
        self.values = [os.memfd_create(f"heka-raven-values-{row}", os.MFD_CLOEXEC) for row in range(ROWS)]
        self.crash_reads: list[int] = []  # of a watch that looks outside
        self.crash_writes: list[int] = []
        self.facts_read, self.facts = _pipe()
        self.boot, self.boot_write = _pipe()
        os.write(self.boot_write, b"1")
        self.client: Any = None
        self.slow_s = 0.0
        self.looks_outside = False
        self.backlog_percent = 100
        self.sockets: dict[int, str] = {}
        self.supervisor = 0
        self.turn = mmap.mmap(-1, 8)  # shared: the number of the supervisor whose watcher watches
        self.rows = list(range(ROWS))  # the longest unused first
        self.pids: dict[int, int] = {}  # of workers, to their row
        self.side: WorkerSide | None = None
        self.of_requests: tuple[Hook | None, Hook | None] = (None, None)  # those of the configuration

    # -- in the arbiter ----------------------------------------------------------------------------------------------

    def when_ready(self, server: Any) -> None:
        self.start(server)

    def on_reload(self, server: Any) -> None:
        try:
            os.read(self.boot, 1)
        except OSError:
            pass
        os.write(self.boot_write, b"1")  # an application that does not load after this is news again

    def pre_fork(self, server: Any, worker: Any) -> None:
        if not _is_alive(self.supervisor):
            self.start(server)
        for pid in [pid for pid in self.pids if pid not in server.WORKERS]:
            self.rows.append(self.pids.pop(pid))
        for pid, each in server.WORKERS.items():
            if pid not in self.pids and hasattr(each, "_heka_raven_row"):
                self.pids[pid] = each._heka_raven_row
        worker._heka_raven_row = self.rows.pop(0)

    def child_exit(self, server: Any, worker: Any, status: Any) -> None:
        if type(status) is not int:
            return
        stopping = not server.LISTENERS and not server.cfg.reuse_port
        os.write(self.facts, FACT.pack(worker.pid, status, bool(getattr(worker, "aborted", False)), stopping))

    def start(self, server: Any) -> None:
        """Fork the process that keeps a watcher running as long as the arbiter lives."""
        arbiter = os.getpid()
        turn = int.from_bytes(self.turn[:], "little") + 1
        self.turn[:] = turn.to_bytes(8, "little")  # a watcher that lost its supervisor ends
        self.sockets = listening(server.LISTENERS)
        close_all(self.crash_writes)
        if self.looks_outside:
            self.crash_reads, self.crash_writes = make_pipes(ROWS)
        pid = os.fork()
        if pid:
            self.supervisor = pid
            close_all(self.crash_reads)  # workers that nobody reads any more are not held
            return
        try:
            close_all(self.crash_writes)
            _become_quiet(server)
            supervise(self, server, arbiter, lambda: int.from_bytes(self.turn[:], "little") == turn)
        except BaseException:
            TROUBLES.tell("gunicorn watch", logging.WARNING, "nobody watches this gunicorn", exc_info=True)
        finally:
            os._exit(0)

    # -- in a worker -------------------------------------------------------------------------------------------------

    def post_worker_init(self) -> None:
        if self.side is not None and self.looks_outside:
            self.side.allow()

    def post_fork(self, server: Any, worker: Any) -> None:
        row = getattr(worker, "_heka_raven_row", None)
        if row is None:
            return
        stack = self.stacks[row]
        crash = self.crash_writes[row] if self.crash_writes else stack
        self.side = WorkerSide(self.client, self.slots, row, stack, self.values[row], crash, self.boot)
        self.side.begin(worker)
        for other in range(ROWS):
            if other != row:  # a worker needs its numbers for its own, below those that select() can wait for
                for files in (self.stacks, self.values, self.crash_writes):
                    if files:
                        os.close(files[other])
        before, after = self.of_requests
        for name, hook in zip(
            ("pre_request", "post_request"), make_request_hooks(self.slots, row, before, after), strict=True
        ):
            worker.cfg.set(name, hook)


def supervise(watch: Watch, server: Any, arbiter: int, is_current: Callable[[], bool]) -> None:
    """Keep a watcher running until the arbiter ends."""
    pidfd = os.pidfd_open(arbiter)
    while not is_readable(pidfd, 0):
        pid = os.fork()
        if not pid:
            try:
                _watch(watch, server, arbiter, pidfd, is_current)
            except BaseException:
                TROUBLES.tell("gunicorn watch", logging.WARNING, "the watcher failed; it is made again", exc_info=True)
                os._exit(1)
            os._exit(0)
        os.waitpid(pid, 0)
        is_readable(pidfd, RESPAWN_MS)


def _watch(watch: Watch, server: Any, arbiter: int, pidfd: int, is_current: Callable[[], bool]) -> None:
    from gunicorn import __version__

    settings = Settings(
        float(server.timeout or 0),
        watch.slow_s,
        server.cfg.worker_class_str == "sync",
        watch.sockets,
        watch.backlog_percent,
    )
    stream = watch.client.stream
    start_sender = getattr(stream, "_start_sender", None)
    if start_sender is not None and getattr(stream, "_sends", False):
        start_sender()
    maker = EventMaker(watch.client, __version__)
    reporter: Any = reporter_of(watch.client)
    values = ValuesReader(watch.slots, watch.values, watch.looks_outside, rules_of(reporter.options))
    last_words = LastWords(watch.crash_reads)
    watcher = Watcher(watch.slots, watch.stacks, values, last_words, watch.facts_read, settings, maker)
    watcher.run(arbiter, pidfd, is_current)
    stream.close()


def _become_quiet(server: Any) -> None:
    """What belongs to the arbiter is not ours: its signals, its sockets, its user."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
                   signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH):  # fmt: skip
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for listener in server.LISTENERS:
        os.close(listener.fileno())  # kept open, it would take visitors whom nobody serves after the arbiter's end
    from gunicorn import util

    util.set_owner_process(server.cfg.uid, server.cfg.gid, initgroups=server.cfg.initgroups)
    util._setproctitle(f"watch [{server.proc_name}]")


def _pipe() -> tuple[int, int]:
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    return read, write


def _is_alive(pid: int) -> bool:
    """Whether our child *pid* runs; the arbiter may have reaped it meanwhile."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except OSError:
        return False


_watches: list[Watch] = []  # one, which a reloaded configuration finds again


def watch(
    config: dict[str, Any],
    dsn: str | None = None,
    slow: float = 0,
    backlog: int = 100,
    values: bool = False,
    **options: Any,
) -> None:
    """Watch the gunicorn whose configuration *config* is.

    Args:
        config: ``globals()`` of gunicorn.conf.py; hooks that stand above are called as before.
        dsn: where to report to.
        slow: seconds from which on a request that still runs is an event; 0: none is.
        backlog: percent of a listen queue from which on it is an event; 100: when it is full.
        values: whether py-spy may read local variables where a worker cannot tell them itself.
        options: those of the raven plugin, and ``stream_*``.

    Raises:
        ConfigError: naming the option that is wrong.
    """
    if not isinstance(config, dict):
        raise ConfigError("watch: the first argument is globals() of gunicorn.conf.py")
    slow_s = to_seconds("slow", slow, low=0, high=MAX_SLOW_S)
    backlog_percent = to_int("backlog", backlog, low=1, high=100)
    looks_outside = to_flag("values", values)
    missing = _missing()
    if missing is not None:
        logging.getLogger("heka_raven").warning("watch: nobody watches this gunicorn: %s", missing)
        return
    client = build_client(dsn, **options)
    if reporter_of(client) is None:
        raise ConfigError("watch: the client has no raven plugin")
    if not _watches:
        _watches.append(Watch())
    [found] = _watches
    found.client, found.slow_s, found.backlog_percent = client, slow_s, backlog_percent
    found.looks_outside = looks_outside
    _chain(config, found)


def _missing() -> str | None:
    """What the watch lacks on this system."""
    try:
        os.close(os.pidfd_open(os.getpid()))
        os.close(os.memfd_create("heka-raven"))
    except (AttributeError, OSError) as error:
        return f"it needs pidfd_open and memfd_create, of Linux 5.3 ({error})"
    return None


def _chain(config: dict[str, Any], found: Watch) -> None:
    def guarded(name: str, ours: Callable[..., Any], *args: Any) -> None:
        try:
            ours(*args)
        except SystemExit:
            raise
        except BaseException:
            TROUBLES.tell(f"gunicorn {name}", logging.WARNING, "the watch failed in the hook %s", name, exc_info=True)

    def before(name: str) -> Hook:
        given = config.get(name)
        return given if callable(given) else lambda *args: None

    hooks = {name: before(name) for name in _HOOKS}
    given = [hook if callable(hook := config.get(name)) else None for name in ("pre_request", "post_request")]
    found.of_requests = given[0], _post_request_of(given[1])

    def when_ready(server: Any) -> None:
        hooks["when_ready"](server)
        guarded("when_ready", found.when_ready, server)

    def on_reload(server: Any) -> None:
        hooks["on_reload"](server)
        guarded("on_reload", found.on_reload, server)

    def pre_fork(server: Any, worker: Any) -> None:
        hooks["pre_fork"](server, worker)
        guarded("pre_fork", found.pre_fork, server, worker)

    def post_fork(server: Any, worker: Any) -> None:
        guarded("post_fork", found.post_fork, server, worker)
        hooks["post_fork"](server, worker)

    def post_worker_init(worker: Any) -> None:
        guarded("post_worker_init", found.post_worker_init)
        hooks["post_worker_init"](worker)

    def child_exit(server: Any, worker: Any) -> None:
        # gunicorn has reaped it: how it ended stands in the caller alone.
        status = sys._getframe(1).f_locals.get("status")
        guarded("child_exit", found.child_exit, server, worker, status)
        hooks["child_exit"](server, worker)

    def worker_abort(worker: Any) -> None:
        hooks["worker_abort"](worker)
        if found.side is not None:
            guarded("worker_abort", found.side.abort)

    def worker_exit(server: Any, worker: Any) -> None:
        if found.side is not None:
            guarded("worker_exit", found.side.leave, worker)
        hooks["worker_exit"](server, worker)

    made = (
        when_ready, on_reload, pre_fork, post_fork, post_worker_init, child_exit, worker_abort, worker_exit,
    )  # fmt: skip
    config.update({hook.__name__: hook for hook in made})


_HOOKS = (
    "when_ready", "on_reload", "pre_fork", "post_fork", "post_worker_init", "child_exit", "worker_abort",
    "worker_exit",
)  # fmt: skip


def _post_request_of(hook: Hook | None) -> Hook | None:
    """gunicorn takes a post_request of two to four arguments; this one has four."""
    if hook is None:
        return None
    count = getattr(getattr(hook, "__code__", None), "co_argcount", 4)
    return hook if count == 4 else lambda *args: hook(*args[:count])
