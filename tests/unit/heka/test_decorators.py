"""timeit, incr_count and the base they share."""

import asyncio
import inspect
import sys

import pytest

from heka.decorators import incr_count, timeit
from heka.decorators.base import HekaDecorator
from heka.holder import CLIENT_HOLDER
from heka.message import first_value
from heka.testing import assert_message, capture_client, sent_messages


@pytest.fixture
def client():
    """The default client of the process, for one test."""
    before = CLIENT_HOLDER._default_clientname
    client = capture_client("decorated")
    CLIENT_HOLDER.set_client("decorated", client)
    CLIENT_HOLDER.set_default_client_name("decorated")
    yield client
    CLIENT_HOLDER.delete_client("decorated")
    CLIENT_HOLDER.set_default_client_name(before)


@timeit
def timed_add(x, y):
    """Add."""
    return x + y


def names_and_types(client):
    return [(msg.type, first_value(msg, "name")) for msg in sent_messages(client)]


def test_a_decorator_may_come_before_the_client(client):
    """A function decorated at import time uses the client that is the default when it is called."""
    assert timed_add(3, 4) == 7
    assert [("timer", f"{__name__}.timed_add")] == names_and_types(client)
    other = capture_client("other")
    CLIENT_HOLDER.set_client("other", other)
    CLIENT_HOLDER.set_default_client_name("other")
    try:
        assert timed_add(3, 4) == 7
    finally:
        CLIENT_HOLDER.delete_client("other")
    assert len(sent_messages(client)) == len(sent_messages(other)) == 1


def test_a_decorated_function_keeps_its_face():
    """Name, documentation, module and signature are the function's."""
    assert (timed_add.__name__, timed_add.__doc__, timed_add.__module__) == ("timed_add", "Add.", __name__)
    assert str(inspect.signature(timed_add)) == "(x, y)"
    assert timed_add.__wrapped__(1, 2) == 3
    assert timed_add.decorator_name == "timeit"


@pytest.mark.parametrize("decorate", [timeit("other.name"), timeit(name="other.name")])
def test_a_timer_may_be_named(client, decorate):
    """By position or by keyword."""

    @decorate
    def work():
        return 1

    assert [work(), work()] == [1, 1]
    assert [("timer", "other.name")] * 2 == names_and_types(client)


@pytest.mark.parametrize("decorate", [incr_count("c", 5), incr_count(name="c", count=5)])
def test_a_counter_may_be_named_and_count_more(client, decorate):
    """By position or by keyword."""

    @decorate
    def work():
        return 1

    assert work() == 1
    (msg,) = sent_messages(client)
    assert_message(msg, type="counter", payload="5", fields={"name": "c", "rate": 1.0})


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [(incr_count, timeit, ["timer", "counter"]), (timeit, incr_count, ["counter", "timer"])],
)
def test_decorators_stack(client, outer, inner, expected):
    """The inner one sends first, and both use the name of the function."""

    @outer
    @inner
    def ordering(x, y):
        return x + y

    assert ordering(5, 6) == 11
    assert [(kind, f"{__name__}.ordering") for kind in expected] == names_and_types(client)


def test_methods(client):
    """Decorated methods are bound; static and class methods too; each keeps its own name."""

    class Stub:
        def __init__(self, value):
            self.value = value

        @incr_count
        @timeit
        def get_value(self):
            return self.value

        @timeit
        def get_other(self):
            return -self.value

        @staticmethod
        @timeit
        def fixed():
            return "static"

        @classmethod
        @timeit
        def named(cls):
            return cls.__name__

    stub = Stub(7)
    assert [stub.get_value(), stub.get_other(), Stub.get_value(stub), stub.fixed(), Stub.named()] == [
        7,
        -7,
        7,
        "static",
        "Stub",
    ]
    names = [name for _, name in names_and_types(client)]
    assert [
        f"{__name__}.{name}" for name in ("get_value",) * 2 + ("get_other",) + ("get_value",) * 2 + ("fixed", "named")
    ] == names


def test_all_arguments_reach_the_client(client):
    """logger, severity, fields and rate of the decorator are those of the message."""

    @timeit(name="qdo.timeit", logger="timeit_logger", severity=5, fields={"anumber": 42, "atext": "foo"}, rate=7)
    @incr_count(name="qdo.foo", count=5, logger="somelogger", severity=2)
    def simple(x, y):
        return x + y

    simple(5, 6)
    counter, timer = sent_messages(client)
    assert_message(counter, logger="somelogger", severity=2, payload="5", fields={"name": "qdo.foo", "rate": 1.0})
    assert_message(timer, logger="timeit_logger", severity=5, fields={"anumber": 42, "atext": "foo", "rate": 7})


@pytest.mark.parametrize("decorate", [timeit(name="n", bad_arg=42), incr_count(name="n", bad_arg=42)])
def test_a_wrong_argument_is_a_type_error(client, decorate):
    """It is the programmer's mistake, and said at the first call."""

    @decorate
    def invalid(x, y):
        return x + y

    with pytest.raises(TypeError):
        invalid(3, 5)


def test_disabled_timers_are_not_sent(client):
    """By full name, by bare name, or all of them; the function runs all the same."""

    @timeit
    def simple(x):
        return x

    @timeit
    def simple2(x):
        return x

    for disabled, sent in ((f"{__name__}.simple", 1), ("simple", 2), ("*", 2), ("unknown", 4)):
        client.setup(client.stream, client.encoder, None, disabled_timers=disabled)
        assert (simple(1), simple2(2)) == (1, 2)
        assert sent == len(sent_messages(client))


def test_an_exception_is_counted_and_passed_on(client):
    """A call that raises is timed and counted, and its exception comes out unchanged."""

    @incr_count
    @timeit
    def broken():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        broken()
    assert ["timer", "counter"] == [msg.type for msg in sent_messages(client)]


def test_coroutines(client):
    """A decorated coroutine function is timed and counted when it is done."""

    @timeit("outer")
    @incr_count("c")
    @timeit("t")
    async def work(fail):
        await asyncio.sleep(0.02)
        if fail:
            raise KeyError("mine")
        return "done"

    assert asyncio.run(work(False)) == "done"
    with pytest.raises(KeyError, match="mine"):
        asyncio.run(work(True))
    assert [("timer", "t"), ("counter", "c"), ("timer", "outer")] * 2 == names_and_types(client)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(work)
    assert all(int(msg.payload) >= 20 for msg in sent_messages(client) if msg.type == "timer")


def test_client_and_client_name(client):
    """A client may be given, or named; a named one is looked up at each call."""
    mine = capture_client("mine")

    @timeit("t", client=mine)
    def first():
        return 1

    @timeit("t", client_name="named_later")
    def second():
        return 2

    named = capture_client("named_later")
    CLIENT_HOLDER.set_client("named_later", named)
    try:
        assert (first(), second()) == (1, 2)
    finally:
        CLIENT_HOLDER.delete_client("named_later")
    assert [1, 1, 0] == [len(sent_messages(each)) for each in (mine, named, client)]


def test_a_decorator_of_ones_own(client):
    """A subclass gets its arguments, the function and the client; ``predicate`` turns it off."""

    class shout(HekaDecorator):
        is_on = True

        def predicate(self):
            return self.is_on

        def heka_call(self, *args, **kwargs):
            self.client.heka("shout", payload=str(self.args), fields={"name": self.kwargs["name"]})
            return self._invoke(*args, **kwargs)

    class Callable:
        def __call__(self, x):
            return x

    decorated = shout("a", 2)(Callable())
    assert decorated(5) == 5
    (msg,) = sent_messages(client)
    assert_message(msg, type="shout", payload="('a', 2)", fields={"name": f"{__name__}.Callable"})
    shout.is_on = False
    assert decorated(6) == 6
    assert len(sent_messages(client)) == 1
    with pytest.raises(NotImplementedError):
        HekaDecorator(Callable())(1)
