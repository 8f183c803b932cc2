"""The requests in flight of the servers that share a spool: files in ``state/``, written only while somebody asks.

Who asks keeps ``state/top`` fresh, in which may stand "stack 2 0 PID NAMESPACE", for the Python stack of worker 2 of
that server, with the values of its request 0; each server that watches then writes ``state/top-PID-NAMESPACE.json`` in
each look (docs/adr/0009-requests-in-flight.rst). The uWSGI plugin does so in ``watch/top.c``.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from heka_raven.spool.directory import read_file

LEASE = "top"
LEASE_S = 5.0  # who asked so long ago has gone
MAX_SIZE = 4 << 20  # bytes of one file
MAX_FILES = 64
OLD_S = 60.0  # a file that nobody writes any more


class Wanted(NamedTuple):
    """Whose stack is wanted: the worker, which of its requests, and the server, for others may share the spool."""

    worker: int
    core: int
    server_pid: int
    namespace: int


def pid_namespace() -> int:
    """The number of this process's pid namespace, in which its pid means something; 0: not known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def ask(spool_path: str, wanted: Wanted | None = None) -> None:
    """Ask all servers of this spool, for some seconds.

    Raises:
        OSError: when nothing can be written there.
    """
    with _state(spool_path) as state:
        _replace(state, LEASE, b"stack %d %d %d %d\n" % wanted if wanted else b"")


def stop_asking(spool_path: str) -> None:
    with contextlib.suppress(OSError), _state(spool_path) as state:
        os.unlink(LEASE, dir_fd=state)


def is_asked(spool_path: str, now: float) -> tuple[bool, Wanted | None]:
    """Whether somebody asks; and for whose stack, of whatever server."""
    path = os.path.join(spool_path, "state", LEASE)
    try:
        info = os.lstat(path)
    except OSError:
        return False, None
    if not stat.S_ISREG(info.st_mode) or abs(now - info.st_mtime) > LEASE_S:  # the clock may have been set back
        return False, None
    word, *numbers = (read_file(path, 128) or b"").split() or [b""]
    if word != b"stack" or len(numbers) != 4 or not all(number.isdigit() for number in numbers):
        return True, None
    return True, Wanted(*map(int, numbers))


def tell(spool_path: str, told: dict[str, Any]) -> None:
    """Answer as this process. Never raises: it is for people only."""
    with contextlib.suppress(OSError, TypeError), _state(spool_path) as state:
        _replace(state, f"top-{os.getpid()}-{pid_namespace()}.json", orjson.dumps(told))


def stop_telling(spool_path: str) -> None:
    with contextlib.suppress(OSError), _state(spool_path) as state:
        os.unlink(f"top-{os.getpid()}-{pid_namespace()}.json", dir_fd=state)


def read_told(spool_path: str, now: float) -> list[dict[str, Any]]:
    """What each server told last; what is old is removed.

    Raises:
        OSError: when the spool cannot be read.
    """
    found = []
    with _state(spool_path) as state:
        names = [name for name in os.listdir(state) if name.startswith("top-") and name.endswith(".json")]
        for name in sorted(names)[:MAX_FILES]:
            with contextlib.suppress(OSError, orjson.JSONDecodeError):
                if abs(os.stat(name, dir_fd=state, follow_symlinks=False).st_mtime - now) > OLD_S:
                    os.unlink(name, dir_fd=state)
                    continue
                told = orjson.loads(_read(state, name))
                if isinstance(told, dict) and told.get("format") == 1 and isinstance(told.get("requests"), list):
                    found.append(told)
    return found


@contextlib.contextmanager
def _state(spool_path: str) -> Iterator[int]:
    """The directory, by a descriptor: where root asks, its owner must not lead us elsewhere meanwhile."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    root = os.open(spool_path, flags)
    try:
        state = os.open("state", flags, dir_fd=root)
    finally:
        os.close(root)
    try:
        yield state
    finally:
        os.close(state)


def _replace(state: int, name: str, data: bytes) -> None:
    temporary = f".{name}.{os.getpid()}-{pid_namespace()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=state)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600, dir_fd=state), "wb") as file:
        file.write(data)
        if os.geteuid() == 0:
            owner = os.fstat(state)
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    os.rename(temporary, name, src_dir_fd=state, dst_dir_fd=state)


def _read(state: int, name: str) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=state), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return b""
        return file.read(MAX_SIZE)
