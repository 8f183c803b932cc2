"""The privacy rule, one row at a time: tests/data/secrets.tsv, which the C tests read too."""

import re
from pathlib import Path

import pytest

from heka_raven.scrub.masker import Masker
from heka_raven.scrub.names import SECRET

DATA = Path(__file__).parents[2] / "data" / "secrets.tsv"
UNESCAPED = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "\\": "\\"}
MASKER = Masker()


def unescape(text):
    return re.sub(r"\\(.)", lambda found: UNESCAPED[found[1]], text)


def rows():
    for line in DATA.read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            kind, given, expected = line.split("\t")
            yield kind, unescape(given), unescape(expected)


def clean_header(text):
    name, _, value = text.partition(": ")
    return f"{name}: {MASKER.clean_header(name, value)}"


CLEAN = {
    "name": lambda text: "private" if MASKER._kind_of(text, False) == SECRET else "shown",
    "text": MASKER.clean_text,
    "json": MASKER.clean_text,
    "yaml": MASKER.clean_text,
    "query": MASKER.clean_query,
    "cookie": MASKER.clean_cookie,
    "url": MASKER.clean_url,
    "header": clean_header,
    "argv": lambda text: "\0".join(MASKER.clean_argv(text.split("\0"))),
}


@pytest.mark.parametrize(("kind", "given", "expected"), list(rows()))
def test_item_1_every_row(kind, given, expected):
    """Issue 14, items 1, 4 and 5: what is secret is masked, what is not is shown, and masking again changes nothing."""
    assert expected == CLEAN[kind](given)
    if kind != "name":
        assert expected == CLEAN[kind](expected)


def test_item_1_there_are_rows_of_each_kind():
    """At least 300 rows, and some of each kind."""
    found = [kind for kind, _, _ in rows()]
    assert len(found) >= 300
    assert set(CLEAN) == set(found)
