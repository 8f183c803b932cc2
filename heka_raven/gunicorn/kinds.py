"""What the death of a worker was, and what its event is called. Pure: counts, flags and times are passed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

TIMEOUT, SEGFAULT, ABORT, KILLED, OOM, EXIT, BOOT, SLOW, BACKLOG = (
    "timeout", "segfault", "abort", "killed", "oom", "exit", "boot", "slow", "backlog",
)  # fmt: skip
LEVELS = {
    TIMEOUT: "error", SEGFAULT: "fatal", ABORT: "fatal", KILLED: "fatal", OOM: "fatal", EXIT: "error", BOOT: "fatal",
    SLOW: "warning", BACKLOG: "warning",
}  # fmt: skip
SIGABRT, SIGKILL = 6, 9  # by Linux' numbers
_SEGFAULTS = {11, 7, 8, 4}  # SIGSEGV, SIGBUS, SIGFPE, SIGILL
# How gunicorn ends its workers; before a worker has its handlers it dies of them.
_WANTED = {15, 3, 2}  # SIGTERM, SIGQUIT, SIGINT

OOM_AGE_S = 5.0  # a death is seen this soon after it happened
MAX_FRAMES = 250


@dataclass(slots=True)
class Death:
    """What is known of a worker that ended.

    Attributes:
        exit_status: its exit status, or None.
        signal: the signal that ended it, or None. Neither: nobody was told.
        aborted: gunicorn found it over its timeout.
        told: an event tells of it already.
        in_order: it went gunicorn's own way out; ``os._exit`` does not.
        stopping: gunicorn itself ends.
    """

    exit_status: int | None = None
    signal: int | None = None
    aborted: bool = False
    told: bool = False
    in_order: bool = False
    stopping: bool = False
    oom_killed: bool = False


def kind_of(death: Death) -> str | None:
    """What to report of a death; None for nothing."""
    if death.told:
        return None
    if death.signal in _SEGFAULTS:
        return SEGFAULT
    if death.aborted:
        return TIMEOUT
    if death.signal == SIGABRT:
        return ABORT
    if death.stopping or death.signal in _WANTED:
        return None
    if death.signal is not None:
        return OOM if death.signal == SIGKILL and death.oom_killed else KILLED
    if death.in_order and not death.exit_status:
        return None
    return EXIT


class OomCount:
    """Tells an OOM kill from another SIGKILL by the cgroup's count, which also counts other processes."""

    def __init__(self, count: int, now_s: float) -> None:
        self._before = self._recent = count
        self._recent_s = now_s

    def sample(self, count: int, now_s: float) -> None:
        """Note the count of now and then."""
        if now_s - self._recent_s >= OOM_AGE_S:
            self._before = max(self._before, self._recent)
            self._recent, self._recent_s = count, now_s

    def take(self, count: int) -> bool:
        """Whether a death that was just seen was one of them."""
        if count <= self._before:
            return False
        self._before += 1
        return True


@dataclass(slots=True)
class Frame:
    """One line of faulthandler's."""

    file: str
    line: int
    function: str
    values: dict[str, Any] | None = None  # masked local variables, where somebody told them


_THREAD = re.compile(r"(?:Current thread|Thread) 0x([0-9a-f]+)")
_ALONE = "Stack (most recent call first)"  # of the one thread that was asked
_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')


def read_stacks(text: str) -> tuple[dict[int, list[Frame]], int | None]:
    """What faulthandler wrote: the frames of each thread, outermost first; and which thread was the current one.

    A stack without a thread's number is that of thread 0.
    """
    stacks: dict[int, list[Frame]] = {}
    current = None
    frames: list[Frame] | None = None
    for line in text.split("\n"):
        if (found := _THREAD.match(line)) is not None:
            frames = stacks[int(found.group(1), 16)] = []
            if line.startswith("Current"):
                current = int(found.group(1), 16)
        elif line.startswith(_ALONE):
            frames = stacks[0] = []
        elif frames is not None and len(frames) < MAX_FRAMES and (found := _FRAME.match(line)) is not None:
            frames.insert(0, Frame(found.group(1), int(found.group(2)), found.group(3)))
    return stacks, current
