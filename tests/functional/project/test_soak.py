"""Five minutes of `./run soak`."""

import os
import subprocess
import sys

import pytest

from support.paths import ROOT, TESTS

pytestmark = [pytest.mark.full, pytest.mark.timeout(1500)]

MINUTES = 5


def test_nothing_is_lost():
    """While servers, disks, clocks and processes fail at random, every event has its end, and all levels hold."""
    done = subprocess.run(
        [sys.executable, "-m", "soak", str(MINUTES)],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
