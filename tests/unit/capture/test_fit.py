"""Cutting values to a number of bytes: what is large gives, what is small stays, and every cut is marked."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from heka_raven.capture.exceptions import Capturer
from heka_raven.capture.fit import Fitter, fitted, json_size, largest_share
from heka_raven.capture.frames import CARETS_SIZE, FRAME_SIZE, VARIABLE_SIZE
from heka_raven.capture.values import BRIEF
from heka_raven.reporting.source import SourceReader
from heka_raven.scrub.scrubber import Scrubber
from support.events import make_capturer, make_walker, raised

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
SHOWN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=100).map(lambda text: text * 20),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=20), inner, max_size=20),
    max_leaves=40,
)


@given(SHOWN, st.integers(200, 2000))
@settings(max_examples=150, deadline=None)
def test_fits(value, limit):
    """Whatever the value, what is left fits; the value itself is not changed, and what fits comes back as it is."""
    before = copy.deepcopy(value)
    found = fitted(value, limit)
    assert value == before
    assert json_size(found) <= max(limit, 40)
    if json_size(value) <= limit:
        assert found is value


@given(st.lists(SHOWN, min_size=1, max_size=4), st.lists(st.integers(200, 3000), min_size=1, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_frames_are_cut_each_as_alone(values, limits, data):
    """What a fitter keeps from one frame to the next changes none: each is cut as one that knows nothing would."""
    fitter = Fitter()
    held = st.dictionaries(st.text(max_size=5), st.sampled_from(values), max_size=12)
    for limit in limits:
        frame = data.draw(held)
        assert fitter.fit_variables(frame, limit) == Fitter().fit_variables(frame, limit)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), SHOWN, max_size=12), st.integers(200, 5000))
@settings(max_examples=100, deadline=None)
def test_the_short_way_cuts_alike(frame, limit):
    """A frame whose variables have plain names is cut as any other dict is."""
    assert Fitter().fit_variables(frame, limit) == Fitter()._cut_dict(frame, limit)[0]


def test_small_values_stay_whole():
    """Beside a large value the small ones of a dict stay as they are."""
    found = fitted({"a": 1, "big": "x" * 10_000, "b": [1, 2, 3]}, 500)
    assert (1, [1, 2, 3]) == (found["a"], found["b"])
    assert found["big"].startswith("xxx") and found["big"].endswith("…") and len(found["big"]) > 400


def test_cuts_are_counted():
    """What is left out is counted, with what was left out before."""
    assert ["<1,000 more>"] == fitted([*["x" * 400] * 9, "<991 more>"], 40)[-1:]
    found = fitted({**{f"k{n}": "x" * 100 for n in range(49)}, "…": "<9,951 more>"}, 500)
    shown = len(found) - 1
    assert f"<{10_000 - shown:,} more>" == found["…"]


def test_shares():
    """What the small ones do not need is the large ones'."""
    assert 45 == largest_share([10, 100, 100], 100)
    assert 100 == largest_share([10, 100], 200)
    assert 0 == largest_share([], 100)


def shown_vars(function):
    exc = raised(function)
    values = make_capturer().exceptions(exc, exc.__traceback__, make_walker(), {})
    return values[-1]["stacktrace"]["frames"][-1]["vars"]


def test_the_variables_of_a_frame():
    """The variables of a frame have a size that Sentry keeps; with many of them, 256 bytes for each."""

    def few():
        many = {f"key {n}": "x" * 100 for n in range(10_000)}  # noqa: F841
        number = 5  # noqa: F841
        raise ValueError

    shown = shown_vars(few)
    assert json_size(shown) <= FRAME_SIZE
    assert 5 == shown["number"] and len(shown["many"]) > 10

    names = {"__name__": "m"}
    exec("def fail():\n" + "".join(f"    v{n} = 'x' * 399\n" for n in range(40)) + "    raise ValueError\n", names)
    shown = shown_vars(names["fail"])
    assert 40 == len(shown)
    assert FRAME_SIZE < json_size(shown) <= 40 * VARIABLE_SIZE


def frames_of(*sources):
    """The variables of the frames of *sources*, functions that call each other, in files of their own."""
    names = {"__name__": "m", "big": {f"key {n}": "x" * 90 for n in range(40)}}
    for filename, source in sources:
        exec(compile(source, filename, "exec"), names)
    exc = raised(names.get("start", names["outer"]), names["big"])
    capturer = Capturer(SourceReader(), lambda module, filename, found: filename != LIBRARY, Scrubber().clean_source)
    values = capturer.exceptions(exc, exc.__traceback__, make_walker(), {})
    frames = values[-1]["stacktrace"]["frames"][1:]
    return [frame["vars"] for frame in frames if frame["function"] != "start"]


LIBRARY = "lib.py"
FAILS = "def fail(big):\n    raise ValueError\n"


def test_what_an_inner_frame_has_shown_is_brief():
    """What stands whole in a frame further in has 256 bytes in those further out, a text too; what is new has the room
    of the others; what is small stays as it is."""
    given = "(big, text, small)"
    own = f"def outer{given}:\n    own = {{f'own {{n}}': 'y' * 90 for n in range(12)}}\n    fail{given}\n"
    outer, fail = frames_of(("a.py", f"def fail{given}:\n    raise ValueError\n"), ("a.py", own), ("a.py", START))
    assert len(fail["big"]) > 12
    assert json_size(outer["big"]) <= BRIEF and outer["big"]["key 0"].startswith("xxx")
    assert 12 == len(outer["own"]) and json_size(outer) <= FRAME_SIZE
    assert 300 < json_size(fail["text"]) and 250 < json_size(outer["text"]) <= BRIEF and outer["text"].endswith("…")
    assert {"name": "small"} == fail["small"] == outer["small"]


START = "def start(big):\n    outer(big, 't' * 350, {'name': 'small'})\n"


def test_a_library_does_not_take_the_applications_room():
    """What a library's frame has shown stands whole in the application's next one: the others are folded away."""
    again = "def outer(big):\n    middle(big)\n", "def middle(big):\n    fail(big)\n"
    outer, middle, fail = frames_of((LIBRARY, FAILS), ("a.py", again[0]), ("a.py", again[1]))
    assert fail["big"] == middle["big"]
    assert json_size(outer["big"]) <= BRIEF


def test_what_is_masked_stays_masked():
    """A private variable that stands in two frames is masked in both, however large it is."""
    source = "def outer(big):\n    password = big\n    fail(big)\n"
    outer, _ = frames_of(("a.py", "def fail(big):\n    raise ValueError\n"), ("a.py", source))
    assert "[Filtered]" == outer["password"]


def test_carets_of_a_deep_stack():
    """Of 250 frames the innermost have their columns, as many as Sentry keeps."""

    def deep(n):
        return deep(n - 1) if n else 1 / 0

    exc = raised(deep, 300)
    value = make_capturer().exceptions(exc, exc.__traceback__, make_walker(), {})[-1]
    carets = value["mechanism"].get("data", {}).get("carets", [[249]])
    assert 249 == carets[-1][0]
    assert json_size(carets) <= CARETS_SIZE
