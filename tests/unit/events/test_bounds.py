"""Whatever the values of an application, an event has at most 1 MiB, and the frame that failed is in it."""

import collections
import decimal
import types

import numpy
import pandas
import pytest

from heka_raven.events.encode import MAX_EVENT_SIZE, encode_json
from support.events import frames_of, raised, spool_client
from support.spools import spooled


class Node:
    """An object of many attributes, each of which leads to more."""

    def __init__(self, nodes):
        self.name = "n" * 1000
        for number in range(60):
            setattr(self, f"attribute_{number}", nodes)


class Slots:
    __slots__ = tuple(f"slot_{number}" for number in range(100))

    def __init__(self, value):
        for name in self.__slots__:
            setattr(self, name, value)


def graph(depth):
    return Node([graph(depth - 1) for _ in range(4)] if depth else "x" * 10_000)


def loop():
    first, second = Node([]), Node([])
    first.other, second.other = second, first
    first.both = [first, second] * 100
    return first


def boxes(depth):
    return [boxes(depth - 1)] * 50 if depth else "\x00\u2028" * 1000


VALUES = {
    "a graph of objects": lambda: graph(5),
    "objects that hold each other": loop,
    "slots": lambda: Slots(Slots(Slots("x" * 10_000))),
    "10,000 objects": lambda: [Node("x" * 1000) for _ in range(10_000)],
    "a long dict of an object": lambda: types.SimpleNamespace(**{f"k{n}": "x" * 1000 for n in range(100_000)}),
    "texts that grow when they are escaped": lambda: boxes(4),
    "a table of 5,000 columns": lambda: pandas.DataFrame({f"column {n}": range(5) for n in range(5000)}),
    "tables of objects": lambda: [pandas.DataFrame({"o": [graph(3)] * 10}) for _ in range(60)],
    "arrays of objects": lambda: numpy.array([graph(3), "x" * 10_000] * 1000, dtype=object),
    "a number of a million digits": lambda: decimal.Decimal("9" * 1_000_000),
    "a deep mapping": lambda: collections.ChainMap(*[{f"k{n}": "x" * 1000} for n in range(1000)]),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("depth", [0, 300], ids=["one frame", "300 frames"])
def test_at_most_1_mib(name, depth, tmp_path):
    """An event has at most 1 MiB whatever stands in its local variables and in the exception's arguments."""
    value = VALUES[name]()

    def fail(depth, value):
        if depth:
            return fail(depth - 1, [value, depth])
        raise ValueError(value, "told")

    client = spool_client(tmp_path / "spool")
    assert client.raven(exc_info=raised(fail, depth, value), extra={"value": value}, user={"id": 1, "value": value})
    (event,) = spooled(tmp_path / "spool")
    assert len(encode_json(event)) <= MAX_EVENT_SIZE
    assert "fail" == frames_of(event)[-1]["function"]
    assert frames_of(event)[-1]["vars"]
