"""``python -m heka_raven.eyes.reader PID THREAD RULES``: from py-spy's dump to masked frames, stdin to stdout.

A short-lived program that the watch starts beside ``py-spy dump``: what that reads goes through a pipe, and is written
nowhere before it is masked.
"""

from __future__ import annotations

import os
import sys
import time

from heka_raven.eyes.dump import MAX_DUMP, read_dump
from heka_raven.eyes.rules import read_rules
from heka_raven.eyes.running import encode

NO_FRAMES = 3  # exit status; reader.c knows it


def main(arguments: list[str]) -> int:
    """Mask one dump."""
    pid, thread = int(arguments[0]), int(arguments[1])
    rules = read_rules(os.fsencode(arguments[2]))
    data = sys.stdin.buffer.read(MAX_DUMP + 1)
    frames = read_dump(data, pid, thread, rules, time.process_time)
    if frames is None:
        return NO_FRAMES
    sys.stdout.buffer.write(encode(frames))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
