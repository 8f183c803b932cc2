"""A process under strace: forked here or started, attached to when it is ready, and left to run to its end."""

import contextlib
import mmap
import os
import select
import signal
import struct
import subprocess
import time
import traceback

READY_S = 30
STRACE_S = 10
STRACE = "strace"
GO = signal.SIGUSR1
NOTES = 1 << 16  # bytes of the memory that a watched process writes its notes to: no system call tells


class Notes:
    """What the watched process says without a system call: ids taken, ids refused, how it ended.

    Layout: the end (1 byte: 0 none, 1 done, 2 raised), whether it is ready (1 byte), bytes of text, number of ids; then
    the ids, 33 bytes each: one that says whether it was taken, and 32. From the middle on: the text of an exception.
    """

    HEAD = struct.Struct("<BBxxII")
    READY = 1  # the byte after the end
    TEXT = NOTES // 2

    def __init__(self, memory):
        self._memory = memory

    def tell(self, event_id, taken=True):
        end, ready, text, count = self.HEAD.unpack_from(self._memory, 0)
        at = self.HEAD.size + 33 * count
        self._memory[at : at + 33] = (b"+" if taken else b"-") + event_id.encode()
        self.HEAD.pack_into(self._memory, 0, end, ready, text, count + 1)

    def finish(self, trouble=""):
        _, ready, _, count = self.HEAD.unpack_from(self._memory, 0)
        data = trouble.encode("utf-8", "replace")[-self.TEXT :]
        self._memory[self.TEXT : self.TEXT + len(data)] = data
        self.HEAD.pack_into(self._memory, 0, 2 if trouble else 1, ready, len(data), count)

    def ids(self, taken=True):
        count = self.HEAD.unpack_from(self._memory, 0)[3]
        parts = [bytes(self._memory[at : at + 33]) for at in range(self.HEAD.size, self.HEAD.size + 33 * count, 33)]
        return [part[1:].decode() for part in parts if part[:1] == (b"+" if taken else b"-")]

    def say_ready(self):
        self._memory[self.READY] = 1

    @property
    def ready(self):
        return self._memory[self.READY] == 1

    @property
    def done(self):
        return self.HEAD.unpack_from(self._memory, 0)[0] == 1

    @property
    def trouble(self):
        end, _, text, _ = self.HEAD.unpack_from(self._memory, 0)
        return bytes(self._memory[self.TEXT : self.TEXT + text]).decode() if end == 2 else ""


class Process:
    """A process that waits for SIGUSR1 in sigwait, and then does its work once."""

    def __init__(self, pid, notes):
        self.pid = pid
        self.notes = notes
        self.status = None

    def wait_ready(self):
        """Until it waits for its signal: what it did before is nobody's concern."""
        until = time.monotonic() + READY_S
        while not self.notes.ready:
            if time.monotonic() > until:
                raise AssertionError("the process is not ready in time")
            time.sleep(0.0005)

    def go(self):
        os.kill(self.pid, GO)

    def ended(self):
        """Whether it has ended; it is reaped then."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def signal(self, number):
        if not self.ended():
            os.kill(self.pid, number)

    def wait(self, limit_s):
        """Its status as of waitpid; None when it hangs (it is killed then)."""
        if self.ended():
            return self.status
        pidfd = os.pidfd_open(self.pid)
        try:
            over = bool(select.select([pidfd], [], [], limit_s)[0])
        finally:
            os.close(pidfd)
        until = time.monotonic() + STRACE_S
        while over and not self.ended() and time.monotonic() < until:
            time.sleep(0.001)  # strace hears of its end first
        if self.ended():
            return self.status
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.status = -1
        return None


def fork(act):
    """A child that waits, calls ``act(notes.tell)`` and ends: what is imported here need not be imported there."""
    notes = Notes(mmap.mmap(-1, NOTES))
    signal.pthread_sigmask(signal.SIG_BLOCK, {GO})
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            notes.say_ready()
            signal.sigwait({GO})
            act(notes.tell)
            notes.finish()
            code = 0
        except BaseException:
            notes.finish(traceback.format_exc())
        finally:
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {GO})
    return Process(pid, notes)


def run_here(act, limit_s=60):
    """The same without anybody who watches; its notes."""
    process = fork(act)
    process.go()
    if process.wait(limit_s) is None:
        raise AssertionError("the clean run hangs")
    if process.notes.trouble:
        raise AssertionError(f"the clean run failed: {process.notes.trouble}")
    return process.notes


class Strace:
    """strace, attached to a process and all its threads and children (*follow*), or to one thread."""

    def __init__(self, pid, trace_path, *options, follow=True):
        self.trace_path = trace_path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(trace_path)
        self.process = subprocess.Popen(
            [STRACE, *(["-f"] if follow else []), "-o", trace_path, "-e", "signal=none", *options, "-p", str(pid)],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        self._wait_attached()

    def _wait_attached(self):
        said, until = b"", time.monotonic() + READY_S
        while b"attached" not in said:
            if not select.select([self.process.stderr], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"strace did not attach: {said!r}")
            part = os.read(self.process.stderr.fileno(), 4096)
            if not part:
                raise AssertionError(f"strace ended: {said!r}")
            said += part

    def end(self, limit_s=10):
        """Let go of what is left, and return the trace."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        with open(self.trace_path, encoding="utf-8", errors="replace") as file:
            return file.read()


def learn(pid, trace_path):
    return Strace(pid, trace_path, "-yy", "-s", "0")


def inject(pid, trace_path, fault):
    return Strace(pid, trace_path, "-e", f"trace={fault.call}", "-e", fault.expression(), "-s", "0")
