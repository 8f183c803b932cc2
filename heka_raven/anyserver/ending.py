"""How another's child ended: nobody but its parent may wait for it, and the kernel tells others only some of it."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import re

from heka_raven.gunicorn.kinds import ABORT, EXIT, SEGFAULT, Death, kind_of
from heka_raven.spool.watched import stat_fields

ENDED = "ended"  # nobody tells how; beside gunicorn's kinds
CRASHES = (SEGFAULT, ABORT)
# struct pidfd_info of linux/pidfd.h, its first version: 64 bytes, the exit code in the last four.
_PIDFD_GET_INFO = 0xC040FF0B
_EXIT_INFO = 1 << 3
_LAST_WORDS = re.compile(r"Fatal Python error: ([A-Z][a-z]+)")
_SIGNALS = {"Segmentation": 11, "Bus": 7, "Floating": 8, "Illegal": 4, "Aborted": 6}


def status_of(pid: int, pidfd: int) -> int | None:
    """The status of a process that ended, as waitpid has it: from Linux 6.15 on, or while its parent has not asked.

    Without a pidfd (-1) only the latter. It is 0 for who may not look into the process: so 0 is not known.
    """
    with contextlib.suppress(ValueError, IndexError):
        fields = stat_fields(pid)
        if fields[0] == "Z":  # while it is, no other process has its number
            return int(fields[49]) or None
    if pidfd < 0:
        return None
    info = array.array("Q", [_EXIT_INFO, *[0] * 7])
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    return info[7] >> 32 if info[0] & _EXIT_INFO else None


def last_words(stacks: str) -> tuple[str, int | None]:
    """What faulthandler wrote in a crash, from its first line on, and the signal that it names; empty: none."""
    at = stacks.rfind("Fatal Python error")
    if at < 0:
        return "", None
    found = _LAST_WORDS.match(stacks, at)
    return stacks[at:], _SIGNALS.get(found.group(1)) if found else None


def death_of(status: int | None, named: int | None, in_order: bool, in_flight: bool) -> tuple[str | None, Death]:
    """What an end was. Pure.

    Args:
        status: as waitpid tells it; None: nobody told.
        named: the signal that the last words name.
        in_order: it went Python's own way out.
        in_flight: whether a request was running.
    """
    death = Death(in_order=in_order, signal=named)
    if status is None and named is None:
        return (ENDED if in_flight and not in_order else None), death
    if status is not None:
        death.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        death.exit_status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    kind = kind_of(death)
    if kind == EXIT and not in_flight:
        kind = None  # whoever started it knows its status
    return kind, death
