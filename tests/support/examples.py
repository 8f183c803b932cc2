"""Examples as a user takes them: copied out of the tree, with another port and the address of a receiver."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from support.paths import EXAMPLES, ROOT
from support.ports import free_port
from support.waiting import WAIT_S, wait_for


def copy_out(name: str, folder: Path, changes: dict[str, str]) -> Path:
    """The example (a file or a folder) under *folder*, with *changes* made in every file of it."""
    source = EXAMPLES / name
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    for path in [target] if target.is_file() else target.rglob("*"):
        if path.is_file():
            # All at once: a port that took the place of another must not be changed in its turn.
            olds = "|".join(map(re.escape, changes)) or "(?!)"
            text = re.sub(olds, lambda found: changes[found[0]], path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
    return target


def environment(spool: Path, **more: str) -> dict[str, str]:
    """Nothing of this project but the package itself and a spool."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HEKA_RAVEN", "SENTRY"))}
    return {**kept, "HEKA_RAVEN_SPOOL": str(spool), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **more}


@contextlib.contextmanager
def running(command: list[str], cwd: Path, env: dict[str, str], signum: int = signal.SIGINT):
    """A process of its own session; ended with everything that it started."""
    log_path = cwd / f"{Path(command[0]).name}-{free_port()}.log"
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    process.log = lambda: log_path.read_text(errors="replace")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def command(*arguments: str) -> list[str]:
    """`heka-raven ...`"""
    return python("-m", "heka_raven.cli.main", *arguments)


class Inbox:
    """A running `heka-raven inbox` with a database of its own."""

    def __init__(self, process: subprocess.Popen) -> None:
        found = wait_for(lambda: re.search(r"inbox: (http://\S+)/", process.log()), process.log, process=process)
        self.url = found.group(1)
        self.port = int(self.url.rpartition(":")[2])
        self.dsn = f"http://key@127.0.0.1:{self.port}/1"

    def events(self) -> list[dict]:
        """Newest first, each as it is stored."""
        return [self._get(f"/api/events/{row['event_id']}")["event"] for row in self._get("/api/events")]

    def one(self) -> dict:
        [event] = wait_for(self.events, "an event in the inbox")
        return event

    def _get(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=WAIT_S) as reply:
            return json.load(reply)


@contextlib.contextmanager
def inbox(folder: Path, *options: str):
    arguments = ["inbox", "--listen", "127.0.0.1:0", "--db", str(folder / "inbox.db"), *options]
    with running(command(*arguments), folder, environment(folder / "inbox-spool")) as process:
        yield Inbox(process)
