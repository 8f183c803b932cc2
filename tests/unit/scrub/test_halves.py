"""The two halves of the privacy rule, Python's and the uWSGI plugin's: one table of words, one result."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scrub_fuzz import KINDS, Halves, make_case

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    return Halves(tmp_path_factory.mktemp("scrub"))


def test_item_1_both_halves_mask_the_same(halves):
    """Issue 14, item 1: of 20,000 cases of chance, each is masked alike by both halves (``./run fuzz`` makes more)."""
    dice = random.Random(14)
    for _ in range(10):
        assert [] == halves.differences([make_case(dice) for _ in range(2000)])


@settings(deadline=None, max_examples=300)
@given(case=st.tuples(st.sampled_from(KINDS), st.text(alphabet=st.characters(exclude_categories=["Cs"]))))
def test_item_1_any_text(halves, case):
    """Whatever the text, the halves agree; and C, too, gives text."""
    assert [] == halves.differences([case])


def test_the_words_stand_once():
    """core/scrub_words.h is what uwsgi_plugin/make_words.py makes of heka_raven/scrub/words.py."""
    code = (
        "import sys; sys.path[:0] = ['uwsgi_plugin']; import make_words;"
        "sys.exit(make_words.HEADER.read_text() != make_words.as_c_header())"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode, (
        "run: python uwsgi_plugin/make_words.py"
    )
