"""Messages are formatted as the logging module formats them, whatever the arguments are."""

import decimal
import enum
import fractions
import time
from http import HTTPStatus
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.events.logentry import format_message, logentry_of
from heka_raven.scrub.scrubber import Scrubber
from support.events import make_walker


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    pass


class Cents(int):
    pass


class Ratio(float):
    pass


# str(), repr() and the number of each are known without its code.
PLAIN = st.one_of(
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=True),
    st.booleans(),
    st.none(),
    st.text(st.characters(codec="ascii", exclude_characters="%"), max_size=10),
)
VALUES = st.one_of(
    PLAIN,
    PLAIN.filter(lambda value: type(value) is int).map(Cents),
    st.floats(allow_nan=False).map(Ratio),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9),
    st.fractions(-1000, 1000, max_denominator=1000),
    st.sampled_from([Level.LOW, HTTPStatus.NOT_FOUND, Name("sub"), PurePosixPath("/srv")]),
    st.dates(),
    st.lists(st.integers(0, 9), max_size=4),
    st.binary(max_size=5),
)
PATTERNS = st.sampled_from(["%s", "%r", "%d", "%i", "%x", "%5d", "%-8s|", "%.2f", "%e", "%g", "%08.3f", "%+d", "%.3s"])


@given(st.lists(st.tuples(PATTERNS, VALUES), max_size=4))
def test_as_the_percent_operator(pairs):
    """What ``template % args`` gives is what stands in the event, for values of the standard library."""
    template, values = " ".join(pattern for pattern, _ in pairs), tuple(value for _, value in pairs)
    try:
        expected = template % values
    except (TypeError, ValueError, OverflowError):
        return
    assert expected == format_message(template, values, make_walker())


class Asked(Exception):
    pass


class Hostile:
    """Whatever it is asked, it ends the test."""

    def _asked(self, *args, **kwargs):
        raise Asked

    __str__ = __repr__ = __format__ = __int__ = __index__ = __float__ = __len__ = __bool__ = __iter__ = _asked
    __eq__ = __getattr__ = __hash__ = __trunc__ = __complex__ = _asked


class HostileInt(int):
    __str__ = __repr__ = __format__ = __int__ = __index__ = __float__ = Hostile._asked


class HostileFloat(float):
    __str__ = __repr__ = __format__ = __int__ = __float__ = Hostile._asked


class HostileText(str):
    __str__ = __repr__ = __format__ = __len__ = __getitem__ = Hostile._asked


@pytest.mark.parametrize("pattern", ["%s", "%r", "%d", "%x", "%.2f", "%10s", "%a", "%c", "%(a)s", "%(a)d"])
@pytest.mark.parametrize(
    "value", [Hostile(), HostileInt(5), HostileFloat(1.5), HostileText("x")], ids=lambda v: type(v).__name__
)
def test_no_code_of_an_argument_runs(pattern, value):
    """Not for any conversion; the event is made."""
    params = {"a": value} if "(a)" in pattern else (value,)
    entry = logentry_of(f"before {pattern}", params, None, make_walker())
    assert entry["formatted"].startswith("before ")


LONG = {
    "Decimal": decimal.Decimal("1e999999"),
    "Fraction": fractions.Fraction(10**5000, 3),
    "int": 10**5000,
    "str": "x" * 10**6,
    "list": [[0] * 1000] * 1000,
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("pattern", ["%s", "%r", "%d", "%.2f"])
def test_no_argument_is_too_long(kind, pattern):
    """A number of a million digits and a text of a million characters cost what a short one costs."""
    began = time.thread_time()
    entry = logentry_of(pattern, (LONG[kind],), None, make_walker(guard=Scrubber()))
    assert len(entry["formatted"]) <= 8192
    assert time.thread_time() - began < 0.1
