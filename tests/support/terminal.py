"""A command in a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.paths import ROOT
from support.waiting import wait_for


class Terminal:
    """`heka-raven top` of a spool, with what it showed, and what stood in the files that it asked for."""

    def __init__(self, spool: Path) -> None:
        self._state = spool / "state"
        self._ours, self._theirs = pty.openpty()
        command = [sys.executable, "-m", "heka_raven.cli.main", "top", "--spool", str(spool)]
        self.process = subprocess.Popen(command, stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, cwd=ROOT)
        self.shown = self.files = b""

    def saw(self, words: bytes) -> bool:
        """Whether they have been shown by now."""
        if select.select([self._ours], [], [], 0.1)[0]:
            self.shown += os.read(self._ours, 65536)
        for path in self._state.glob("*top*"):
            with contextlib.suppress(OSError):
                self.files += path.read_bytes()
        return words in self.shown

    def see(self, words: bytes) -> None:
        """Wait until it has shown them."""
        wait_for(lambda: self.saw(words), lambda: self.shown.decode(), limit_s=30)

    def press(self, key: bytes) -> None:
        """A key; what was shown before is forgotten."""
        self.shown = b""
        os.write(self._ours, key)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)
