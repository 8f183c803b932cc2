"""The raven plugin: what heka-py-raven promised, and what it did not."""

import asyncio
import concurrent.futures
import contextlib
import functools
import inspect
import logging
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heka import limited_log
from heka.client import HekaClient
from heka.filters import severity_max_provider
from heka.holder import CLIENT_HOLDER, get_client
from heka.streams import DebugCaptureStream
from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.raven_plugin import InvalidArgumentError, build_client, capture_stack, config_plugin
from heka_raven.reporting import reporter
from heka_raven.spool.ledger import read_snapshot
from support.events import (
    DSN,
    frames_of,
    last_event,
    last_fields,
    raised,
    router_client,
    sent_events,
    spool_client,
    vars_of,
)
from support.spools import spooled_items


@pytest.fixture
def client():
    return router_client()


@pytest.fixture
def default_client(client):
    """*client* as the process's default one."""
    name = "events-default"
    CLIENT_HOLDER.set_client(name, client)
    before = CLIENT_HOLDER._default_clientname
    CLIENT_HOLDER.set_default_client_name(name)
    yield client
    CLIENT_HOLDER.set_default_client_name(before)
    CLIENT_HOLDER.delete_client(name)


@pytest.fixture
def request_scope():
    """A request as the middleware opens one."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x"}
    facts = scope.RequestFacts(
        request={
            "method": "GET",
            "url": "http://h/x",
            "query_string": "token=hidden&a=1",
            "headers": {"Accept": "*/*"},
        },
        transaction="GET /x",
        user={"id": 7, "role": "admin"},
        tags={"from": "request"},
        fields={"request_method": "GET", "request_path": "/x", "status": 500, "remote_addr": "1.2.3.4"},
        trace={"trace_id": "a" * 32, "span_id": "b" * 16},
    )
    token = scope.CURRENT.set((lambda given: facts, environ))
    yield environ
    scope.CURRENT.reset(token)


def exception_call2(a, b, c):
    return a + b + c / (a - b)


def exception_call1(x, y):
    return exception_call2(y, x, 42)


def report(client, *args, **kwargs):
    try:
        exception_call1(5, 5)
    except ZeroDivisionError:
        return client.raven(*args, **kwargs)


# -- the seven behaviours of heka-py-raven's own tests ---


def test_one_message_per_exception(client):
    """One message of type ``sentry``, severity 3, logger '' unless set, with the fields ``msg`` and ``dsn``."""
    report(client, "some message")
    (message,) = sent_messages(client)
    assert ("sentry", 3, "") == (message.type, message.severity, message.logger)
    fields = last_fields(client)
    assert "some message" == fields["msg"]
    assert "https://public@sentry.example.com/2" == fields["dsn"]


def test_payload_decodes_with_raven_client(client):
    """The payload decodes with ``RavenClient().decode``; culprit, frames in order, and ``extra.msg`` are right."""
    from heka_raven.raven_plugin import RavenClient

    report(client, "some message")
    event = RavenClient().decode(sent_messages(client)[0].payload)
    assert f"{__name__} in exception_call2" == event["culprit"]
    assert "some message" == event["extra"]["msg"]
    frames = frames_of(event)
    assert ["report", "exception_call1", "exception_call2"] == [frame["function"] for frame in frames]
    keys = "abs_path context_line filename function lineno module pre_context post_context vars"
    assert set(keys.split()) <= set(frames[-1])
    assert {"a": 5, "b": 5, "c": 42} == vars_of(event)


def test_payload_goes_as_it_is(client):
    """``raven(payload=x)`` sends x, whether an exception is in flight or not."""
    assert client.raven(payload="some payload data")
    report(client, payload="other payload")
    assert ["some payload data", "other payload"] == [message.payload for message in sent_messages(client)]


def test_nothing_in_flight(client):
    """Outside an exception nothing is sent, and None is returned."""
    assert client.raven("text") is None
    assert client.raven(exc_info=None) is None
    assert client.raven(exc_info=(None, None, None)) is None
    assert [] == sent_messages(client)


def test_unknown_option():
    """An unknown option raises InvalidArgumentError, which names it."""
    with pytest.raises(InvalidArgumentError, match="unknown option bogus"):
        config_plugin({"bogus": 1})


def test_capture_stack_passes_values_and_reraises(default_client):
    """``capture_stack`` passes a return value through, and re-raises the same exception."""

    @capture_stack
    def decorated(x, y):
        return exception_call2(x, y, 42)

    assert 1 + 2 + 42 / -1 == decorated(1, 2)
    assert [] == sent_messages(default_client)
    exc = raised(decorated, 5, 5)
    assert isinstance(exc, ZeroDivisionError)
    assert ["decorated", "exception_call2"] == [f["function"] for f in frames_of(last_event(default_client))]


def test_other_keywords_become_fields(client):
    """Keywords that are nothing to the event become fields of the message; logger and severity are its own."""
    own = {"request_id": "abc", "attempt": 3, "password": "hidden", "obj": object()}
    report(client, "with extras", logger="other", severity=1, **own)
    (message,) = sent_messages(client)
    assert ("other", 1) == (message.logger, message.severity)
    fields = last_fields(client)
    assert ("abc", 3, "[Filtered]", "<object object>") == tuple(
        fields[name] for name in ("request_id", "attempt", "password", "obj")
    )
    event = last_event(client)
    assert "fatal" == event["level"]
    assert "other" == event["logger"]
    assert "abc" == event["extra"]["request_id"]


# -- the call ---


def test_returns_the_event_id(client):
    """The call returns the event id, which is in the event and in the fields."""
    event_id = report(client)
    assert re.fullmatch("[0-9a-f]{32}", event_id)
    assert event_id == last_event(client)["event_id"] == last_fields(client)["event_id"]


def test_event_keywords(client):
    """level, tags, extra, user, fingerprint and contexts reach the event, in Sentry's form."""
    report(
        client,
        level="warning",
        tags={"a": 1, "bad name!": "x\ny", "empty": "", "release": "r"},
        extra={"n": [1]},
        user={"id": 5, "email": "a@b.c", "role": "x"},
        fingerprint=["f", 2],
        contexts={"job": {"n": 1}},
    )
    event = last_event(client)
    assert "warning" == event["level"]
    assert {"a": "1", "bad_name_": "x y"} == event["tags"]
    assert [1] == event["extra"]["n"]
    assert {"id": "5", "email": "a@b.c", "data": {"role": "x"}} == event["user"]
    assert ["f", "2"] == event["fingerprint"]
    assert {"n": 1} == event["contexts"]["job"]


@pytest.mark.parametrize("value", ["tuple", "exception", "list"])
def test_exc_info_given(client, value):
    """An exception can be given, as a tuple or as itself, after it was caught."""
    exc = raised(exception_call1, 5, 5)
    given = {"tuple": (type(exc), exc, exc.__traceback__), "exception": exc, "list": [type(exc), exc, None]}[value]
    assert client.raven(exc_info=given)
    assert "exception_call2" == frames_of(last_event(client))[-1]["function"]


@pytest.mark.parametrize("msg", [None, 5, object(), b"x", "\ud800"])
def test_odd_messages(client, msg):
    """Whatever is passed as the message, the event goes."""
    assert report(client, msg, logger=5, severity="high")


def test_severity_gives_the_level(client):
    """heka's severities become Sentry's levels."""
    for severity in range(8):
        report(client, severity=severity)
    levels = [event["level"] for event in sent_events(client)]
    assert ["fatal", "fatal", "fatal", "error", "warning", "info", "info", "debug"] == levels


def test_in_a_request(client, request_scope):
    """In a request the event shows it, scrubbed, and the message's fields let a router match on it."""
    event_id = report(client, tags={"own": "t"})
    event = last_event(client)
    assert "GET /x" == event["transaction"] == event["culprit"]
    assert "token=[Filtered]&a=1" == event["request"]["query_string"]
    assert {"id": "7", "data": {"role": "admin"}} == event["user"]
    assert {"from": "request", "own": "t"} == event["tags"]
    assert {"trace_id": "a" * 32, "span_id": "b" * 16} == event["contexts"]["trace"]
    fields = last_fields(client)
    assert ("GET /x", "GET", "/x", 500, "1.2.3.4") == tuple(
        fields[name] for name in ("culprit", "request_method", "request_path", "status", "remote_addr")
    )
    assert event_id == request_scope["heka_raven.event_id"]


def test_a_request_that_cannot_be_described(client):
    """If the request cannot be described, the error is reported without it."""

    def describe(environ):
        raise RuntimeError

    token = scope.CURRENT.set((describe, {}))
    try:
        assert report(client)
    finally:
        scope.CURRENT.reset(token)
    assert "request" not in last_event(client)


# -- once ---


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
        token = scope.CURRENT.set((lambda environ: scope.RequestFacts(), {}))
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
        assert repr(exc) == repr(pickle.loads(pickle.dumps(exc)))


def test_a_new_exception_at_the_same_address(client, request_scope):
    """Exceptions that follow each other in one request are told apart, whatever their addresses."""
    for number in range(50):
        try:
            raise ValueError(number)
        except ValueError:
            client.raven()
    assert 50 == len(sent_messages(client))


# -- privacy ---


def test_before_send_changes_and_drops(tmp_path):
    """``before_send`` may change the event, or drop it, which is counted; it gets the exception as a hint."""
    seen = []

    def before_send(event, hint):
        seen.append(hint["exc_info"][0])
        if "drop" in event["extra"].get("msg", ""):
            return None
        event["tags"]["added"] = "yes"
        return event

    client = spool_client(tmp_path / "spool", before_send=before_send)
    assert report(client, "keep")
    assert report(client, "drop this") is None
    assert [ZeroDivisionError] * 2 == seen
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    assert "yes" == event["tags"]["added"]
    snapshot = read_snapshot(str(tmp_path / "spool"))
    assert (2, 1) == (snapshot["captured"], snapshot["discarded.before_send"])


def test_before_send_changes_its_own_event_only(tmp_path):
    """What before_send does to an event shows in no later one, and in no other place of the same one."""
    changes = [True, False]

    def change(event, hint):
        if changes.pop(0):
            frame = event["exception"]["values"][0]["stacktrace"]["frames"][-1]
            frame["pre_context"][0] = frame["vars"]["shared"]["a"] = "changed"
            event["modules"].clear()
            event["sdk"]["name"] = event["contexts"]["runtime"]["name"] = "changed"
        return event

    def outer():
        shared = {"a": 1}
        inner(shared)

    def inner(shared):
        raise ValueError

    client = spool_client(tmp_path, before_send=change)
    for _ in range(2):
        client.raven(exc_info=raised(outer))
    first, second = (event for _, _, event in spooled_items(tmp_path))
    assert "changed" == vars_of(first)["shared"]["a"]
    assert {"a": 1} == frames_of(first)[-2]["vars"]["shared"]
    assert "changed" != frames_of(second)[-1]["pre_context"][0]
    assert "heka-raven" == second["sdk"]["name"]
    assert "changed" != second["contexts"]["runtime"]["name"]
    assert second["modules"]


@pytest.mark.parametrize("failure", ["raises", "exits", "returns a list", "returns what is no JSON"])
def test_before_send_that_fails(tmp_path, failure):
    """A privacy filter that fails lets out the skeleton only, and is counted."""

    def before_send(event, hint):
        if failure == "raises":
            raise ValueError
        if failure == "exits":
            raise SystemExit
        return [] if failure == "returns a list" else {"x": object()}

    client = spool_client(tmp_path / "spool", before_send=before_send)
    assert report(client, "the-msg", tags={"a": "the-tag"})
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    check_skeleton(event)
    assert 1 == read_snapshot(str(tmp_path / "spool"))["scrub_failed"]


def check_skeleton(event):
    text = str(event)
    for hidden in ("the-msg", "the-tag", "division", "42", "vars", "context_line"):
        assert hidden not in text.replace(event["event_id"], "").replace(event["timestamp"], "")
    value = event["exception"]["values"][-1]
    assert "ZeroDivisionError" == value["type"]
    assert ["report", "exception_call1", "exception_call2"] == [
        frame["function"] for frame in value["stacktrace"]["frames"]
    ]
    assert {"filename", "module", "function", "lineno", "in_app"} == set(value["stacktrace"]["frames"][0])


@pytest.mark.parametrize("method", ["scrub_event", "clean_text", "mask_names"])
def test_scrubbing_that_fails(tmp_path, method, monkeypatch, caplog):
    """If any rule of the scrubber fails, the skeleton goes out, and is counted."""
    client = spool_client(tmp_path / "spool")

    def fail(self, *args, **kwargs):
        raise ValueError("a rule failed")

    cls = type("Failing", (type(client.raven.reporter.scrubber),), {method: fail})
    monkeypatch.setattr(client.raven.reporter, "scrubber", cls())
    with caplog.at_level(logging.CRITICAL):
        assert report(client, "the-msg", tags={"a": "the-tag"}, extra={"u": "a=b"})
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    value = event["exception"]["values"][-1]
    assert ("ZeroDivisionError", "") == (value["type"], value["value"])
    assert "vars" not in value["stacktrace"]["frames"][-1]
    assert "the-msg" not in str(event)
    assert 1 == read_snapshot(str(tmp_path / "spool"))["scrub_failed"]


def test_send_secret(tmp_path):
    """The DSN's secret is in the heka message only if ``send_secret`` says so; the spool's envelope needs it."""
    client = router_client(send_secret="true")
    report(client)
    assert DSN == last_fields(client)["dsn"]
    client = spool_client(tmp_path / "spool")
    report(client)
    ((header, _, event),) = spooled_items(tmp_path / "spool")
    assert DSN == header["dsn"]
    assert "topsecret" not in str(event)


# -- options ---


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("severity", 8),
        ("severity", "high"),
        ("severity", True),
        ("protocol", 6),
        ("payload", "xml"),
        ("release", "a/b"),
        ("environment", "a b"),
        ("sample_rate", 2),
        ("sample_rate", "x"),
        ("send_secret", "maybe"),
        ("before_send", "no.such.module:f"),
        ("before_send", 5),
        ("tags", "no-colon"),
        ("tags", 5),
        ("ignore", 5),
        ("locals", "all"),
        ("scrub_keys", 5),
    ],
)
def test_wrong_values(option, value):
    """A wrong value raises InvalidArgumentError, which names the option and what is allowed."""
    with pytest.raises(InvalidArgumentError, match=f"{option}: .* is not allowed: .|{option}: .*cannot be imported"):
        config_plugin({option: value})


def test_a_wrong_dsn_is_not_quoted():
    """A DSN that breaks a rule is refused without being quoted: it holds a key."""
    with pytest.raises(InvalidArgumentError) as caught:
        config_plugin({"dsn": "https://key:hunter2@/1"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["often", "0/60s", 100])
def test_a_wrong_throttle(value):
    """It is as wrong as any other value."""
    with pytest.raises(InvalidArgumentError, match="max_per_fingerprint: "):
        config_plugin({"max_per_fingerprint": value})


def test_a_signal_while_an_error_is_reported(tmp_path):
    """What ends the program in the middle of a report goes on to end it; the event is counted as lost."""
    client = spool_client(tmp_path / "spool")

    def stopped(message):
        raise KeyboardInterrupt

    client.filters.append(stopped)
    with pytest.raises(KeyboardInterrupt):
        client.raven(exc_info=raised(int, "x"))
    client.filters.clear()
    assert client.raven(exc_info=raised(int, "x"))
    snapshot = read_snapshot(str(tmp_path / "spool"))
    assert (2, 1) == (snapshot["captured"], snapshot["discarded.internal_sdk_error"])
    assert 1 == len(spooled_items(tmp_path / "spool"))


def test_options_reach_the_event():
    """release, environment, server_name, tags and logger are in every event; values may come from an INI file."""
    client = router_client(
        release="app@1.0",
        environment="prod",
        server_name="web1",
        tags="team:core, tier=web",
        logger="ravenlog",
        severity="4",
    )
    report(client)
    event = last_event(client)
    assert ("app@1.0", "prod", "web1", "ravenlog", "warning") == tuple(
        event[name] for name in ("release", "environment", "server_name", "logger", "level")
    )
    assert {"team": "core", "tier": "web"} == event["tags"]
    assert ("ravenlog", 4) == (sent_messages(client)[0].logger, sent_messages(client)[0].severity)


@pytest.mark.parametrize("ignore", ["ZeroDivisionError", "ArithmeticError", "builtins.*", "Zero*", [ZeroDivisionError]])
def test_ignore(ignore, tmp_path):
    """``ignore`` takes names of classes and of bases, bare or dotted, with a * at the end; it is counted."""
    client = spool_client(tmp_path / "spool", ignore=ignore)
    assert report(client) is None
    snapshot = read_snapshot(str(tmp_path / "spool"))
    assert (1, 1) == (snapshot["captured"], snapshot["discarded.event_processor"])


def test_sample_rate(tmp_path):
    """``sample_rate`` 0 sends nothing; what it leaves out is counted."""
    client = spool_client(tmp_path / "spool", sample_rate="0")
    assert report(client) is None
    assert 1 == read_snapshot(str(tmp_path / "spool"))["discarded.sample_rate"]


def test_max_per_fingerprint(tmp_path, monkeypatch):
    """``max_per_fingerprint``: the rest is counted, and the next that goes says how many were held back."""
    client = spool_client(tmp_path / "spool", max_per_fingerprint="2/60s")
    began = time.monotonic()
    for _ in range(5):
        report(client)
    assert 3 == read_snapshot(str(tmp_path / "spool"))["discarded.throttled"]
    monkeypatch.setattr(reporter.time, "monotonic", lambda: began + 3600)
    assert report(client)
    monkeypatch.undo()
    events = [event for _, _, event in spooled_items(tmp_path / "spool")]
    assert 3 == len(events)
    assert 3 == events[-1]["extra"]["held_back"]


def test_locals_off_and_repr():
    """``locals = off`` sends no local variables; ``locals = repr`` asks classes for their repr."""

    class Shown:
        def __repr__(self):
            return "Shown!"

    def fail():
        shown = Shown()  # noqa: F841
        raise ValueError

    for value, expected in (("off", None), ("repr", "Shown!")):
        client = router_client(locals=value)
        client.raven(exc_info=raised(fail))
        assert expected == frames_of(last_event(client))[-1].get("vars", {}).get("shown")


def test_payload_json():
    """``payload = json`` sends plain JSON to a router."""
    client = router_client(payload="json")
    report(client)
    assert sent_messages(client)[0].payload.startswith('{"event_id":')


def test_filters_apply(tmp_path):
    """The client's filters stop events on their way to the spool as well."""
    client = spool_client(tmp_path / "spool")
    client.filters = [severity_max_provider(severity=2)]
    assert report(client) is None
    assert report(client, severity=2)
    assert 1 == len(spooled_items(tmp_path / "spool"))
    assert 1 == read_snapshot(str(tmp_path / "spool"))["discarded.event_processor"]


def test_payloads_to_the_spool(tmp_path, caplog):
    """The spool takes payloads that are events, JSON or raven's, and refuses what no server could read."""
    from heka_raven.raven_plugin import RavenClient

    client = spool_client(tmp_path / "spool")
    assert "a" * 32 == client.raven(payload='{"event_id": "%s"}' % ("a" * 32))
    assert "b" * 32 == client.raven(payload=RavenClient().encode({"event_id": "b" * 32}))
    assert client.raven(payload="some payload data") is None
    assert ["event", "raven"] == [item["type"] for _, item, _ in spooled_items(tmp_path / "spool")]
    snapshot = read_snapshot(str(tmp_path / "spool"))
    assert (3, 1) == (snapshot["captured"], snapshot["discarded.internal_sdk_error"])


def test_build_client(tmp_path):
    """``build_client`` makes a client of its own that reports through the spool."""
    client = build_client(DSN, stream_path=str(tmp_path / "spool"), stream_sender="off", environment="test")
    assert report(client)
    assert "test" == spooled_items(tmp_path / "spool")[0][2]["environment"]


def test_configured_twice():
    """Configuring the same client twice with the same plugin works."""
    config = {
        "stream_class": "heka.streams.DebugCaptureStream",
        "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": DSN})},
    }
    try:
        get_client("events-twice", config)
        client = get_client("events-twice", config)
        assert report(client)
    finally:
        CLIENT_HOLDER.delete_client("events-twice")


def test_raven_is_imported_lazily():
    """Importing the plugin does not import raven, which is slow; nothing replaces sys.excepthook."""
    import subprocess

    code = (
        "import sys; hook = sys.excepthook\n"
        "from heka_raven.raven_plugin import config_plugin, capture_stack, InvalidArgumentError\n"
        "assert 'raven' not in sys.modules\n"
        "from heka_raven.raven_plugin import RavenClient\n"
        "RavenClient(); assert sys.excepthook is hook"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# -- nothing that is missing or broken reaches the app ---


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


def test_recursion_limit(client):
    """An error of too deep a recursion is reported, from the depth where there is room to."""

    @capture_stack(client=client)
    def forever(n):
        return forever(n + 1)

    exc = raised(forever, 0)
    assert isinstance(exc, RecursionError)
    events = sent_events(client)
    assert 1 <= len(events)
    assert "RecursionError" == events[-1]["exception"]["values"][-1]["type"]


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


# -- capture_stack ---


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
