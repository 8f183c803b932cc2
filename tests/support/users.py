"""Servers that root starts and another user runs, as operators have them."""

import os
import sys
from pathlib import Path

import pytest

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")
NOBODY = 65534

# Mounts a directory of mode 755 over the one that lets nobody through, with only Python's own below it.
_THROUGH = 'mkdir -p "$2/$3" && mount --bind "$4" "$2/$3" && mount --bind "$2" "$1" && shift 4 && exec "$@"'


def closed_above(path: str) -> Path | None:
    """The outermost directory above *path* that another user cannot pass through."""
    for directory in reversed(Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


def launch_readable(where: Path) -> list[str]:
    """A command to put before the server's own, with which any user can read this Python.

    Where it is in root's home, the server gets a view of its own of the files.
    """
    base = os.path.realpath(sys.base_prefix)
    closed = closed_above(base + "/x")
    if closed is None:
        return []
    below = str(Path(base).relative_to(closed))
    view = where / "view"
    view.mkdir(mode=0o755, exist_ok=True)
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _THROUGH,
        "sh",
        str(closed),
        str(view),
        below,
        base,
    ]
