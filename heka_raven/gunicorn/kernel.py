"""What the kernel tells of processes and of their cgroup."""

from __future__ import annotations

from heka_raven.spool.watched import stat_fields


def parent_of(pid: int) -> int:
    """The parent of the process *pid*; 0 if it is gone."""
    try:
        return int(stat_fields(pid)[1])
    except (ValueError, IndexError):
        return 0


def oom_kills() -> int:
    """How many processes of our cgroup the kernel killed for want of memory; 0 where nobody counts."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            path = next((line[3:].strip() for line in file if line.startswith("0::")), None)
        if path is None:
            return 0
        with open(f"/sys/fs/cgroup{path}/memory.events", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError):
        return 0


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal: what has none, it dies of."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            mask = next((int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")), 0)
    except (OSError, ValueError, IndexError):
        return False
    return bool(mask >> (number - 1) & 1)
