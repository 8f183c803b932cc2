"""The files in which a process tells its requests to `heka-raven watch`.

``state/watch/PID-START`` is the row, stacks and values are beside it.
START is when the process began, as the kernel counts: numbers of processes are used again.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from heka_raven.spool.directory import check_directory, make_spool

STACKS, VALUES = ".stacks", ".values"
MAX_FILES = 1000
SWEEP_FROM = 200  # files of processes that left them, as those of a pool that is killed
_NAME = re.compile(r"([0-9]{1,10})-([0-9]{1,20})")
_PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def stat_fields(pid: int) -> list[str]:
    """What ``/proc/PID/stat`` says of the process, from its state on, the third field; empty: there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def start_of(pid: int) -> int:
    """When the process began; 0: there is none, or it is dead."""
    fields = stat_fields(pid)
    try:
        return 0 if fields[0] in ("Z", "X") else int(fields[19])
    except (ValueError, IndexError):
        return 0


def make_own(spool_path: str, size: int) -> tuple[int, int, int, str]:
    """Make the files of this process.

    Returns:
        Descriptors of *size* zeros and of the files for stacks and values, and the path of the first.

    Raises:
        SpoolError: when the spool cannot be used.
        OSError: when there is no room.
    """
    make_spool(spool_path)
    folder = _folder(spool_path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    check_directory(folder)
    path = os.path.join(folder, f"{os.getpid()}-{start_of(os.getpid())}")
    remove(path)  # of the program that this process was before an exec
    if len(told(spool_path)) > SWEEP_FROM:
        sweep(spool_path)
    made: list[int] = []
    try:
        for name, more in ((path + STACKS, os.O_APPEND), (path + VALUES, 0), (path, 0)):
            made.append(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | more | _PLAIN, 0o600))
        os.posix_fallocate(made[2], 0, size)  # a full disk is an error now, not a SIGBUS later
    except BaseException:
        close_all(made)
        remove(path)
        raise
    stacks, values, row = made
    return row, stacks, values, path


def close_all(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


def remove(path: str) -> None:
    for name in (path, path + STACKS, path + VALUES):
        with contextlib.suppress(OSError):
            os.unlink(name)


def told(spool_path: str) -> list[tuple[int, int, str]]:
    """Each process that tells: its number, when it began, and the path of its file."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(_folder(spool_path))[: 3 * MAX_FILES]:
            if (match := _NAME.fullmatch(name)) is not None:
                found.append((int(match[1]), int(match[2]), os.path.join(_folder(spool_path), name)))
    return found


def sweep(spool_path: str) -> None:
    """Remove what processes left that are gone."""
    for pid, start, path in told(spool_path):
        if start_of(pid) != start:
            remove(path)


def open_told(path: str, size: int) -> tuple[int, int, int]:
    """Descriptors of the files of another process, to look at: its row, stacks and values.

    Raises:
        OSError: they are gone, or are none of that process.
    """
    opened: list[int] = []
    try:
        for name in (path, path + STACKS, path + VALUES):
            opened.append(os.open(name, os.O_RDWR | _PLAIN))
            info = os.fstat(opened[-1])
            if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
                raise OSError(f"{path} is none of a process that tells")
        if os.fstat(opened[0]).st_size != size:
            raise OSError(f"{path} is none of a process that tells")
    except BaseException:
        close_all(opened)
        raise
    row, stacks, values = opened
    return row, stacks, values


def _folder(spool_path: str) -> str:
    return os.path.join(spool_path, "state", "watch")
