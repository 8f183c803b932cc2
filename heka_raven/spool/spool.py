"""The directory in which events wait, one file each, maildir style.

new/    <unix_ns, 20 digits>-<pid>-<event_id>.env    waiting; stays until delivered or discarded tmp/    being
written; swept after an hour dead/   copies of what a server refused, capped state/  sender.lock limits.json ledger/

A file appears in new/ by rename, whole: it survives the death of its writer at any moment. No lock is taken: any
number of processes, of both languages, write at once. `put` never raises and never waits.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from heka.exceptions import ConfigError
from heka.limited_log import SparseLog
from heka_raven.spool import ledger as ledger_module
from heka_raven.spool.directory import ENVIRONMENT, SpoolError, make_spool, read_file, replace_file, resolve_spool_path
from heka_raven.spool.ledger import Ledger

__all__ = ["Backlog", "Entry", "Spool", "SpoolError", "parse_name", "read_backlog", "resolve_spool_path"]

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
DEFAULT_MAX_COUNT = 50_000
DEAD_MAX_BYTES = 16 * 1024 * 1024
MAX_WHY = 4096  # bytes of a reason in dead/
DEAD_MAX_COUNT = 1_000
TRIM_DEAD_EVERY = 100  # copies; the caps of dead/ are soft by so many
TMP_MAX_AGE_S = 3600.0  # a file in tmp/ this old has lost its writer
# The level of the spool is the sum of the ledger files. It is read again after a second when the spool is more than
# half full, after ten otherwise; in between our own writes are added to it. So a write costs the same however many
# wait.
LEVEL_FAR_S = 10.0
LEVEL_NEAR_S = 1.0
LEVEL_FULL_S = 0.1
DURABILITIES = ("process", "power")

_NAME = re.compile(r"([0-9]{20})-([0-9]+)-([0-9a-f]{32})\.env", re.ASCII)
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file's name says."""

    name: str
    timestamp_ns: int
    pid: int
    event_id: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What lies in ``new/``."""

    count: int
    size: int
    oldest: Entry | None


def parse_name(name: str) -> Entry | None:
    """The parts of a file name of ``new/``; None for a foreign file."""
    found = _NAME.fullmatch(name)
    return None if found is None else Entry(name, int(found.group(1)), int(found.group(2)), found.group(3))


def age_s(name: str, now: float) -> float:
    """How old the event of a file name is; 0 where the clock was set back since."""
    entry = parse_name(name)
    return 0.0 if entry is None else max(0.0, now - entry.timestamp_ns / 1e9)


class Spool:
    """The spool of one directory: what writers and the sender do with its files."""

    def __init__(
        self,
        path: str | None = None,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_count: int = DEFAULT_MAX_COUNT,
        durability: str = "process",
        ledger: Ledger | None = None,
        later: bool = False,
    ) -> None:
        """Make the directories, or refuse.

        Args:
            durability: ``process`` survives the death of the process; ``power`` fsyncs file and directory as well.
            ledger: where to count; default: one of its own.
            later: touch nothing now: the first event makes the directories, in the process and as the user that has
                it, and where that fails it is counted and told as lost.

        Raises:
            SpoolError: when the directory cannot be made or must not be trusted.
            ConfigError: for a value outside its limits.
        """
        if durability not in DURABILITIES:
            raise ConfigError(f"durability: {durability!r} is none of {', '.join(DURABILITIES)}")
        for key, value in (("max_bytes", max_bytes), ("max_count", max_count)):
            if value < 1:
                raise ConfigError(f"{key}: {value} is less than 1")
        given = path or os.environ.get(ENVIRONMENT)
        self._given = os.path.abspath(given) if given else None  # the directory we are in now may not be that of later
        self.path, self.reason = resolve_spool_path(path)
        self.max_bytes = max_bytes
        self.max_count = max_count
        self.durability = durability
        self._uid = -1  # as whom it was opened; -1: not yet
        self.ledger = Ledger(self.path, self._find if later else None) if ledger is None else ledger
        self._level_count = self._level_bytes = 0
        self._buried = 0
        self._log = SparseLog()
        self._set_path(self.path)
        if not later:
            self.open()

    def open(self, *carried: tuple[str, int]) -> None:
        """Make what is missing, and check it; anew where the process has another user by now.

        Args:
            carried: counts of the event in hand, where it was counted as the former user's.

        Raises:
            SpoolError: when the directory cannot be made or must not be trusted.
        """
        uid, before = os.geteuid(), self._uid
        path = self._given or resolve_spool_path(uid=uid)[0]
        make_spool(path)
        self._set_path(path)
        self._uid = uid
        if before not in (-1, uid):
            self.ledger.move(*carried)

    def _find(self) -> str:
        if self._uid != os.geteuid():
            self.open()
        return self.path

    def _set_path(self, path: str) -> None:
        self.path = path
        self._new = os.path.join(path, "new")
        self._tmp = os.path.join(path, "tmp")
        self._dead = os.path.join(path, "dead")
        self._level_read_at = float("-inf")

    def put(self, event_id: str, *envelope: bytes) -> bool:
        """Take an event in. Never raises; what cannot be kept is counted as ``cache_overflow``.

        Args:
            envelope: the bytes of the file, in one part or several.

        Returns:
            True once the event survives the death of this process.
        """
        try:
            size = sum(map(len, envelope))
            if self._uid != os.geteuid():
                self.open(("captured", 1))
            elif self.ledger.is_gone():
                self._begin_anew(("captured", 1))
            if not self.has_room(size):
                self.ledger.add("discarded.cache_overflow")
                self.log_sparingly("full", "spool %s is full (%d events, %d bytes): events are discarded",
                                   self.path, self._level_count, self._level_bytes)  # fmt: skip
                return False
            try:
                self._write(event_id, envelope, size)
            except FileNotFoundError:
                self._begin_anew(("captured", 1))
                self._write(event_id, envelope, size)
        except Exception as error:
            self.ledger.add_many((("discarded.cache_overflow", 1), ("write_failed", 1)))
            self.log_sparingly("write", "spool %s: an event could not be written and is lost: %s", self.path, error)
            return False
        self._count_spooled(size)
        return True

    def take_over(self, event_id: str, envelope: bytes) -> bool:
        """Take an event in from where it can stay. Never raises; it counts as captured only when it was taken."""
        try:
            if self.ledger.is_gone():
                self._begin_anew()
            if not self.ledger.begin():
                self.log_sparingly("count", "spool %s: an event cannot be counted and waits", self.path)
                return False
            if not self.has_room(len(envelope)):
                return False
            try:
                self._write(event_id, (envelope,), len(envelope))
            except FileNotFoundError:
                self._begin_anew()
                self._write(event_id, (envelope,), len(envelope))
        except Exception as error:
            self.log_sparingly("write", "spool %s: an event cannot be written and waits: %s", self.path, error)
            return False
        self._count_spooled(len(envelope), ("captured", 1))
        return True

    def _count_spooled(self, size: int, *more: tuple[str, int]) -> None:
        self.ledger.add_many((("spooled.count", 1), ("spooled.bytes", size), *more))
        self._level_count += 1
        self._level_bytes += size

    def _begin_anew(self, *carried: tuple[str, int]) -> None:
        """The spool was deleted under us (by a cleaner of /tmp, as a rule): make what is missing, and count anew.

        Another process may have made the directories already; our file of counters is then still the deleted one.

        Args:
            carried: counts of the event in hand, which belongs to the new spool.
        """
        make_spool(self.path)
        self.ledger.renew(*carried)
        self._level_read_at = float("-inf")

    def _write(self, event_id: str, envelope: tuple[bytes, ...], size: int) -> None:
        name = f"{time.time_ns():020d}-{os.getpid()}-{event_id}.env"
        temporary = f"{self._tmp}/{name}"
        fd = os.open(temporary, _FLAGS, 0o600)
        try:
            try:
                written = os.writev(fd, envelope)
                while written < size:  # a disk that fills up: the next write says so
                    written += os.write(fd, memoryview(b"".join(envelope))[written:])
                if self.durability == "power":
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, f"{self._new}/{name}")
        except BaseException:
            _unlink(temporary)
            raise
        if self.durability == "power":
            _fsync_directory(self._new)

    def has_room(self, size: int) -> bool:
        """Whether `put` would take *size* more bytes now; for whoever can leave an event where it is."""
        now = time.monotonic()
        age_s = now - self._level_read_at
        near = 2 * self._level_count > self.max_count or 2 * self._level_bytes > self.max_bytes
        if age_s >= (LEVEL_NEAR_S if near else LEVEL_FAR_S) or (not self._fits(size) and age_s >= LEVEL_FULL_S):
            snapshot = ledger_module.read_snapshot(self.path)
            self._level_count, self._level_bytes = max(0, snapshot.pending), max(0, snapshot.pending_bytes)
            self._level_read_at = now
        return self._fits(size)

    def _fits(self, size: int) -> bool:
        return self._level_count < self.max_count and self._level_bytes + size <= self.max_bytes

    def names(self) -> list[str]:
        """The names in ``new/``, oldest first; foreign files are left out.

        Raises:
            OSError: when it is there and cannot be listed.
        """
        try:
            with os.scandir(self._new) as found:
                return sorted(entry.name for entry in found if _NAME.fullmatch(entry.name))
        except FileNotFoundError:  # nothing to send; the lock's check tells the sender
            return []

    def new_mtime_ns(self) -> int:
        """When ``new/`` changed last; 0 when it is gone."""
        try:
            return os.stat(self._new).st_mtime_ns
        except OSError:
            return 0

    def read(self, name: str, directory: str = "new") -> bytes | None:
        """The bytes of a file; None when it vanished (somebody else delivered it) or is no regular file of ours."""
        return read_file(os.path.join(self.path, directory, name))

    def is_waiting(self, name: str) -> bool:
        """Whether a file is in ``new/`` still, be it readable or not."""
        return os.path.lexists(f"{self._new}/{name}")

    def remove(self, name: str, counter: str, size: int) -> bool:
        """Take a file out of ``new/`` and count its end. Only who really took it counts.

        The file goes first: a kill in between leaves the ledger one short and sends nothing twice.
        """
        return self._take(name, counter, size, None)

    def bury(self, name: str, counter: str, size: int, why: str = "") -> bool:
        """Take a file out of ``new/``, count its end, and keep it in ``dead/`` for people, with the reason."""
        taken = self._take(name, counter, size, f"{self._dead}/{name}")
        if taken and why:
            path = self._why(name)
            with contextlib.suppress(OSError):  # a full disk: the copy says it as well as it can
                replace_file(path, f"{why}\n".encode("utf-8", "replace"), f"{path}.new")
        self._buried += 1
        if self._buried % TRIM_DEAD_EVERY == 0:
            self._trim_dead()
        return taken

    def _take(self, name: str, counter: str, size: int, target: str | None) -> bool:
        path = f"{self._new}/{name}"
        try:
            if target is None:
                os.unlink(path)
            else:
                try:
                    os.rename(path, target)
                except OSError:  # no dead/: the copy is lost, not the count; or no file: the unlink will tell
                    os.unlink(path)
                else:
                    # A plugin's sender that was killed here left one file under both names: a rename does nothing then.
                    try:
                        os.unlink(path)
                    except OSError:  # as a rule it is gone
                        if os.path.lexists(path):
                            raise
        except FileNotFoundError:
            return False
        except OSError as error:
            self.log_sparingly("remove", "spool %s: a finished event cannot be removed: %s", self.path, error)
            return False
        self.ledger.add_many(((counter, 1), ("removed.count", 1), ("removed.bytes", size)))
        return True

    def dead_names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._dead) if _NAME.fullmatch(name))
        except OSError:
            return []

    def _why(self, name: str) -> str:
        return f"{self._dead}/{name.removesuffix('.env')}.why"

    def why_dead(self, name: str) -> str:
        """Why a server refused it, if the sender said so."""
        data = read_file(self._why(name), MAX_WHY)
        return "" if data is None else data.decode("utf-8", "replace").strip()

    def retry_dead(self, name: str) -> bool:
        """Capture a dead event anew, under its old event id; it counts as captured a second time."""
        entry = parse_name(name)
        envelope = None if entry is None else self.read(name, "dead")
        if entry is None or envelope is None or not self.take_over(entry.event_id, envelope):
            return False
        _unlink(f"{self._dead}/{name}")
        _unlink(self._why(name))
        return True

    def sweep(self, now: float) -> None:
        """Housekeeping of the lock's holder: orphans in ``tmp/``, and the oldest of ``dead/`` over its caps."""
        for path, info in _stat_files(self._tmp):
            if now - info.st_mtime > TMP_MAX_AGE_S:
                _unlink(path)
        self._trim_dead()

    def _trim_dead(self) -> None:
        size = 0
        found = dict(_stat_files(self._dead))
        copies = sorted((path for path in found if not path.endswith(".why")), reverse=True)  # by time
        kept = set()
        for count, path in enumerate(copies, start=1):
            size += found[path].st_size
            if count > DEAD_MAX_COUNT or size > DEAD_MAX_BYTES:
                _unlink(path)
            else:
                kept.add(path.removesuffix(".env"))
        for path in found:
            if path.endswith(".why") and path.removesuffix(".why") not in kept:
                _unlink(path)

    def log_sparingly(self, kind: str, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a trouble of this kind, at most once a minute."""
        self._log.tell(kind, logging.ERROR, message, *args, exc_info=exc_info)


def read_backlog(spool_path: str) -> Backlog:
    """Count what waits, without touching anything."""
    count = size = 0
    oldest: Entry | None = None
    for path, info in _stat_files(os.path.join(spool_path, "new")):
        entry = parse_name(os.path.basename(path))
        if entry is not None:
            count += 1
            size += info.st_size
            oldest = entry if oldest is None or entry.name < oldest.name else oldest
    return Backlog(count, size, oldest)


def _stat_files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        found = os.scandir(directory)
    except OSError:
        return
    with found:  # one entry at a time: a list of 100,000 takes 40 MB
        for entry in found:
            try:
                yield entry.path, entry.stat(follow_symlinks=False)
            except OSError:
                pass  # gone in between


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # gone, or not ours to remove; the sweep tries again


def _fsync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
