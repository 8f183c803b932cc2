"""A command with which a server that root starts and another user runs can read this Python.

Where Python is in a home directory that lets nobody through, as root's, the server gets a view of its own of the files.
"""

import os
import sys
from pathlib import Path

# Mounts a directory of mode 755 over the one that lets nobody through, with only Python's own below it.
THROUGH = 'mkdir -p "$2/$3" && mount --bind "$4" "$2/$3" && mount --rbind "$2" "$1" && shift 4 && exec "$@"'


def closed_above(path):
    """The outermost directory above *path* that other users cannot pass through; None where they can."""
    for directory in reversed(Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


def launch_readable(where):
    """What is to stand before the server's own command; nothing where anybody can read this Python.

    Args:
        where: a directory of ours, in which the view is made; it goes with the server.
    """
    base = os.path.realpath(sys.base_prefix)
    closed = closed_above(base + "/x")
    if closed is None:
        return []
    view = Path(where) / "view"
    view.mkdir(mode=0o755, exist_ok=True)
    alone = ["unshare", "--mount", "--propagation", "private"]
    return [*alone, "sh", "-c", THROUGH, "sh", str(closed), str(view), str(Path(base).relative_to(closed)), base]
