"""Masking takes time in proportion to its input: steps and characters are counted, not seconds."""

# ruff: noqa: E501 - lines of data

import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heka_raven.scrub.masker
import heka_raven.scrub.names
import heka_raven.scrub.shapes
import heka_raven.scrub.texts
from scrub_fuzz import KINDS, PIECES, Halves

SHORT, LONG = 4096, 16384  # characters
UNITS = [
    "abc:", "abc;", "a", "@a://b:c", "://a:b/", "://@", "x://a:", "apiKey", "api_key[", "a=", "a=&", "a[b]", "[b]", "token=", "token='",
    "token=[", "token=(", "token=<", "token=\\", "'", '"', "\\", '\\"', "\\'", "'\\", '"""', "%", "%25", "%2525", "=%3D", "%61=%62&",
    "lang=%25;", "lang=+cookie: ", "Cookie: lang=", "Cookie: a\n", "; ", "password:\n", "token:\n \n", "token: |\n ", "token:\n- ", "- ",
    "-", "--", "--a", "--a ", "--password ", "<", "<a>", "<a ", "<a>b</a>", "<token>x", "<a><![CDATA[", "('a', ", '("password", ',
    "bearer a", "bearer .", "basic a-", "Bearer ", "eyJ", "eyJa", "eyJaaaaa.", "4", "4111 ", "4111-", "sk_live_", "ghp_", "AKIA",
    "-----BEGIN ", "-----BEGIN A-----", "Key (", "Key (a)=(", "Key (a,", "input_value=", "a\n input_value=..., input_type=",
    "Duplicate entry '", "Duplicate entry 'a' for key 'b", "token' must ", "a' must (got ", "a-", "form-data; name", "[SQL: a", "[parameters: ", "\n", " ", "é", "é=",
    "aA", "1a", "a1", "_", ".", "...", "…", "::", "key", "iz", "tokeniz", "obsession", "cc_number_", "max_", "http_", "KeyError: ",
]  # fmt: skip


def fill(unit, length):
    return unit * (length // len(unit) or 1)


class Counting:
    """A pattern that counts the characters that it is given to look at."""

    def __init__(self, pattern, tally):
        self.pattern, self.tally = pattern, tally

    def _count(self, found, text, place):
        self.tally[0] += (len(text) if found is None else found.end()) - place + 1
        return found

    def search(self, text, place=0):
        return self._count(self.pattern.search(text, place), text, place)

    def match(self, text, place=0):
        found = self.pattern.match(text, place)
        self.tally[0] += 1 if found is None else found.end() - place + 1
        return found

    def fullmatch(self, text, place, end):
        self.tally[0] += end - place
        return self.pattern.fullmatch(text, place, end)

    def finditer(self, text):
        place = 0
        while (found := self.search(text, place)) is not None:
            yield found
            place = found.end() + (found.end() == found.start())
        return

    def findall(self, text, *span):
        self.tally[0] += (span[1] - span[0]) if span else len(text)
        return self.pattern.findall(text, *span)

    def sub(self, new, text):
        self.tally[0] += len(text)
        return self.pattern.sub(new, text)

    def split(self, text, *most):
        self.tally[0] += len(text)
        return self.pattern.split(text, *most)


@pytest.fixture(scope="module")
def counted():
    """A masker whose patterns count, and the count."""
    tally = [0]
    patch = pytest.MonkeyPatch()
    wrap = lambda value: Counting(value, tally)  # noqa: E731
    for module in (heka_raven.scrub.masker, heka_raven.scrub.names, heka_raven.scrub.shapes, heka_raven.scrub.texts):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                patch.setattr(module, name, wrap(value))
            elif isinstance(getattr(value, "__self__", None), re.Pattern):
                patch.setattr(module, name, wrap(value.__self__).search)
            elif type(value) is dict and value and all(isinstance(v, re.Pattern) for v in value.values()):
                patch.setattr(module, name, {key: wrap(v) for key, v in value.items()})
    masker = heka_raven.scrub.masker.Masker()
    masker._names._parts = wrap(masker._names._parts)
    yield masker, tally
    patch.undo()


def characters_of(counted, function, text):
    masker, tally = counted
    before = tally[0]
    getattr(masker, function)(text)
    return tally[0] - before


FUNCTIONS = ("clean_text", "clean_query", "clean_cookie", "clean_url")


@pytest.mark.parametrize("unit", UNITS)
def test_item_3_characters_looked_at(counted, unit):
    """Issue 14, item 3: Python looks at four times as many characters of a text that is four times as long, at most."""
    for function in FUNCTIONS:
        short, long = (characters_of(counted, function, fill(unit, n)) for n in (SHORT, LONG))
        assert long <= 4.4 * short + 4 * LONG, (function, short, long)
        assert long <= 60 * LONG, (function, long)


@settings(deadline=None, max_examples=150)
@given(unit=st.lists(st.sampled_from([p for piece in PIECES for p in piece]), min_size=1, max_size=5).map("".join))
def test_item_3_characters_of_any_unit(counted, unit):
    """Whatever is repeated."""
    for function in FUNCTIONS:
        short, long = (characters_of(counted, function, fill(unit, n)) for n in (SHORT, LONG))
        assert long <= 4.4 * short + 4 * LONG, (function, short, long)


@pytest.fixture(scope="module")
def stepping(tmp_path_factory):
    return Halves(tmp_path_factory.mktemp("steps"), "-fsanitize-coverage=trace-pc", "-O1")


def steps_of(halves, kind, text):
    before = halves.library.scrub_steps()
    halves.in_c([(kind, text)])
    return halves.library.scrub_steps() - before


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@pytest.mark.parametrize("unit", UNITS)
def test_item_3_steps_of_c(stepping, unit):
    """Issue 14, item 3: C takes four times the steps for a text that is four times as long, at most."""
    for kind in sorted(set(KINDS)):
        short, long = (steps_of(stepping, kind, fill(unit, n)) for n in (SHORT, LONG))
        assert long <= 4.4 * short + 20000, (kind, short, long)
        assert long <= 3000 * LONG, (kind, long)
