"""Bad bytes for the readers in Python: what once broke one, and some of today."""

import os
import random

import pytest

from bad_bytes import TARGETS, run


@pytest.mark.parametrize("runs", [200, pytest.param(20_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("target", TARGETS)
def test_bad_bytes(target, runs):
    """Seeds, every input that ever broke it, and mutated ones: no invariant of a target breaks."""
    seed = os.getpid()
    done, broken = run(target, random.Random(seed), runs=runs)
    assert (runs, []) == (done, broken), f"seed {seed}"
