"""What every subcommand shares: its parser of options and its exit codes."""

from __future__ import annotations

import argparse
from typing import NoReturn

EXIT_OK = 0
EXIT_FAILED = 1  # the thing asked for did not happen
EXIT_USAGE = 2  # a wrong option, DSN or spool
EXIT_LEFT = 3  # send --once: something is left in the spool
EXIT_LOCKED = 4  # send --once: another sender holds the lock


class Parser(argparse.ArgumentParser):
    """A parser of options whose errors are one line, like every other error of the command."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")
