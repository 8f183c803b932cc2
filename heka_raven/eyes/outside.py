"""A look into another process with py-spy, which does not stop it: its frames, masked; or why there are none."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from heka_raven.eyes.dump import MAX_DUMP, read_dump
from heka_raven.eyes.rules import Rules

LIMIT_S = 2.0
TRIES = 3  # what is read while it changes may make no sense
MAX_SAID = 512  # bytes of what py-spy complains of

# The words of watch/reader.c.
NOT_INSTALLED = "none: py-spy is not installed"
NOT_PERMITTED = "none: not permitted (ptrace)"
TOO_LONG = "none: the reader took too long"
FAILED = "none: py-spy could not read the process"
NOTHING = "none: py-spy saw no Python there"
FROM_OUTSIDE = "read from outside"

SCOPES = {"1": "only a parent may look", "2": "only root may look", "3": "nobody may look"}

Frames = list[dict[str, Any]]


def ptrace_scope(root: str = "") -> str:
    """Why Yama lets nobody look into a process; empty: it does not forbid it."""
    try:
        with open(f"{root}/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            scope = file.read(1)
    except (OSError, ValueError):
        return ""
    return f"kernel.yama.ptrace_scope is {scope}: {SCOPES[scope]}" if scope in SCOPES else ""


def find_py_spy() -> str | None:
    """The program beside this Python, else of the PATH."""
    return shutil.which("py-spy", path=os.path.dirname(sys.executable)) or shutil.which("py-spy")


def look_from_outside(pid: int, thread: int, rules: Rules, limit_s: float = LIMIT_S) -> tuple[Frames | None, str]:
    """The masked frames of one thread of *pid*; and where they are from, or why there are none. Never raises."""
    program = find_py_spy()
    if program is None:
        return None, NOT_INSTALLED
    why, until = FAILED, time.monotonic() + limit_s
    for attempt in range(TRIES):
        data, now = _dump([program, "dump", "-lll", "--json", "--nonblocking", "--pid", str(pid)], until)
        if data is not None:
            try:
                frames = read_dump(data, pid, thread, rules, time.process_time)
            except Exception:  # what it holds is the application's, and in part its visitors'
                frames = None
            if frames is not None:
                return frames, FROM_OUTSIDE
            now = NOTHING
        if not (attempt and now == TOO_LONG):  # else there was no time for another try
            why = now
        if now not in (FAILED, NOTHING):
            break
    if why == NOT_PERMITTED and (scope := ptrace_scope()):
        why = f"{NOT_PERMITTED[:-1]}; {scope})"
    return None, why


def _dump(command: list[str], until: float) -> tuple[bytes | None, str]:
    try:
        process = subprocess.Popen(  # noqa: S603 - py-spy, beside this Python
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            start_new_session=True,
        )  # fmt: skip
    except OSError:
        return None, NOT_INSTALLED
    try:
        said = _read_both(process, until)
        if said is None:
            return None, TOO_LONG
        status = process.wait(max(0.01, until - time.monotonic()))
        if status == 0:
            return said[0], FROM_OUTSIDE
        return None, NOT_PERMITTED if b"ermission" in said[1] or b"not permitted" in said[1] else FAILED
    except (OSError, subprocess.TimeoutExpired):
        return None, TOO_LONG
    finally:
        _end(process)


def _read_both(process: subprocess.Popen[bytes], until: float) -> tuple[bytes, bytes] | None:
    """All that it says; None if that takes too long, or is too much."""
    out, errors = bytearray(), bytearray()
    pipes = zip((process.stdout, process.stderr), (out, errors), strict=True)
    ends = {pipe.fileno(): said for pipe, said in pipes if pipe is not None}
    waiting = list(ends)
    while waiting:
        ready = select.select(waiting, [], [], max(0.0, until - time.monotonic()))[0]
        if not ready:
            return None
        for descriptor in ready:
            piece = os.read(descriptor, 65536)
            if not piece:
                waiting.remove(descriptor)
            elif len(out) + len(piece) > MAX_DUMP:
                return None
            else:
                ends[descriptor] += piece
                del errors[MAX_SAID:]
    return bytes(out), bytes(errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started; nothing is left of it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
