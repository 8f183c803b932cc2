"""Servers that root starts and another user runs, as operators have them."""

import os
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")
NOBODY = 65534

# Mounts a directory of mode 755, with only what is named below it, over the one that lets nobody through.
_THROUGH = """
closed=$1 view=$2; shift 2
while [ "$1" != -- ]; do mkdir -p "$view/$1"; mount --bind "$closed/$1" "$view/$1"; shift; done
shift; mount --bind "$view" "$closed"; exec "$@"
"""


def closed_above(path: str) -> Path | None:
    """The outermost directory above *path* that another user cannot pass through."""
    for directory in reversed(Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


def launch_readable(where: Path) -> list[str]:
    """A command to put before the server's own, with which any user can read this Python and this project.

    Where they lie in root's home, the server gets a view of its own of the files.
    """
    below: dict[Path, list[str]] = {}
    for path in dict.fromkeys([os.path.realpath(sys.base_prefix), sys.prefix, str(ROOT)]):
        closed = closed_above(path + "/x")
        if closed is not None:
            below.setdefault(closed, []).append(str(Path(path).relative_to(closed)))
    command = []
    for number, (closed, names) in enumerate(below.items()):
        view = where / f"view{number}"
        view.mkdir(mode=0o755, exist_ok=True)
        command += ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _THROUGH, "sh"]
        command += [str(closed), str(view), *names, "--"]
    return command
