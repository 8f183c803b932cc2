"""A command with which a server that root starts and another user runs can read this Python and this project.

Where one of them is in a home directory that lets nobody through, as root's, the server gets a view of its own of the
files.
"""

import os
import shlex
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def closed_above(path):
    """The outermost directory above *path* that other users cannot pass through; None where they can."""
    for directory in reversed(Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


def launch_readable(where):
    """What is to stand before the server's own command; nothing where anybody can read both.

    Args:
        where: a directory of ours, in which the views are made; they go with the server.
    """
    closed = {}
    for path in (Path(os.path.realpath(sys.base_prefix)), PROJECT):
        if closed_above(path / "x") is not None:
            closed.setdefault(closed_above(path / "x"), []).append(path)
    if not closed:
        return []
    steps = ["set -e"]
    for number, (directory, paths) in enumerate(closed.items()):
        view = Path(where) / f"view{number}"
        view.mkdir(mode=0o755, exist_ok=True)
        # A directory of mode 755, with these paths only below it, is mounted over the one that lets nobody through.
        for path in paths:
            there = view / path.relative_to(directory)
            steps += [shlex.join(["mkdir", "-p", str(there)]), shlex.join(["mount", "--bind", str(path), str(there)])]
        steps.append(shlex.join(["mount", "--rbind", str(view), str(directory)]))
    alone = ["unshare", "--mount", "--propagation", "private"]
    return [*alone, "sh", "-c", "\n".join([*steps, 'exec "$@"']), "sh"]
