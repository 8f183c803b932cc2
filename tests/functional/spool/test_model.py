"""The model of the spool's protocol (docs/adr/spool.pml), looked at in every order of its steps, by spin."""

import re
import shutil
import subprocess

import pytest

from support.paths import ROOT

MODEL = ROOT / "docs" / "adr" / "spool.pml"
FAULTS = {"SWAPPED": "true_captured", "NAMELESS": "true_captured", "UNLOCKED": "twice<=resent"}

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("spin") is None, reason="no spin: ./run test full installs it"),
]


def check(folder, *definitions):
    """What spin found: the errors, and its words."""
    subprocess.run(["spin", *definitions, "-a", MODEL], cwd=folder, check=True, timeout=60)
    # COLLAPSE: a third of the memory, which is 1 GB.
    compile_it = ["gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]
    subprocess.run(compile_it, cwd=folder, check=True, timeout=120)
    said = subprocess.run(["./pan", "-m100000"], cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert "max search depth too small" not in said.stdout
    return int(re.search(r"errors: (\d+)", said.stdout)[1]), said.stdout


def test_nothing_is_lost_in_any_order(tmp_path):
    """With two kills anywhere no event is lost, none is twice without a reason, and the ledger adds up."""
    errors, said = check(tmp_path, "-DKILLS=2")
    assert 0 == errors, said
    assert "unreached in proctype Sender\n\t(0 of" in said  # each step was taken, so the words above mean something


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_is_built_in_is_found(tmp_path, fault):
    """A wrong order of the fold, a total without names, a sender without the lock: each breaks its promise."""
    errors, said = check(tmp_path, f"-D{fault}")
    assert 1 == errors and FAULTS[fault] in said
