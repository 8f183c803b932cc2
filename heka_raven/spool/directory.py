"""Which directory is the spool, and whether it may be trusted.

The plugin in C applies the same rules (docs/delivery.rst): the explicit setting, else $HEKA_RAVEN_SPOOL, else
/var/spool/heka-raven/UID where that can be made, else /tmp/heka-raven-UID. What is there must be a real directory of
ours with mode 0700: the files hold keys and what users typed.
"""

from __future__ import annotations

import os
import stat

from heka.exceptions import ConfigError

ENVIRONMENT = "HEKA_RAVEN_SPOOL"
SYSTEM_PARENT = "/var/spool/heka-raven"
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
    if os.path.lexists(path):
        return path, "the system's spool, it exists"
    parent = SYSTEM_PARENT if os.path.isdir(SYSTEM_PARENT) else os.path.dirname(SYSTEM_PARENT)
    if os.access(parent, os.W_OK | os.X_OK):
        return path, f"the system's spool, {parent} is writable"
    return f"/tmp/heka-raven-{uid}", f"{parent} is not writable"  # noqa: S108 - ours alone or refused, see check_directory


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
            f"spool {path}: mode {info.st_mode & 0o7777:04o} lets others in; "
            f"name a directory of its own (or chmod 700 {path}, if it is meant to be the spool)"
        )
    return info


def make_spool(path: str) -> None:
    """Create the spool's directories where they are missing, and check them all.

    Raises:
        SpoolError: when one cannot be made or must not be used.
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
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


def is_at(fd: int, path: str) -> bool:
    """Whether the open file *fd* is still what lies at *path*."""
    try:
        mine, there = os.fstat(fd), os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
