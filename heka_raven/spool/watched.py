"""The files in which a process tells its requests to `heka-raven watch`: ``state/watch/PID-START``, and stacks beside.

START is when the process began, as the kernel counts: numbers of processes are used again.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from heka_raven.spool.directory import check_directory, make_spool

STACKS = ".stacks"
MAX_FILES = 1000
_NAME = re.compile(r"([0-9]{1,10})-([0-9]{1,20})")
_PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def start_of(pid: int) -> int:
    """When the process began; 0: there is none, or it is dead."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return 0 if fields[0] in ("Z", "X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0


def make_own(spool_path: str, size: int) -> tuple[int, int, str]:
    """Make the files of this process.

    Returns:
        Descriptors of *size* zeros and of the file for stacks, and the path of the first.

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
    stacks = os.open(path + STACKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _PLAIN, 0o600)
    try:
        told = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, 0o600)
        try:
            os.posix_fallocate(told, 0, size)  # a full disk is an error now, not a SIGBUS later
        except BaseException:
            os.close(told)
            raise
    except BaseException:
        os.close(stacks)
        remove(path)
        raise
    return told, stacks, path


def remove(path: str) -> None:
    for name in (path, path + STACKS):
        with contextlib.suppress(OSError):
            os.unlink(name)


def told(spool_path: str) -> list[tuple[int, int, str]]:
    """Each process that tells: its number, when it began, and the path of its file."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(_folder(spool_path))[: 2 * MAX_FILES]:
            if (match := _NAME.fullmatch(name)) is not None:
                found.append((int(match[1]), int(match[2]), os.path.join(_folder(spool_path), name)))
    return found


def sweep(spool_path: str) -> None:
    """Remove what processes left that are gone."""
    for pid, start, path in told(spool_path):
        if start_of(pid) != start:
            remove(path)


def open_told(path: str, size: int) -> tuple[int, int]:
    """Descriptors of both files of another process, to look at.

    Raises:
        OSError: they are gone, or are none of that process.
    """
    file = os.open(path, os.O_RDONLY | _PLAIN)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_size != size:
            raise OSError(f"{path} is none of a process that tells")
        stacks = os.open(path + STACKS, os.O_RDWR | _PLAIN)
    except BaseException:
        os.close(file)
        raise
    return file, stacks


def _folder(spool_path: str) -> str:
    return os.path.join(spool_path, "state", "watch")
