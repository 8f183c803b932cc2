"""Bad bytes for what reads others' bytes in Python: each target begins with its invariant.

    PYTHONPATH=tests:. python -m bad_bytes [--seconds N] [--runs N] [--seed N] [TARGET ...]

An input that broke an invariant is kept in tests/fuzz/corpus/TARGET, and tried again by every test run.
"""

import hashlib
import logging
import os
import shutil
import tempfile
import time
import traceback
from pathlib import Path

from bad_bytes.decode import Decode
from bad_bytes.http import Http
from bad_bytes.inbox import Inbox
from bad_bytes.relay import Relay
from bad_bytes.watch import Watch

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
MEMORY = "/dev/shm"
TARGETS = {one.name: one for one in (Inbox, Http, Relay, Decode, Watch)}
LOOK_EVERY = 5_000  # runs; then at descriptors and memory
SETTLED = 50_000  # runs, after which memory stays what it is
MORE_FILES = 3
MORE_MEMORY = 64 << 20  # bytes


class Levels:
    """Descriptors and memory of this process, which reads the bytes itself."""

    def __init__(self, more_files):
        self.more_files = MORE_FILES + more_files
        self.files = self.size = None

    def look(self, done):
        files = len(os.listdir("/proc/self/fd"))
        size = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if self.files is None:
            self.files = files
        if self.size is None and done >= SETTLED:
            self.size = size
        assert files <= self.files + self.more_files, f"{self.files} descriptors became {files}"
        assert size <= (self.size or size) + MORE_MEMORY, f"{self.size >> 20} MiB became {size >> 20}"


def corpus(name):
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def run(name, dice, seconds=0.0, runs=0, keep=False):
    """Feed mutated bytes; (runs, what broke)."""
    logging.disable(logging.CRITICAL)
    place = tempfile.mkdtemp(prefix="hk-bytes-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    until, done, broken = time.monotonic() + seconds if seconds else float("inf"), 0, []
    try:
        target = TARGETS[name](place)
        levels = Levels(target.more_files)
        seeds = [*target.seeds(), *corpus(name)]
        for data in seeds:
            broken += _feed(target, data, keep)
        while len(broken) < 10 and (not runs or done < runs) and time.monotonic() < until:
            broken += _feed(target, target.make(dice, seeds), keep)
            done += 1
            if done % LOOK_EVERY == 0:
                levels.look(done)
        target.finish()
    except Exception:
        broken.append(traceback.format_exc())
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(place, ignore_errors=True)
    return done, broken


def _feed(target, data, keep):
    try:
        target.feed(data)
    except Exception:
        text = traceback.format_exc()
        if keep:
            path = CORPUS / target.name / f"crash-{hashlib.sha1(data).hexdigest()}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            text += f"kept: {path}\n"
        return [text]
    return []
