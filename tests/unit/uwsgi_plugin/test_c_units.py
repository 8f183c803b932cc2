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


def make(tmp_path, *targets):
    """Run the Makefile with its output in tmp_path; the text it printed is shown when it fails."""
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT / "uwsgi_plugin"), f"OUT={tmp_path}", *targets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@NEEDS
def test_c_units_pass(tmp_path):
    """Every C unit test passes under plain gcc, with warnings as errors; the vectors are those Python reads."""
    printed = make(tmp_path, "test")
    assert printed.count(", 0 failed") == UNITS


@NEEDS
def test_fuzz_corpus_is_clean(tmp_path):
    """Every input the fuzzers ever kept, crashes included, passes without a fuzzer too."""
    assert make(tmp_path, "replay").count(" inputs") == TARGETS


@NEEDS
@pytest.mark.full
@pytest.mark.timeout(900)
def test_c_units_under_sanitizers(tmp_path):
    """Units and corpus are clean under AddressSanitizer and UndefinedBehaviorSanitizer."""
    assert make(tmp_path, "asan").count(", 0 failed") == UNITS


@NEEDS
@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind on this machine")
def test_c_units_under_valgrind(tmp_path):
    """Units leak nothing and touch no byte that is not theirs, as valgrind sees it."""
    assert make(tmp_path, "valgrind").count(", 0 failed") == UNITS


@NEEDS
@pytest.mark.full
@pytest.mark.timeout(900)
def test_analyzer_finds_nothing(tmp_path):
    """gcc -fanalyzer and -Wconversion find nothing in core and edge."""
    make(tmp_path, "analyze")
