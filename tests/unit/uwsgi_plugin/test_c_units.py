"""The C unit tests, built by plain gcc, run with pytest; sanitizers and valgrind in the full run."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
UNITS = len(list((ROOT / "tests" / "c").glob("test_*.c")))
TARGETS = len(list((ROOT / "tests" / "fuzz").glob("fuzz_*.c")))
NEEDS = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("make") is None, reason="no gcc and make on this machine"
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where all of them build: what two of them need is compiled once."""
    return tmp_path_factory.mktemp("c")


def make(out, *targets):
    """Run the Makefile with its output in *out*; the text it printed is shown when it fails."""
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT / "uwsgi_plugin"), f"OUT={out}", *targets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@NEEDS
def test_c_units_pass(out):
    """Every C unit test passes under plain gcc, with warnings as errors; the vectors are those Python reads."""
    printed = make(out, "test")
    assert printed.count(", 0 failed") == UNITS


@NEEDS
def test_fuzz_corpus_is_clean(out):
    """Every input the fuzzers ever kept, crashes included, passes without a fuzzer too."""
    assert make(out, "replay").count(" inputs") == TARGETS


@NEEDS
@pytest.mark.full
@pytest.mark.timeout(900)
def test_c_units_under_sanitizers(out):
    """Units and corpus are clean under AddressSanitizer and UndefinedBehaviorSanitizer."""
    assert make(out, "asan").count(", 0 failed") == UNITS


@NEEDS
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind on this machine")
def test_c_units_under_valgrind(out):
    """Units leak nothing and touch no byte that is not theirs, as valgrind sees it."""
    assert make(out, "valgrind").count(", 0 failed") == UNITS - 1  # test_guard: these signals are valgrind's there
