"""Nothing that is missing or broken reaches the application."""

import json
import logging
import sys
import time

import pytest

from heka import limited_log
from heka.client import HekaClient
from heka.streams import DebugCaptureStream
from heka.testing import sent_messages
from heka_raven.raven_plugin import capture_stack
from support.events import (
    frames_of,
    last_event,
    raised,
    report,
    router_client,
    sent_events,
    spool_client,
    vars_of,
)
from support.spools import spooled_items


def test_without_a_dsn(caplog):
    """Without a DSN nothing is sent and one warning is logged."""
    client = router_client(dsn=None)
    with caplog.at_level(logging.WARNING, "heka_raven"):
        assert report(client) is None
        assert report(client) is None
    assert [] == sent_messages(client)
    assert 1 == len([record for record in caplog.records if "no dsn" in record.getMessage()])


@pytest.mark.parametrize("missing", ["client", "plugin", "dsn"])
def test_capture_stack_with_something_missing(missing, caplog):
    """Without a client, a plugin or a DSN the app's own exception is all that is seen, and one warning is logged."""
    from heka_raven import raven_plugin

    raven_plugin._told_no_client.clear()
    client = {"client": None, "plugin": HekaClient(DebugCaptureStream(), ""), "dsn": router_client(dsn=None)}[missing]

    @capture_stack(client=client, client_name="" if client else "no such client")
    def fail():
        raise KeyError("own")

    with caplog.at_level(logging.WARNING, "heka_raven"):
        for _ in range(2):
            exc = raised(fail)
            assert isinstance(exc, KeyError)
            assert exc.__context__ is None
    assert 1 == len(caplog.records)


def test_a_stream_that_fails(client, caplog):
    """A stream that fails costs the event, nothing else."""

    class Failing:
        def write(self, data):
            raise OSError("gone")

    client.stream = Failing()
    assert report(client) is None


def test_a_failing_reporter_is_silent(client, monkeypatch, caplog):
    """Whatever breaks inside, the call returns None."""
    monkeypatch.setattr(client.raven.reporter, "_report", lambda *args: 1 / 0)
    with caplog.at_level(logging.CRITICAL):
        assert report(client) is None


def test_a_failing_reporter_logs_once_a_minute(client, monkeypatch, caplog):
    """The traceback of what breaks inside is logged once a minute, not with each event."""
    now = [1000.0]
    monkeypatch.setattr(limited_log.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(client.raven.reporter, "_report", lambda *args: 1 / 0)
    for passed_s, lines in ((0, 1), (59, 1), (1, 2)):
        now[0] += passed_s
        assert report(client) is None
        assert ["an event was lost: ZeroDivisionError in the reporter"] * lines == caplog.messages
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("client_name", ["", "no such client"])
def test_a_log_handler_that_fails(client, client_name):
    """The app's own exception leaves, also when nothing can be reported and the app's log handler raises."""

    class Failing(logging.Handler):
        def emit(self, record):
            raise RuntimeError("handler")

    handler = Failing()
    logging.getLogger("heka_raven").addHandler(handler)
    try:

        @capture_stack(client=None if client_name else client, client_name=client_name, exc_info="given twice")
        def fail():
            raise KeyError("own")

        exc = raised(fail)
    finally:
        logging.getLogger("heka_raven").removeHandler(handler)
    assert "own" == exc.args[0]
    assert exc.__context__ is None


def endless(client, kind):
    """A function that recurses for ever, through Python and through C."""
    watch = capture_stack(client=client)

    @watch
    def plain(n):
        return plain(n + 1)

    @watch
    def generator(n):
        yield from generator(n + 1)

    def wrapped(n):
        return watch(wrapped)(n + 1)

    class Odd:
        __repr__ = watch(lambda self: repr(self))
        __eq__ = watch(lambda self, other: self == other)
        __hash__ = None
        __getattr__ = watch(lambda self, name: getattr(self, f"{name}x"))
        prop = property(watch(lambda self: self.prop))

    nested = []
    for _ in range(100_000):
        nested = [nested]
    return {
        "plain": lambda: plain(0),
        "generator": lambda: list(generator(0)),
        "wrapped anew": lambda: wrapped(0),
        "repr": lambda: repr(Odd()),
        "eq": lambda: Odd() == 1,
        "getattr": lambda: Odd().missing,
        "property": lambda: Odd().prop,
        "in C": watch(lambda: json.dumps(nested)),
    }[kind]


KINDS = ["plain", "generator", "wrapped anew", "repr", "eq", "getattr", "property", "in C"]


@pytest.mark.parametrize("kind", KINDS)
def test_recursion_limit(client, kind):
    """Issue 17, item 8: an error of too deep a recursion is reported once, from where there is room, with its end.

    What fails afterwards is reported as ever.
    """
    exc = raised(endless(client, kind))
    assert isinstance(exc, RecursionError)
    (event,) = sent_events(client)
    assert "RecursionError" == event["exception"]["values"][-1]["type"]
    assert event["exception"]["values"][-1]["stacktrace"]["frames"]
    with pytest.raises(KeyError):
        capture_stack(client=client)({}.pop)("afterwards")
    assert "KeyError" == sent_events(client)[-1]["exception"]["values"][-1]["type"]


def test_an_error_near_the_limit_of_recursion(client):
    """Any error so deep down is reported from where there is room; none is lost on the way, and none twice."""

    @capture_stack(client=client)
    def layer(depth):
        if depth == 0:
            raise ValueError("deep down")
        return layer(depth - 1)

    def dig(depth):
        return dig(depth - 1) if depth else layer(100)

    for start in range(sys.getrecursionlimit() - 400, sys.getrecursionlimit() - 210, 10):
        before = len(sent_events(client))
        if isinstance(raised(dig, start), ValueError):
            assert before + 1 == len(sent_events(client))


def test_reports_about_reports_end(client):
    """A before_send that logs an error, or fails and is reported itself, does not loop."""
    calls = []

    def before_send(event, hint):
        calls.append(1)
        report(client)
        return event

    client.raven.reporter.options.before_send = before_send
    assert report(client)
    assert 1 == len(calls)


def test_hostile_error_is_reported(client):
    """An exception all of whose methods raise, with locals that do the same, is reported, and stays what it is."""

    class Cruel(Exception):
        def __getattribute__(self, name):
            raise KeyboardInterrupt

        __str__ = __repr__ = __eq__ = __bool__ = __getattribute__

        def __hash__(self):
            raise KeyboardInterrupt

        __class__ = property(__hash__)

    def fail():
        cruel = [Cruel(), {"k": Cruel()}]  # noqa: F841
        raise Cruel("m")

    try:
        fail()
    except BaseException:
        assert client.raven()
    event = last_event(client)
    assert ("Cruel", "m") == (event["exception"]["values"][0]["type"], event["exception"]["values"][0]["value"])


class Odd:
    """All of whose methods raise."""

    def __getattribute__(self, name):
        raise KeyboardInterrupt("the application's code was run")

    __repr__ = __str__ = __bool__ = __eq__ = __len__ = __iter__ = __hash__ = __getattribute__


@pytest.mark.parametrize(
    "keyword",
    "msg logger severity level tags extra user fingerprint contexts mechanism own_field exc_info payload".split(),
)
def test_hostile_arguments(client, keyword, caplog):
    """Whatever is passed to the call, it does not raise, and nothing of it is run; what is usable is reported."""
    for value in (Odd(), {"a": Odd()}, [Odd()], ("a", Odd()), {"type": Odd()}, "text", 5, b"x"):
        with caplog.at_level(logging.CRITICAL):
            event_id = report(client, **{keyword: value})
        if keyword not in ("exc_info", "payload"):
            assert event_id
            assert "exception" in last_event(client)
            assert "values are left out" not in str(last_event(client))


def test_hostile_sizes_are_bounded(tmp_path):
    """50 MB of text, 3 million items, a slow repr, 1,000 frames, 10,000 keys: the event is small, and soon there."""

    class Slow:
        def __repr__(self):
            time.sleep(5)

    text, items, keys = "x" * 50_000_000, list(range(3_000_000)), {f"key{n}": n for n in range(10_000)}

    def fail(depth, a, b, c, d):
        return fail(depth - 1, a, b, c, d) if depth else 1 / 0

    client = spool_client(tmp_path / "spool")
    exc = raised(fail, 900, text, items, keys, Slow())
    started = time.process_time()
    assert client.raven(exc_info=exc)
    assert time.process_time() - started < 2
    ((_, item, event),) = spooled_items(tmp_path / "spool")
    assert item["length"] < 1024 * 1024
    assert 250 == len(frames_of(event))


@pytest.mark.parametrize("protocol", [3, 7])
@pytest.mark.parametrize("payload", ["json", "raven"])
def test_fits_a_heka_message(protocol, payload):
    """To a router the whole message stays within 65,536 bytes, on a DebugCaptureStream too; inner locals stay."""

    def fail(depth):
        import random

        noise = [random.randbytes(190).hex() for _ in range(40)]  # noqa: F841
        return fail(depth - 1) if depth else 1 / 0

    client = router_client(protocol=protocol, payload=payload)
    assert client.raven(exc_info=raised(fail, 120))
    (message,) = sent_messages(client)
    assert message.ByteSize() <= 65_536


def test_event_over_1_mib_is_trimmed(tmp_path):
    """An event is never over 1 MiB: the outermost locals go first, the innermost stay."""

    def fail(depth, **values):
        return fail(depth - 1, **{name: value + "!" for name, value in values.items()}) if depth else 1 / 0

    client = spool_client(tmp_path / "spool")
    # Control characters take six bytes each in JSON.
    client.raven(exc_info=raised(lambda: fail(200, **{f"v{n}": "\x01" * 399 for n in range(40)})))
    ((_, item, event),) = spooled_items(tmp_path / "spool")
    assert item["length"] <= 1024 * 1024
    assert "v0" in vars_of(event)["values"]
    assert "v0" not in str(frames_of(event)[1].get("vars"))


def test_memory_stays():
    """What is kept after errors does not grow with their number."""
    import tracemalloc

    client = router_client()
    client.stream.msgs.clear()
    client.stream.write = lambda data: None
    for _ in range(200):
        report(client)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(500):
        report(client)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 100_000
