"""Which directory is the spool, and whether it may be trusted.

The plugin in C applies the same rules (docs/delivery.rst): the explicit setting, else $HEKA_RAVEN_SPOOL, else
/var/spool/heka-raven/UID where that can be made, else /tmp/heka-raven-UID. What is there must be a real directory of
ours with mode 0700: the files hold keys and what users typed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from heka.exceptions import ConfigError

ENVIRONMENT = "HEKA_RAVEN_SPOOL"
SYSTEM_PARENT = "/var/spool/heka-raven"
MAX_STATE = 16 * 1024 * 1024  # bytes of a file in state/; a larger one is none of ours
MAX_FORMAT_SIZE = 16  # bytes of state/format: a number
PARTS = ("new", "tmp", "dead", "state", "state/ledger")


class SpoolError(ConfigError):
    """A spool that cannot be used; one line that says why and what to do."""


def resolve_spool_path(explicit: str | None = None, uid: int | None = None) -> tuple[str, str]:
    """Where the spool is, and why there. Creates nothing.

    Args:
        explicit: a setting; it wins.
        uid: whose spool; default: the effective user.
    """
    if explicit:
        return os.path.abspath(explicit), "set explicitly"
    from_environment = os.environ.get(ENVIRONMENT)
    if from_environment:
        return os.path.abspath(from_environment), f"from ${ENVIRONMENT}"
    uid = os.geteuid() if uid is None else uid
    path = os.path.join(SYSTEM_PARENT, str(uid))
    if os.path.lexists(path) and not _is_read_only(path):
        return path, "the system's spool, it exists"
    parent = SYSTEM_PARENT if os.path.isdir(SYSTEM_PARENT) else os.path.dirname(SYSTEM_PARENT)
    if os.access(parent, os.W_OK | os.X_OK):
        return path, f"the system's spool, {parent} is writable"
    return f"/tmp/heka-raven-{uid}", f"{parent} is not writable"  # noqa: S108 - ours alone or refused, see check_directory


def _is_read_only(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def check_directory(path: str, *, any_owner: bool = False) -> os.stat_result:
    """Refuse a directory that somebody else could read or swap.

    Raises:
        SpoolError: with what is wrong and what to do.
    """
    try:
        info = os.lstat(path)
    except OSError as error:
        raise SpoolError(f"spool {path}: {_words(error)}") from None
    if stat.S_ISLNK(info.st_mode):
        raise SpoolError(f"spool {path}: is a symbolic link; name the directory itself")
    if not stat.S_ISDIR(info.st_mode):
        raise SpoolError(f"spool {path}: is not a directory")
    if info.st_uid != os.geteuid() and not any_owner:
        raise SpoolError(
            f"spool {path}: belongs to uid {info.st_uid}, this process is uid {os.geteuid()}; "
            "name a directory of its own (or chown it, if it is meant to be the spool)"
        )
    if info.st_mode & 0o077:
        raise SpoolError(
            f"spool {path}: mode {info.st_mode & 0o7777:04o} lets others in; name a directory of its own{_advice(path)}"
        )
    _check_format(path)
    return info


def _check_format(path: str) -> None:
    """Refuse what a later version laid out in another way; it says so in state/format. Format 1 says nothing."""
    said = os.path.join(path, "state", "format")
    if os.path.lexists(said) and read_file(said, MAX_FORMAT_SIZE) not in (b"1", b"1\n"):
        raise SpoolError(
            f"spool {path}: state/format names another format than 1, the only one that this version knows"
        )


def _advice(path: str) -> str:
    """A directory that holds something else is no spool: nobody is to change its mode because of us."""
    try:
        foreign = set(os.listdir(path)) - {part.partition("/")[0] for part in PARTS}
    except OSError:
        foreign = {path}
    return "" if foreign else f" (or chmod 700 {path}, if it is meant to be the spool)"


def make_spool(path: str) -> None:
    """Create the spool's directories where they are missing, and check them all.

    Raises:
        SpoolError: when one cannot be made or must not be used.
    """
    try:
        _make_parents(os.path.dirname(path))
        for directory in (path, *(os.path.join(path, part) for part in PARTS)):
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:
                pass
            check_directory(directory)
    except OSError as error:
        raise SpoolError(
            f"spool {path}: {_words(error)}; name a directory that uid {os.geteuid()} may write to"
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise SpoolError(f"spool {path}: not writable for uid {os.geteuid()}")


def _make_parents(directory: str) -> None:
    """For others to pass through and not to write to, whatever the umask is."""
    parent = os.path.dirname(directory)
    if parent != directory and not os.path.isdir(directory):  # a disk may deny that even / is there
        _make_parents(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o755)


def is_at(fd: int, path: str) -> bool:
    """Whether the open file *fd* is still what lies at *path*.

    Where that cannot be told now (an I/O error, no rights) it is: only what is seen to be gone is gone.
    """
    try:
        mine = os.fstat(fd)
        there = os.stat(path, follow_symlinks=False)
    except OSError as error:
        return error.errno not in (errno.EBADF, errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def read_file(path: str, limit: int | None = None) -> bytes | None:
    """The bytes of a regular file, without following a link or waiting for a pipe; None when it is none of at most
    *limit* bytes, or cannot be read now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or (limit is not None and info.st_size > limit):
            return None
        parts = []
        while part := os.read(fd, info.st_size + 1):
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    except OSError:
        return None
    finally:
        close_read(fd)


def close_read(fd: int) -> None:
    """Close what was only read: what was read is good, whatever a disk says by now."""
    with contextlib.suppress(OSError):
        os.close(fd)


def replace_file(path: str, data: bytes, temporary: str) -> None:
    """Write a whole file, 0600, and put it at *path* by rename. What lies at *temporary*, a link or a pipe, goes away.

    Raises:
        OSError: what was at *path* is as it was.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
    os.rename(temporary, path)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
