"""Runs a command as if it were run alone, and knows afterwards how it ended: status, run time, its last words.

The command keeps our standard input and output; its standard error goes through a pipe to ours. Signals that we get are
passed on to it, and we end as it ended, by the same signal if it was one.
"""

# Rule 1: the command runs whatever goes wrong here; nothing is added to its output.
# Rule 2: signals are blocked and waited for, not handled: si_code tells those of the terminal, which it got as well.

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_LINE = 2048  # bytes of one line that are kept
CHUNK = 65536
LAST_WORDS_S = 0.2  # after the command ended, for what it wrote before; others may hold its standard error for ever
RECENT_S = 5.0  # before the end: an error that long ago was not what ended the command
FROM_TERMINAL = 0x80  # SI_KERNEL: not sent by a process

_PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM,
    signal.SIGWINCH,
)  # fmt: skip
_WATCHED = {*_PASSED_ON, signal.SIGCHLD}


@dataclass(slots=True)
class Ending:
    """How a command ended.

    Attributes:
        status: the exit status, or ``-N`` for a signal; ``None`` if it could not be started, and *error* says why.
        signals: those that came to us while it ran.
    """

    pid: int = 0
    status: int | None = None
    error: OSError | None = None
    seconds: float = 0.0
    ended_at: float = 0.0
    max_rss_kib: int = 0
    signals: set[int] = field(default_factory=set)
    last_lines: list[str] = field(default_factory=list)

    @property
    def told_to_end(self) -> bool:
        """Whether it ended by a signal that somebody sent to us."""
        return self.status is not None and (-self.status in self.signals or self.status - 128 in self.signals)


class LastLines:
    """The last lines of a stream of bytes, each cut to a length."""

    def __init__(self, count: int) -> None:
        self._lines: deque[bytes] = deque(maxlen=count)
        self._open = b""

    def add(self, data: bytes) -> None:
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._lines.append((self._open + line)[:MAX_LINE])
            self._open = b""
        self._open = (self._open + rest)[:MAX_LINE]

    def lines(self) -> list[str]:
        found = [*self._lines, *([self._open] if self._open else [])]
        # A progress bar writes over its line: what was last to be seen there.
        texts = (line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2] for line in found)
        return list(texts)[-(self._lines.maxlen or 0) :]


class _Copier(threading.Thread):
    """Copies the command's standard error to ours until it ends, or we are told to leave it."""

    def __init__(self, reader: int, tail: LastLines) -> None:
        super().__init__(name="heka-raven-run", daemon=True)
        self._reader = reader
        self._tail = tail
        self._leave, self._left = os.pipe()

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._reader, self._leave], [], [])
            if self._reader not in ready:
                return
            if not copy_some(self._reader, self._tail):
                return

    def leave(self) -> bool:
        """Stop after what was written before; whether the stream had ended."""
        self.join(LAST_WORDS_S)
        ended = not self.is_alive()
        os.close(self._left)  # readable from now on
        self.join()
        os.close(self._leave)
        return ended


def copy_some(reader: int, tail: LastLines | None) -> bool:
    """Copy what there is to our standard error; False at the end of it."""
    try:
        data = os.read(reader, CHUNK)
    except OSError:
        return False
    if tail is not None:
        tail.add(data)
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(2, rest) :]
        except OSError:
            break  # nobody reads ours: the command goes on all the same
    return bool(data)


def run_command(words: Sequence[str], lines: int, environment: dict[str, str]) -> Ending:
    """Run *words* to their end. What others write to its standard error after that is copied by a process of ours."""
    ending = Ending()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # With SIGCHLD ignored, as some parents leave it, nobody could wait for the command.
    of_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def in_child() -> None:
        signal.signal(signal.SIGCHLD, of_children or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    reader, writer = os.pipe()
    began = time.monotonic()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603 - it is what the user wants to run
                list(words), stderr=writer, env=environment, preexec_fn=in_child
            )
        except OSError as error:
            ending.error = error
            return ending
        finally:
            os.close(writer)
        ending.pid = process.pid
        tail = LastLines(lines)
        copier = _Copier(reader, tail)
        copier.start()
        _wait(process, ending.signals)
        ending.seconds = time.monotonic() - began
        ending.ended_at = time.time()
        ending.status = process.returncode
        ending.max_rss_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        if not copier.leave():
            _copy_apart(reader)
        ending.last_lines = tail.lines()
        return ending
    finally:
        os.close(reader)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(process: subprocess.Popen[bytes], seen: set[int]) -> None:
    while process.poll() is None:
        number, from_terminal = _next_signal()
        if number == signal.SIGCHLD:
            continue
        seen.add(number)
        if not from_terminal:
            process.send_signal(number)


def _next_signal() -> tuple[int, bool]:
    """The next signal that comes to us, and whether a terminal sent it to the command as well."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(_WATCHED)
        return info.si_signo, info.si_code == FROM_TERMINAL
    number = signal.sigwait(_WATCHED)  # macOS says no more
    return number, number in (signal.SIGINT, signal.SIGQUIT) and os.isatty(0)


def _copy_apart(reader: int) -> None:
    """The command ended, but what it started in the background still writes: a process of ours copies that."""
    if os.fork():
        return
    try:
        for descriptor in (0, 1):
            os.close(descriptor)  # who waits for their end need not wait for us
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        while copy_some(reader, None):
            pass
    finally:
        os._exit(0)


def end_like(status: int) -> int:
    """The exit status to end with; does not return where the command was ended by a signal, if that ends us as well."""
    if status >= 0:
        return status
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
        os.kill(os.getpid(), -status)
    except (OSError, ValueError):
        pass
    return 128 - status


class Notes:
    """The file in which a program under us notes the event of the error that ends it."""

    def __init__(self) -> None:
        descriptor, self.path = tempfile.mkstemp(prefix="heka-raven-run-")
        os.close(descriptor)

    def told(self, ending: Ending) -> bool:
        """Whether the error behind *ending* was reported by the program itself; the file is gone after that."""
        try:
            with open(self.path, encoding="ascii", errors="replace") as file:
                lines = file.read(CHUNK).splitlines()
            os.unlink(self.path)
            for pid, at, status, _ in (line.split() for line in lines):
                recent = ending.ended_at - float(at) < RECENT_S
                if int(status) == ending.status and (int(pid) == ending.pid or recent):
                    return True
        except (OSError, ValueError):
            return False
        return False
