"""Room that is kept for ledgers: a process that begins while the disk is full has a place for its counts all the same.

state/ledger/spare-0 to spare-31 are files of a ledger's size that count nothing. Who finds no room for its own takes
one by renaming it and writes over it, which needs no room. The holder of the sender's lock makes those that are gone.
"""

from __future__ import annotations

import errno
import os

COUNT = 32  # processes that may begin and end while the disk is full: 128 KiB of a disk, as a rule
FILL = b"-"  # not zero: a disk may keep no room for zeros
FULL = (errno.ENOSPC, errno.EDQUOT)

_TAKE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_MAKE = _TAKE | os.O_CREAT | os.O_EXCL


def begin_file(path: str, image: bytes) -> int:
    """A descriptor of a new file that holds *image*; of a spare beside it where the disk has no room.

    Raises:
        OSError: when there is neither; then nothing is left at *path*.
    """
    try:
        return _written(os.open(path, _MAKE, 0o600), path, image)
    except OSError as error:
        if error.errno not in FULL:
            raise
        full = error
    for name in _names():
        try:
            os.rename(os.path.join(os.path.dirname(path), name), path)
            return _written(os.open(path, _TAKE), path, image)
        except OSError:
            pass  # another process has it, or who made it was killed before it had room
    raise full


def keep(directory: str, size: int) -> None:
    """Make those that are not there.

    Raises:
        OSError: when there is no room, or no such directory.
    """
    there = set(os.listdir(directory))
    for name in _names():
        if name not in there:
            path = os.path.join(directory, name)
            os.close(_written(os.open(path, _MAKE, 0o600), path, FILL * size))


def _names() -> list[str]:
    return [f"spare-{number}" for number in range(COUNT)]


def _written(fd: int, path: str, data: bytes) -> int:
    try:
        if os.write(fd, data) != len(data):
            raise OSError(errno.EFBIG, "short write")  # a limit of files' sizes: a full disk takes all of it or nothing
    except OSError:
        os.unlink(path)  # or the next count, in a file of its own, would count what stands in this one again
        os.close(fd)
        raise
    return fd
