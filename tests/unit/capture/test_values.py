"""Values as events show them: by value where that is safe, and never by running the application's code."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import math
import pathlib
import re
import time
import types
import uuid

import attrs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heka_raven.capture.containers import CUT, MAX_ITEMS
from heka_raven.capture.handlers import HANDLERS
from heka_raven.capture.plans import MAX_PLANS
from heka_raven.capture.scalars import MAX_CHARACTERS
from heka_raven.scrub.scrubber import Scrubber
from support.events import make_walker

M = __name__


class Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: int
    hidden: str = dataclasses.field(default="h", repr=False)


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int
    unset: int = dataclasses.field(init=False)


@attrs.define
class Attrs:
    a: int
    secret_word: str = attrs.field(repr=False)


Pair = collections.namedtuple("Pair", "left right")


class Plain:
    pass


class ListOfMine(list):
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("text", "text"),
        ("grüße ☃", "grüße ☃"),
        (b"raw\xff", "b'raw\\xff'"),
        (bytearray(b"raw"), "b'raw'"),
        ([1, "a", None], [1, "a", None]),
        ((1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset({1}), [1]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.deque([1, 2]), [1, 2]),
        ({}.keys(), []),
        ({b"k": 1, 2: "x", (1, 2): 3, None: 4}, {"k": 1, "2": "x", "[1, 2]": 3, "None": 4}),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (-(2**60), "-1152921504606846976"),
        (1 << 100000, "<int of 100,001 bits>"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (1 + 2j, "(1+2j)"),
        (datetime.date(2013, 11, 29), "2013-11-29"),
        (datetime.datetime(2013, 11, 29, 12, tzinfo=datetime.timezone.utc), "2013-11-29T12:00:00+00:00"),
        (datetime.time(12, 30), "12:30:00"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.50"), "1.50"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        (range(5), "range(0, 5)"),
        (range(0, 10, 3), "range(0, 10, 3)"),
        (re.compile("a+"), "re.compile('a+')"),
        (array.array("i", [1]), "<array.array object>"),
        (memoryview(b"12"), "<memoryview of 2 bytes>"),
        (..., "Ellipsis"),
        (json, "<module json>"),
        (json.dumps, "<function json.dumps>"),
        (len, "<built-in function len>"),
        (Plain, f"<class {M}.Plain>"),
        (int, "<class int>"),
        (Plain(), f"<{M}.Plain object>"),
        (ListOfMine([1]), [1]),
        (Color.RED, {"__class__": f"{M}.Color", "RED": 1}),
        (Point(1, 2), {"__class__": f"{M}.Point", "x": 1, "y": 2}),
        (Slotted(1), {"__class__": f"{M}.Slotted", "x": 1}),
        (Attrs(1, "s"), {"__class__": f"{M}.Attrs", "a": 1}),
        (Pair(1, "r"), {"__class__": f"{M}.Pair", "left": 1, "right": "r"}),
        (types.SimpleNamespace(a=1), {"__class__": "types.SimpleNamespace", "a": 1}),
        (ValueError("bad"), "<ValueError: bad>"),
        (KeyError("k"), "<KeyError: 'k'>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_shows_by_value(value, expected):
    """Built-in and standard library values by value, classes with fields by their fields, the rest by their class."""
    assert expected == make_walker().show(value)


class Hostile(type):
    """A metaclass all of whose methods fail."""

    def __getattribute__(cls, name):
        raise KeyboardInterrupt(f"metaclass attribute {name}")

    def __hash__(cls):
        raise KeyboardInterrupt("metaclass hash")

    def __eq__(cls, other):
        raise KeyboardInterrupt("metaclass eq")

    def __instancecheck__(cls, instance):
        raise KeyboardInterrupt("instancecheck")

    def __subclasscheck__(cls, subclass):
        raise KeyboardInterrupt("subclasscheck")


def _fail(*args, **kwargs):
    raise KeyboardInterrupt("the application's code was run")


HOSTILE_METHODS = (
    "__getattribute__ __getattr__ __repr__ __str__ __len__ __iter__ __bool__ __eq__ __hash__ __lt__ __call__ __next__ "
    "__getitem__ __contains__ __format__ __int__ __index__ __float__ __bytes__ __reversed__ __sizeof__ __dir__ keys "
    "items values get __length_hint__ __instancecheck__ __del__"
).split()


def hostile_class(*bases):
    """A class all of whose methods and properties raise."""
    body = {name: _fail for name in HOSTILE_METHODS if name != "__del__"}
    body["__class__"] = property(_fail)
    body["__dict__"] = property(_fail)
    if bases and issubclass(bases[0], str | bytes | int | float | tuple | frozenset):
        body.pop("__hash__")
    return type.__call__(Hostile, "Cruel", bases, body)


@pytest.mark.parametrize("base", [object, str, bytes, int, float, list, tuple, dict, set, frozenset, collections.deque])
def test_no_code_of_the_application_runs(base):
    """Whatever a class defines, none of it is called: not its repr, len, iter, eq, hash, bool, nor its metaclass."""
    cls = hostile_class(base) if base is not object else hostile_class()
    value = base.__new__(cls)
    for place in (value, [value], {"k": value}, (value, 1), [[value]]):
        orjson.dumps(make_walker().show(place))


@pytest.mark.parametrize("base", [ValueError, KeyError, OSError, SyntaxError, UnicodeDecodeError, SystemExit])
def test_no_code_of_the_application_runs_for_exceptions(base):
    """An exception among the locals is shown without its own methods."""
    args = ("utf-8", b"\xff", 0, 1, "reason") if base is UnicodeDecodeError else ("text",)
    exc = base.__new__(hostile_class(base), *args)
    shown = make_walker().show([exc])[0]
    assert shown.startswith(f"<{M}.Cruel")


def test_generators_are_not_consumed():
    """A generator, an iterator or a map object that an event showed still gives all that it held."""
    generator, iterator = (n for n in range(3)), iter([1, 2])
    make_walker().show([generator, iterator])
    assert [0, 1, 2] == list(generator)
    assert [1, 2] == list(iterator)


def test_no_property_of_a_dataclass_is_read():
    """A field hidden behind a property or a descriptor of the application is left out, not called."""

    @dataclasses.dataclass
    class Lazy:
        a: int
        b: int = 1

    Lazy.b = property(_fail)
    value = object.__new__(Lazy)
    object.__getattribute__(value, "__dict__")["a"] = 5
    assert {"__class__": f"{__name__}.test_no_property_of_a_dataclass_is_read.<locals>.Lazy", "a": 5} == (
        make_walker().show(value)
    )


@pytest.mark.parametrize("size", [MAX_ITEMS, MAX_ITEMS + 1, 3_000_000])
def test_at_most_50_items(size):
    """A container shows at most 50 items; what is left out is counted."""
    items = list(range(size))
    shown = make_walker().show(items)
    assert len(shown) <= MAX_ITEMS
    if size > MAX_ITEMS:
        assert f"<{size - 49:,} more>" == shown[-1]
    by_name = make_walker().show({f"k{n}": n for n in range(min(size, 10_000))})
    assert len(by_name) <= MAX_ITEMS
    if size > MAX_ITEMS:
        assert "…" in by_name


@pytest.mark.parametrize("size", [MAX_CHARACTERS, MAX_CHARACTERS + 1, 50_000_000])
def test_at_most_400_characters(size):
    """A text or bytes show at most 400 characters."""
    assert len(make_walker().show("x" * size)) <= MAX_CHARACTERS
    assert len(make_walker().show(b"x" * size)) <= MAX_CHARACTERS
    assert len(make_walker().show("\ud800" * size)) <= MAX_CHARACTERS


def test_depth_4():
    """Containers are shown four deep; below, their kind and size."""
    assert {"a": {"b": {"c": {"d": "<dict of 1>"}}}} == make_walker().show({"a": {"b": {"c": {"d": {"e": 1}}}}})
    assert [[[["<list of 1>"]]]] == make_walker().show([[[[[1]]]]])


def test_cycles_end():
    """A container that holds itself ends at the depth limit, also when it branches."""
    loop = []
    loop.extend([loop] * 50)
    started = time.thread_time()
    orjson.dumps(make_walker().show({"loop": loop})["loop"][0][0])
    assert time.thread_time() - started < 2


def test_time_budget():
    """When the time of the event is used up, the rest of the variables is not shown."""
    now = iter([0.001, 0.002, 0.006])
    walker = make_walker()
    walker.clock = lambda: next(now)
    walker.deadline = 0.005
    shown = walker.show([[n] * 60 for n in range(49)])
    assert CUT == shown[-1]
    assert CUT != shown[0]


def test_room():
    """All variables of an event together have a budget of characters."""
    walker = make_walker()
    shown = [walker.show([f"{n}" + "x" * 399] * 40) for n in range(60)]
    assert len(orjson.dumps(shown)) < 2_000_000
    assert CUT == shown[-1]


def test_room_of_what_is_shared():
    """One object that stands in many places takes its room in each: what is encoded is bounded, too."""
    tree = "x" * 400
    for _ in range(4):
        tree = [tree] * 50
    assert len(orjson.dumps(make_walker().show(tree))) < 2_000_000


def test_repr_is_called_only_when_asked():
    """``locals = repr`` asks classes for their repr; one that raises is named."""

    class Shown:
        def __repr__(self):
            return "Shown!"

    class Broken:
        def __repr__(self):
            raise KeyboardInterrupt

    assert "Shown object>" in make_walker().show(Shown())
    assert "Shown!" == make_walker(call_repr=True).show(Shown())
    assert "its __repr__ raised" in make_walker(call_repr=True).show(Broken())


def test_a_timezone_of_the_application_is_not_asked():
    """A datetime with a tzinfo class of the application is shown without calling it."""

    class Zone(datetime.tzinfo):
        utcoffset = dst = tzname = _fail

    shown = make_walker().show(datetime.datetime(2013, 11, 29, tzinfo=Zone()))
    assert shown.startswith("2013-11-29T00:00:00 <")


def test_a_dict_that_another_thread_changes():
    """A dict that changes size while it is shown costs its own value, nothing more."""
    value = {f"k{n}": "x" for n in range(5)}

    class Guard(Scrubber):
        def clean_text(self, text, loose=False):
            if text == "a=b":
                value["new"] = 1  # as another thread would
            return text

    value["k0"] = "a=b"
    assert {"d": "<dict, changing>", "n": 1} == make_walker(guard=Guard()).show_names([("d", value), ("n", 1)])


def test_a_list_that_shrinks():
    """A pair from which another thread takes one between two looks is shown as what is left."""
    values = ["a", "b"]
    walker = make_walker()
    walker.ticks = 1  # so that the clock is looked at, which takes one away
    walker.clock = lambda: float(values.pop() == "never")
    assert ["a"] == walker.show(values)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.uuids()
GRAPHS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=60)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.binary() | st.none(), inner, max_size=60)
        | st.builds(lambda items: collections.deque(items), st.lists(inner, max_size=5))
        | st.builds(Point, inner, inner)
    ),
    max_leaves=60,
)


def check_shown(node, depth=0):
    assert depth <= 5
    kind = type(node)
    assert kind in (type(None), bool, int, float, str, list, dict)
    if kind is int:
        assert -(2**53) < node < 2**53
    if kind is str:
        assert len(node) <= MAX_CHARACTERS
        node.encode("utf-8")
    if kind is list:
        assert len(node) <= MAX_ITEMS
        for item in node:
            check_shown(item, depth + 1)
    if kind is dict:
        assert len(node) <= MAX_ITEMS
        for name, item in node.items():
            assert type(name) is str
            check_shown(item, depth + 1)


@given(GRAPHS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_graph_becomes_bounded_json(graph):
    """Whatever the values, what is shown is exact built-in types within the limits, and JSON."""
    shown = make_walker().show(graph)
    check_shown(shown)
    orjson.dumps(shown)
    check_shown(make_walker(legacy=True, budget_s=5).show([1]))


class Forgetful(dict):
    """Keeps nothing."""

    def __setitem__(self, key, value):
        pass


def as_plain(fields):
    found = Plain()
    vars(found).update(fields)
    return found


PARTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=40) | st.decimals() | st.dates() | st.just("password=hunter2"),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from(["sku", "password", "count", "email", "ключ"]), inner, max_size=5)
        | st.builds(Point, inner, inner)
        | st.dictionaries(st.sampled_from(["sku", "password", "count"]), inner, max_size=3).map(as_plain)
    ),
    max_leaves=10,
)


def test_an_object_beyond_the_depth_is_not_shown_because_it_was_shown_elsewhere():
    """What is kept of an object of plain fields holds for the depths that show objects."""
    inner = as_plain({"sku": None})
    outer = as_plain({"sku": inner})
    walker, anew = make_walker(budget_s=60), make_walker(budget_s=60)
    walker.show_names([("p", [outer])])
    assert anew.show_names([("q", [[outer]])]) == walker.show_names([("q", [[outer]])])


def test_a_text_is_quoted_wherever_else_it_was_shown():
    """Under protocol 3 a text has its quotes, also if it stood in what is nested too deep before, which has others."""
    walker = make_walker(legacy=True)
    deep = "north"
    for _ in range(walker.max_depth + 1):
        deep = [deep]
    walker.show(deep)
    assert "'north'" == walker.show("north")


def test_more_classes_than_are_kept():
    """How a class is shown is kept for a bounded number of classes; others are shown all the same."""
    walker = make_walker(budget_s=60)
    for number in range(2 * MAX_PLANS):
        cls = type(f"Made{number}", (), {})
        made = cls()
        made.number = number
        assert {"__class__": f"{__name__}.Made{number}", "number": number} == walker.show(made)
    assert len(HANDLERS) <= MAX_PLANS
    assert {"a": [1, "x", None]} == walker.show({"a": (1, "x", None)})


@given(st.lists(PARTS, min_size=1, max_size=5), st.data(), st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_many_frames_hold_is_shown_as_if_anew(parts, data, legacy):
    """What was shown in one frame and is kept for the next is what it would be anew, and takes the same room."""
    held = st.sampled_from(parts)
    local = held | st.lists(held, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "token"]), held)
    frames = data.draw(st.lists(st.dictionaries(st.sampled_from("pqrs"), local, max_size=4), max_size=5))
    keeping, forgetting = (make_walker(legacy=legacy, budget_s=60) for _ in range(2))
    forgetting._memo, forgetting.texts = [Forgetful() for _ in forgetting._memo], Forgetful()
    for frame in frames:
        kept, anew = (walker.show_names(frame.items()) for walker in (keeping, forgetting))
        assert orjson.dumps(kept) == orjson.dumps(anew)
        assert keeping.room == forgetting.room
