"""client.raven(): what a message has, which fields and options it takes."""

import re
import subprocess
import sys
import time

import pytest

from heka.filters import severity_max_provider
from heka.holder import CLIENT_HOLDER, get_client
from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.raven_plugin import InvalidArgumentError, build_client, capture_stack, config_plugin
from heka_raven.reporting import reporter
from heka_raven.spool.ledger import read_snapshot
from support.events import (
    DSN,
    exception_call1,
    exception_call2,
    frames_of,
    last_event,
    last_fields,
    raised,
    report,
    router_client,
    sent_events,
    spool_client,
    vars_of,
)
from support.scope import enter_request
from support.spools import spooled_items

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
    assert "support.events in exception_call2" == event["culprit"]
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
    assert {"id": "5", "email": "[Filtered]", "data": {"role": "x"}} == event["user"]
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

    token = enter_request(describe, {})
    try:
        assert report(client)
    finally:
        scope.CURRENT.reset(token)
    assert "request" not in last_event(client)


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

    code = (
        "import sys; hook = sys.excepthook\n"
        "from heka_raven.raven_plugin import config_plugin, capture_stack, InvalidArgumentError\n"
        "assert 'raven' not in sys.modules\n"
        "from heka_raven.raven_plugin import RavenClient\n"
        "RavenClient(); assert sys.excepthook is hook"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
