"""The decorator capture_stack, on whatever can be called."""

import asyncio
import functools
import inspect
import threading

import pytest

from heka.holder import CLIENT_HOLDER
from heka.testing import sent_messages
from heka_raven.raven_plugin import capture_stack
from support.events import (
    last_event,
    raised,
    router_client,
    sent_events,
)


def test_capture_stack_options(client):
    """``capture_stack(severity=2)`` holds for every call, not for the first only."""

    @capture_stack(severity=2, client=client, tags={"a": "b"})
    def fail():
        raise ValueError

    raised(fail)
    raised(fail)
    assert [2, 2] == [message.severity for message in sent_messages(client)]
    assert {"a": "b"} == last_event(client)["tags"]


def test_capture_stack_keeps_the_function():
    """Name, documentation, signature, module, attributes and kind of the function stay."""

    def function(a, *, b: int = 1) -> str:
        """Its documentation."""

    function.attribute = 1
    wrapped = capture_stack(function)
    assert ("function", "Its documentation.", 1) == (wrapped.__name__, wrapped.__doc__, wrapped.attribute)
    assert inspect.signature(function) == inspect.signature(wrapped)


def test_capture_stack_on_methods(client):
    """Methods, static and class methods report, and are called as before."""
    captured = capture_stack(client=client)

    class View:
        @captured
        def method(self, x):
            return (self, x / 0)

        @staticmethod
        @captured
        def static(x):
            return x / 0

        @captured
        @staticmethod
        def static2(x):
            return x / 0

        @classmethod
        @captured
        def cls(cls, x):
            return x / 0

        @captured
        @classmethod
        def cls2(cls, x):
            return cls, x / x

        @property
        @captured
        def prop(self):
            return 1 / 0

    for function in (View().method, View.static, View.static2, View().static2, View.cls):
        assert isinstance(raised(function, 1), ZeroDivisionError)
    raised(lambda: View().prop)
    assert 6 == len(sent_messages(client))
    assert (View, 1) == View.cls2(5)


def test_capture_stack_on_generators(client):
    """A generator is passed values and exceptions as before, returns its value, and reports what it raises."""

    @capture_stack(client=client)
    def numbers():
        try:
            received = yield 1
        except KeyError:
            received = "thrown"
        yield received
        raise ValueError

    generator = numbers()
    assert inspect.isgenerator(generator)
    assert 1 == next(generator)
    assert "sent" == generator.send("sent")
    raised(next, generator)
    assert 1 == len(sent_messages(client))
    generator = numbers()
    next(generator)
    assert "thrown" == generator.throw(KeyError())
    generator.close()
    assert 1 == len(sent_messages(client))


def test_capture_stack_on_coroutines(client):
    """Coroutines and asynchronous generators report what they raise."""

    @capture_stack(client=client)
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("coroutine")

    @capture_stack(client=client)
    async def numbers():
        received = yield 1
        yield received
        raise ValueError("generator")

    async def main():
        agen = numbers()
        assert 1 == await agen.__anext__()
        assert "sent" == await agen.asend("sent")
        with pytest.raises(ValueError, match="generator"):
            await agen.__anext__()
        other = numbers()
        await other.__anext__()
        await other.aclose()
        with pytest.raises(ValueError, match="coroutine"):
            await fail()

    assert inspect.iscoroutinefunction(fail)
    assert inspect.isasyncgenfunction(numbers)
    asyncio.run(main())
    assert ["generator", "coroutine"] == [event["exception"]["values"][0]["value"] for event in sent_events(client)]


def test_capture_stack_on_callable_objects(client):
    """An object with a ``__call__``, asynchronous or not, and what functools makes of functions."""

    class Plain:
        def __call__(self):
            raise ValueError("plain")

    class Asynchronous:
        async def __call__(self):
            raise ValueError("asynchronous")

    raised(capture_stack(client=client)(Plain()))
    raised(asyncio.run, capture_stack(client=client)(Asynchronous())())
    raised(capture_stack(client=client)(functools.partial(int, "partial")))
    raised(asyncio.run, capture_stack(client=client)(functools.partial(Asynchronous()))())
    values = [event["exception"]["values"][0]["value"] for event in sent_events(client)]
    assert ["plain", "asynchronous"] == values[:2]
    assert "partial" in values[2]
    assert "asynchronous" == values[3]


def test_capture_stack_by_client_name():
    """``client_name`` finds the client at each call, and does not make one."""
    client = router_client()

    @capture_stack(client_name="events-named")
    def fail():
        raise ValueError

    raised(fail)
    assert "events-named" not in CLIENT_HOLDER._clients
    CLIENT_HOLDER.set_client("events-named", client)
    try:
        raised(fail)
    finally:
        CLIENT_HOLDER.delete_client("events-named")
    assert 1 == len(sent_messages(client))


def test_capture_stack_lets_exits_pass(client):
    """SystemExit, KeyboardInterrupt and GeneratorExit are not errors of the function."""

    @capture_stack(client=client)
    def leave(kind):
        raise kind

    for kind in (SystemExit, KeyboardInterrupt, GeneratorExit):
        assert isinstance(raised(leave, kind), kind)
    assert [] == sent_messages(client)


def test_threads(client):
    """Threads report at the same time, each its own error."""
    client.stream.msgs = []

    def work(number):
        for n in range(20):
            try:
                raise ValueError(f"{number}-{n}")
            except ValueError:
                client.raven()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = {event["exception"]["values"][0]["value"] for event in sent_events(client)}
    assert 100 == len(values)
