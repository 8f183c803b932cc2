"""Where every event ended, in counters that survive the death of their process.

One file per writer, state/ledger/<pid>-<start time>-<tag>: 512 bytes, the counters of tests/data/ledger.tsv. A writer
keeps its own values in memory and writes the absolute value, so a write that failed (disk full) is made good by the
next. A written page survives SIGKILL. Nobody else writes to the file, so no lock is shared between processes; the tag
keeps the C plugin, sub-interpreters and an exec'ed image of the same process out of it.

`fold` (the sender alone) adds the files of dead processes to state/ledger/total, which names them: a reader skips a
file that total names, so each is counted exactly once whatever dies in between.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from heka_raven.spool import spares
from heka_raven.spool.directory import SpoolError, close_read, is_at, replace_file

MAGIC = b"HKLEDG01"
SIZE = 512  # bytes; the rest after the last counter is zero and reserved
OFFSETS = {
    "captured": 8,
    "delivered": 16,
    "discarded.queue_overflow": 24,
    "discarded.cache_overflow": 32,
    "discarded.ratelimit_backoff": 40,
    "discarded.network_error": 48,
    "discarded.sample_rate": 56,
    "discarded.before_send": 64,
    "discarded.event_processor": 72,
    "discarded.send_error": 80,
    "discarded.internal_sdk_error": 88,
    "discarded.throttled": 96,
    "discarded.client_disconnect": 104,
    "spooled.count": 112,
    "spooled.bytes": 120,
    "removed.count": 128,
    "removed.bytes": 136,
    "scrub_failed": 144,
    "write_failed": 152,
}
DISCARDED = tuple(name for name in OFFSETS if name.startswith("discarded."))
TOTAL = "total"
MASK = (1 << 64) - 1  # counters wrap as u64 do in C
MAX_TOTAL = 64 * 1024 * 1024  # bytes; a name has about 30
SNAPSHOT_TRIES = 20  # a reader that meets a fold in each of them takes the last as it is

_COUNT = (SIZE - 8) // 8
_INDEX = {name: offset // 8 - 1 for name, offset in OFFSETS.items()}
_LAYOUT = struct.Struct(f"<8s{_COUNT}Q")
_PACK = [struct.Struct(f"<{n}Q").pack for n in range(1, _COUNT + 1)]  # by the number of counters less one
_FILE = re.compile(r"([0-9]+)-([0-9]+)(?:-[A-Za-z0-9]+)?", re.ASCII)
LOOK_EVERY_S = 1.0  # at whether the file is at its path still: a spool may be moved away
_OPEN_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The sum over every process, living and dead."""

    counts: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.counts[name]

    @property
    def pending(self) -> int:
        """Files in ``new/`` as the counters have it; the sender corrects the drift that killed processes leave."""
        return _signed(self.counts["spooled.count"] - self.counts["removed.count"])

    @property
    def pending_bytes(self) -> int:
        return _signed(self.counts["spooled.bytes"] - self.counts["removed.bytes"])

    @property
    def discarded(self) -> dict[str, int]:
        return {name.partition(".")[2]: self.counts[name] for name in DISCARDED}

    @property
    def missing(self) -> int:
        """``captured - delivered - pending - discarded``: 0, or at most one per killed process."""
        ends = self.counts["delivered"] + self.pending + sum(self.discarded.values())
        return _signed(self.counts["captured"] - ends)


class Ledger:
    """The counters of one writer. Safe between threads, across forks, and on a disk that is full or gone."""

    def __init__(self, spool_path: str, find: Callable[[], str] | None = None) -> None:
        """Count for the spool at *spool_path*.

        Args:
            find: called before a file is begun; returns the spool's path, or raises where there is none yet. Until then
                the counts are held in memory.
        """
        self.directory = os.path.join(spool_path, "state", "ledger")
        self._find = find
        self._reset()

    def _reset(self) -> None:
        """Begin anew: at first, and in a forked child, whose parent keeps the old file (and maybe its lock)."""
        self._lock = threading.RLock()  # re-entrant: a signal handler may report while its own thread counts
        self._fd = -1
        self._inode = (-1, -1)
        self._path = ""
        self._look_at = 0.0
        self._dirty = False
        self._values = [0] * _COUNT
        self._pid = os.getpid()

    def add(self, name: str, n: int = 1) -> None:
        """Count. Never raises: what cannot be written now is written with the next count."""
        self.add_many(((name, n),))

    def add_many(self, changes: tuple[tuple[str, int], ...]) -> None:
        """Count several names in one write: a kill counts all of them or none."""
        if self._pid != os.getpid():
            self.after_fork()
        with self._lock:
            values = self._values
            first, last = _COUNT, 0
            for name, n in changes:
                index = _INDEX[name]
                values[index] = (values[index] + n) & MASK
                if index < first:  # min() and max() would cost a request more than the write itself
                    first = index
                if index > last:
                    last = index
            try:
                if self._fd < 0:
                    self._open()
                elif self._dirty:
                    os.pwrite(self._fd, self._image(), 0)
                else:
                    # All values are ours, so those in between may be written along.
                    os.pwrite(self._fd, _PACK[last - first](*values[first : last + 1]), 8 * first + 8)
                self._dirty = False
            except (OSError, SpoolError):
                self._dirty = True

    def begin(self) -> bool:
        """Whether there is a file to count in; made where there was none yet. For what can wait until there is one."""
        if self._fd < 0 or self._pid != os.getpid():
            self.add_many(())
        return self._fd >= 0

    def write_missing(self) -> None:
        """Write what could not be written: there may be no next count for long, or none at all. Never raises."""
        if self._dirty and self._pid == os.getpid():
            self.add_many(())

    def is_gone(self) -> bool:
        """Whether our file was deleted, for the price of one system call; once a second also whether it was moved."""
        if self._fd < 0 or self._pid != os.getpid():
            return False
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            return not is_at(self._fd, self._path)
        try:
            info = os.fstat(self._fd)
        except OSError:
            return True  # somebody closed every descriptor
        return info.st_nlink == 0 or (info.st_dev, info.st_ino) != self._inode

    def renew(self, *carried: tuple[str, int]) -> None:
        """Begin a new file if ours went away, with the whole spool as a rule: events and counts are gone together.

        Args:
            carried: counts of the event in hand, which belongs to the new spool.
        """
        if self._pid != os.getpid():
            return
        with self._lock:
            if self._fd < 0 or is_at(self._fd, self._path):
                return
            self._close()
            self._values = [0] * _COUNT
            if carried:
                self.add_many(carried)

    def move(self, *carried: tuple[str, int]) -> None:
        """Begin a new file in another spool, which *find* returns by now.

        Args:
            carried: counts of the event in hand, which goes to the new spool.
        """
        with self._lock:
            if self._fd < 0:
                return  # nothing was counted elsewhere
            self.add_many(tuple((name, -n) for name, n in carried))
            self.close()
            self.add_many(carried)

    def after_fork(self) -> None:
        """Leave the parent's file to the parent."""
        fd, inode = self._fd, self._inode
        self._reset()
        _close_ours(fd, inode)

    def close(self) -> None:
        """Leave the file to whoever folds it; a later count begins a new one."""
        with self._lock:
            self.write_missing()
            self._close()
            self._values = [0] * _COUNT

    def __del__(self) -> None:
        try:
            self.write_missing()
            self._close()
        except Exception:
            pass  # half-built, or the interpreter is going down

    def _image(self) -> bytes:
        return _LAYOUT.pack(MAGIC, *self._values)

    def _open(self) -> None:
        if self._find is not None:
            self.directory = os.path.join(self._find(), "state", "ledger")
        name = f"{self._pid}-{start_time(self._pid)}-{secrets.token_hex(4)}"
        path = os.path.join(self.directory, name)
        fd = spares.begin_file(path, self._image())
        try:
            info = os.fstat(fd)
        except OSError:
            os.unlink(path)  # or the next count, in a file of its own, would count what stands in this one again
            os.close(fd)
            raise
        self._fd, self._inode, self._path = fd, (info.st_dev, info.st_ino), path

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        _close_ours(fd, self._inode)


def _close_ours(fd: int, inode: tuple[int, int]) -> None:
    """Close *fd* if it still is our file.

    Whoever daemonises closes every descriptor; the number may be a file of the app's by now.
    """
    try:
        info = os.fstat(fd)
        if (info.st_dev, info.st_ino) == inode:
            os.close(fd)
    except OSError:
        pass  # none: closed, or never opened


def start_time(pid: int) -> str:
    """Field 22 of ``/proc/<pid>/stat``; "0" where there is none: then the pid alone tells whether the process lives."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the program's name in parentheses and may hold anything.
            return file.read().rpartition(b") ")[2].split(b" ")[19].decode("ascii")
    except (OSError, IndexError):
        return "0"


def is_alive(pid: int, start: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's: it lives
    now = start_time(pid)
    return now == start or "0" in (now, start)


def read_snapshot(spool_path: str) -> Snapshot:
    """Sum every ledger file; consistent also while a sender folds."""
    directory = os.path.join(spool_path, "state", "ledger")
    values = [0] * _COUNT
    for _ in range(SNAPSHOT_TRIES):
        version, values, folded = _read_total(directory)
        complete = True
        for name in _files(directory):
            if name in folded:
                continue
            path = os.path.join(directory, name)
            counts = _read_values(path)
            if counts is None:
                complete = complete and os.path.lexists(path)  # gone: folded since we listed; there: no ledger
            else:
                values = [(a + b) & MASK for a, b in zip(values, counts, strict=True)]
        if complete and version == _read_total(directory)[0]:
            break
    return Snapshot({name: values[index] for name, index in _INDEX.items()})


def fold(spool_path: str) -> int:
    """Add the ledgers of dead processes to ``total`` and remove them; for the holder of the sender's lock only.

    Returns:
        How many were added.

    Raises:
        OSError: when ``total`` cannot be read now: it must not be taken for an empty one and replaced.
    """
    directory = os.path.join(spool_path, "state", "ledger")
    _, values, folded = _read_total(directory, strict=True)
    left = {name for name in folded if _remove(os.path.join(directory, name))}
    added = []
    for name in _files(directory):
        found = _FILE.fullmatch(name)
        if name in left or found is None or is_alive(int(found.group(1)), found.group(2)):
            continue
        try:
            # One that is no ledger (a kill within its creation) counts nothing; it is taken away all the same.
            counts = _read_values(os.path.join(directory, name), strict=True) or [0] * _COUNT
        except OSError:
            continue  # no descriptor is free, as a rule; or a disk that cannot find what it has listed: the next time
        values = [(a + b) & MASK for a, b in zip(values, counts, strict=True)]
        added.append(name)
    if added:
        _write_total(directory, values, left.union(added))
        left.update(name for name in added if _remove(os.path.join(directory, name)))
    if added or left != folded:
        # What is gone is named no longer: after a reboot the same pid may start at the same tick.
        _write_total(directory, values, left)
    return len(added)


def _write_total(directory: str, values: list[int], names: set[str]) -> None:
    temporary = os.path.join(directory, f".{TOTAL}")  # one name: what a killed fold left goes away
    data = _LAYOUT.pack(MAGIC, *values) + "".join(f"{name}\n" for name in sorted(names)).encode("ascii")
    replace_file(os.path.join(directory, TOTAL), data, temporary)


def _remove(path: str) -> bool:
    """Unlink; whether it is still there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return os.path.lexists(path)  # a disk in trouble: a name that total forgets would be counted a second time
    except OSError:
        return True
    return False


def _files(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return iter(())
    return (name for name in names if _FILE.fullmatch(name))


def _read(path: str, limit: int, strict: bool = False) -> bytes | None:
    """The file's bytes; None when there is no regular file, or (unless *strict*: raised) it cannot be read now."""
    try:
        fd = os.open(path, _OPEN_READ)
    except OSError as error:
        if strict and error.errno != errno.ELOOP:
            raise
        return None
    try:
        return os.read(fd, limit) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        if strict:
            raise
        return None
    finally:
        close_read(fd)


def _read_values(path: str, strict: bool = False) -> list[int] | None:
    found = _read(path, SIZE, strict)
    if found is None or len(found) != SIZE or found[:8] != MAGIC:
        return None
    return list(_LAYOUT.unpack(found)[1:])


def _read_total(directory: str, strict: bool = False) -> tuple[bytes | None, list[int], set[str]]:
    """Its bytes, which tell one version from the next (an inode and its mtime may come round), counters and names."""
    path = os.path.join(directory, TOTAL)
    try:
        found = _read(path, MAX_TOTAL, strict)
    except FileNotFoundError:
        if os.path.lexists(path):  # a disk in trouble: all counts of the past would be gone
            raise
        found = None
    if found is None or found[:8] != MAGIC or len(found) < SIZE:
        return None, [0] * _COUNT, set()
    return found, list(_LAYOUT.unpack(found[:SIZE])[1:]), set(found[SIZE:].decode("ascii", "replace").split())


def _signed(value: int) -> int:
    value &= MASK
    return value - (1 << 64) if value >> 63 else value
