"""An error is reported once, wherever it is caught again."""

import asyncio
import concurrent.futures
import contextlib
import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.raven_plugin import capture_stack
from support.events import (
    exception_call1,
    raised,
    sent_events,
)
from support.scope import enter_request


def test_once_per_request(client, request_scope):
    """In a request an exception is reported once, however many layers see it, also when it is raised again."""

    def layer(depth):
        try:
            return layer(depth - 1) if depth else exception_call1(5, 5)
        except ZeroDivisionError as exc:
            client.raven()
            raise exc

    raised(layer, 3)
    assert 1 == len(sent_messages(client))


def test_again_in_the_next_request(client):
    """A singleton exception is reported in each request that it is raised in."""
    singleton = ValueError("one for all")

    def request():
        token = enter_request(lambda environ: scope.RequestFacts(), {})
        try:
            raise singleton
        except ValueError:
            client.raven()
        finally:
            scope.CURRENT.reset(token)

    request()
    request()
    assert 2 == len(sent_messages(client))


def test_once_per_raise_outside(client):
    """Outside a request: once per raise, however many layers see it."""

    def layer(depth):
        try:
            return layer(depth - 1) if depth else exception_call1(5, 5)
        except ZeroDivisionError:
            client.raven()
            raise

    raised(layer, 3)
    assert 1 == len(sent_messages(client))


def test_a_singleton_raised_again_is_new(client):
    """Outside a request: the same object raised again is a new report, from the same place or another."""
    singleton = ValueError("one for all")

    def fail():
        raise singleton

    for _ in range(2):
        try:
            fail()
        except ValueError:
            client.raven()
    for _ in range(2):
        try:
            raise singleton
        except ValueError:
            client.raven()
    assert 4 == len(sent_messages(client))


def test_once_through_generators(client):
    """An exception that comes through generators is reported once, too."""

    @capture_stack(client=client)
    def inner():
        yield 1
        raise ValueError

    @capture_stack(client=client)
    def outer():
        yield from inner()

    raised(lambda: list(outer()))
    assert 1 == len(sent_messages(client))


def test_once_through_context_managers(client):
    """A context manager made of a generator, which the exception is thrown into, is one layer more."""

    @contextlib.contextmanager
    def reporting():
        try:
            yield
        except ValueError:
            client.raven()
            raise

    @capture_stack(client=client)
    def fail():
        with reporting():
            raise ValueError

    @capture_stack(client=client)
    def outer():
        with reporting():
            fail()

    raised(outer)
    assert 1 == len(sent_messages(client))


def test_once_through_futures(client):
    """What a thread's function raised, and its future gives on, is reported once; so is what a future holds."""

    @capture_stack(client=client)
    def fail():
        raise ValueError

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        raised(capture_stack(client=client)(pool.submit(fail).result))
    assert 1 == len(sent_messages(client))

    async def wait_twice():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError())
        for _ in range(2):
            try:
                await future
            except ValueError:
                client.raven()

    asyncio.run(wait_twice())
    assert 2 == len(sent_messages(client))


def test_a_future_that_gives_on_twice_is_one_report_in_every_run(client):
    """Whatever addresses the new traceback gets: 300 futures, each awaited three times, are 300 reports."""

    async def wait_often():
        ids, kept = [], []
        for number in range(300):
            future = asyncio.get_running_loop().create_future()
            future.set_exception(ValueError(number))
            for _ in range(3):
                try:
                    await future
                except ValueError:
                    ids.append(client.raven())
                    kept.append(object())  # takes what was free, so that the next entry lies elsewhere
            if number % 3 == 0:
                kept.clear()
        return ids

    ids = asyncio.run(wait_often())
    assert (900, 300) == (len(ids), len(set(ids) - {None}))


@pytest.mark.parametrize("away", ["before each", "now and then"])
def test_a_singleton_raised_again_is_new_in_every_run(client, away):
    """Raised 300 times at one place, with its old traceback or without, it is 300 reports."""
    singleton = ValueError("one for all")
    ids = set()
    for number in range(300):
        if away == "before each" or number % 50 == 0:
            singleton.__traceback__ = None  # its entries are freed, and the next get their places
        try:
            raise singleton
        except ValueError:
            ids.add(client.raven())
    assert 300 == len(ids - {None})


def test_the_mark_makes_no_cycle(client):
    """With the collector off, an exception that was reported is freed with its frames."""

    class Local:
        pass

    def fail():
        local = Local()
        seen.append(weakref.ref(local))
        raise ValueError(1)

    seen = []
    gc.disable()
    try:
        for _ in range(20):
            with contextlib.suppress(ValueError):
                capture_stack(client=client)(fail)()
        assert [None] * 20 == [ref() for ref in seen]
    finally:
        gc.enable()


def test_an_exception_that_nobody_raised_is_reported_once(client):
    """One that was only made is reported once; raised afterwards, it is new."""
    made = ValueError("made")
    client.raven(exc_info=made)
    client.raven(exc_info=made)
    assert 1 == len(sent_messages(client))
    try:
        raise made
    except ValueError:
        client.raven()
    assert 2 == len(sent_messages(client))


def test_a_singleton_raised_again_at_the_bottom_of_the_stack(tmp_path):
    """The outermost frame, which nobody called, may catch and raise as any other."""
    script = tmp_path / "loop.py"
    script.write_text(
        "from support import events\n"
        "client = events.router_client()\n"
        "singleton = ValueError('one for all')\n"
        "def fail():\n    raise singleton\n"
        "for _ in range(3):\n"
        "    try:\n        fail()\n"
        "    except ValueError:\n        client.raven()\n"
        "print(len(events.sent_messages(client)))\n"
    )
    paths = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]
    ran = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, capture_output=True
    )
    assert b"3" == ran.stdout.strip(), ran.stderr.decode()


def test_the_mark_is_harmless(client):
    """An exception that was reported can be pickled, and its args and text are what they were."""
    try:
        raise ValueError("x")
    except ValueError as exc:
        client.raven()
        again = pickle.loads(pickle.dumps(exc))
        assert repr(exc) == repr(again)
        assert {name: str(value) for name, value in vars(exc).items()} == vars(again)
        assert [str] * len(vars(again)) == [type(value) for value in vars(again).values()]
        assert vars(again) == json.loads(json.dumps(vars(exc))) == vars(copy.copy(exc))


def test_the_mark_changes_no_text(client):
    """A library's exception that was reported reads as before where it is the cause of another."""
    try:
        try:
            raise subprocess.CalledProcessError(3, "make")
        except subprocess.CalledProcessError as error:
            client.raven()
            raise ValueError("not built") from error
    except ValueError:
        client.raven()
    texts = [value["value"] for event in sent_events(client) for value in event["exception"]["values"]]
    said = "Command 'make' returned non-zero exit status 3."
    assert [said, said, "not built"] == texts


def test_a_new_exception_at_the_same_address(client, request_scope):
    """Exceptions that follow each other in one request are told apart, whatever their addresses."""
    for number in range(50):
        try:
            raise ValueError(number)
        except ValueError:
            client.raven()
    assert 50 == len(sent_messages(client))
