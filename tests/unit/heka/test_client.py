"""What the client sends: defaults, fields, classic logger calls, counters, and helpers for tests."""

import datetime
import enum
import os
import random
import socket
import sys
import threading
import time

import pytest

from heka.client import SEVERITY, HekaClient
from heka.encoders import ProtobufEncoder
from heka.exceptions import ConfigError
from heka.message import Field, InvalidMessage, Message, first_value
from heka.streams import DebugCaptureStream
from heka.testing import assert_message, capture_client, dict_to_msg, fields_of, sent_messages
from heka.timers import NoOpTimer
from support.golden import only


def test_a_bare_message_has_the_clients_defaults(client):
    """Logger, severity, pid, host name, version, a uuid and the time come from the client."""
    before = time.time_ns()
    assert client.heka("kind") is True
    msg = only(client)
    assert_message(
        msg,
        type="kind",
        logger="app",
        severity=5,
        payload="",
        env_version="0.8",
        pid=os.getpid(),
        hostname=socket.gethostname(),
    )
    assert len(msg.uuid) == 16
    # A float of seconds holds the time to some 200 ns.
    assert before - 1000 <= msg.timestamp <= time.time_ns() + 1000
    assert list(msg.fields) == []


def test_a_full_message_has_what_it_was_given(client):
    """All arguments by position, in the order of heka-py."""
    client.heka("kind", "other", 0, "text", {"a": "b"}, 12)
    assert_message(only(client), type="kind", logger="other", severity=0, payload="text", fields={"a": "b"})
    assert only(client).timestamp == 12_000_000_000


def test_two_messages_have_two_uuids(client):
    """No two messages share a uuid."""
    client.heka("t")
    client.heka("t")
    first, second = sent_messages(client)
    assert first.uuid != second.uuid


def test_an_aware_datetime_is_exact(client):
    """A datetime with a time zone is sent to the microsecond, whatever the local zone; heka-py ignored the zone."""
    zone = datetime.timezone(datetime.timedelta(hours=5))
    client.heka("t", timestamp=datetime.datetime(2013, 11, 29, 6, 2, 3, 456789, zone))
    assert only(client).timestamp == 1385686923_456789_000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1e300, 2**70, "", "now", [1], object()])
def test_a_timestamp_that_is_none_is_refused(client, value):
    """What 64 bits of nanoseconds cannot hold, or is no time at all, is a ValueError that names it."""
    if value == "":
        assert client.heka("t", timestamp=value) is True  # as false as None: now
        return
    with pytest.raises(ValueError, match="timestamp"):
        client.heka("t", timestamp=value)


def test_field_types(client):
    """Each type of value has a type on the wire; subclasses count as what they are."""

    class Level(enum.IntEnum):
        HIGH = 3

    class Text(str):
        pass

    fields = {"s": Text("x"), "i": Level.HIGH, "d": 1.5, "b": True, "y": bytearray(b"\xff"), "m": memoryview(b"m")}
    client.heka("t", fields=fields)
    types = {field.name: field.value_type for field in only(client).fields}
    assert {
        "s": Field.STRING,
        "i": Field.INTEGER,
        "d": Field.DOUBLE,
        "b": Field.BOOL,
        "y": Field.BYTES,
        "m": Field.BYTES,
    } == types
    assert {"s": "x", "i": 3, "d": 1.5, "b": True, "y": b"\xff", "m": b"m"} == fields_of(only(client))
    assert all(field.HasField("representation") for field in only(client).fields)


def test_data_no_message_can_carry_is_mended_not_raised(client):
    """Lone surrogates, bytes that are no UTF-8 and integers over 64 bits come from data: they never raise."""
    sent = client.heka(
        "t\ud800",
        "l\udfff",
        payload=b"\xffp",
        fields={"k\ud800": "v\ud800", "big": 2**63, "small": -(2**63) - 1, "pair": "\ud83d\udca9", b"raw": 1},
    )
    assert sent is True
    msg = only(client)
    assert_message(msg, type="t\ufffd", logger="l\ufffd", payload="\ufffdp")
    assert {
        "k\ufffd": "v\ufffd",
        "big": "9223372036854775808",
        "small": "-9223372036854775809",
        "pair": "\U0001f4a9",
        "raw": 1,
    } == fields_of(msg)
    assert client.heka("t", fields={"huge": 10**5000}) is True
    assert first_value(sent_messages(client)[1], "huge").startswith("0x")


def test_nested_fields_are_dotted_and_bounded(client):
    """Nested dicts become dotted names in order; a dict that holds itself is an error, not a crash."""
    client.heka("t", fields={"a": {"b": {"c": 1}, "d": 2}, "e": {}, "f": 3})
    assert ["a.b.c", "a.d", "f"] == [field.name for field in only(client).fields]
    loop = {}
    loop["x"] = loop
    with pytest.raises(ValueError, match="nested"):
        client.heka("t", fields=loop)


def test_classic_logger_calls(client):
    """debug, info, warn, error, critical and exception send type oldstyle with their severities."""
    for name in ("debug", "info", "warn", "error", "critical", "exception"):
        assert getattr(client, name)("text") is True
    messages = sent_messages(client)
    assert [7, 6, 4, 3, 2, 1] == [msg.severity for msg in messages]
    assert {"oldstyle"} == {msg.type for msg in messages}
    assert {"app"} == {msg.logger for msg in messages}


@pytest.mark.parametrize(
    ("msg", "args", "expected"),
    [
        ("plain 100%", (), "plain 100%"),
        ("%s and %d", ("x", 3), "x and 3"),
        ("%(a)s", ({"a": 1},), "1"),
        (b"bytes", (), "bytes"),
        (KeyError("e"), (), "'e'"),
        ("%d", ("no number",), "%d (not formatted: TypeError)"),
        ("%s", (), "%s"),
        (5, (1,), "int (not formatted: TypeError)"),
    ],
)
def test_classic_calls_format_like_logging_and_never_fail(client, msg, args, expected):
    """Arguments are formatted in; what cannot be formatted is sent readably, never raised."""
    client.info(msg, *args)
    assert only(client).payload == expected


def test_classic_calls_with_a_traceback(client):
    """``exc_info`` may be true, a tuple or an exception; ``exception`` has it by itself, also with arguments."""
    try:
        raise KeyError("e")
    except KeyError as exc:
        error, info = exc, sys.exc_info()
        client.error("a", exc_info=True)
        client.exception("b")
        client.exception("c %s", "arg")
    client.error("d\n", exc_info=info)
    client.exception("e", info)
    client.exception("f", error)
    client.error("none", exc_info=True)
    client.exception("off", False)
    payloads = [msg.payload for msg in sent_messages(client)]
    for first_line, payload in zip(["a", "b", "c arg", "d", "e", "f"], payloads[:6], strict=True):
        lines = payload.split("\n")
        assert [first_line, "Traceback (most recent call last):", "KeyError: 'e'"] == [lines[0], lines[1], lines[-1]]
    assert ["none\nNone", "off"] == payloads[6:]
    client.error("g", exc_info=("no", "exc", "info"))
    assert sent_messages(client)[-1].payload == "g\n(no traceback: AttributeError)"


def test_counters_gauges_and_timings(client):
    """incr, gauge and timer_send send rate, name, then the caller's fields in the caller's order."""
    client.incr("hits", 10, "log", 1, {"z": 1, "a": 2, "name": "not mine", "rate": 0})
    client.gauge("depth", 1.5, fields={"zone": "a"})
    client.timer_send("t", 12, rate=0.5)
    counter, gauge, timer = sent_messages(client)
    assert_message(counter, type="counter", payload="10", logger="log", severity=1)
    assert [("rate", 1.0), ("name", "hits"), ("z", 1), ("a", 2)] == list(fields_of(counter).items())
    assert_message(gauge, type="gauge", payload="1.5", fields={"name": "depth", "zone": "a"})
    assert_message(timer, type="timer", payload="12", fields={"name": "t", "rate": 0.5})


@pytest.mark.parametrize("call", ["incr", "gauge", "timer_send"])
def test_fields_that_are_no_mapping_are_named(client, call):
    """A list of fields is refused by name, as ``heka`` does."""
    with pytest.raises(TypeError, match="fields: a list"):
        getattr(client, call)("name", 1, fields=["a"])


def test_sampling_leaves_out_what_it_must(client, monkeypatch):
    """A rate under 1 is applied to incr, gauge and timer, and sent along; timer_send only tells it."""
    monkeypatch.setattr(random, "random", lambda: 0.5)
    assert client.incr("c", rate=0.4) is False
    assert client.gauge("g", 1, rate=0.4) is False
    assert isinstance(client.timer("t", rate=0.4), NoOpTimer)
    assert client.timer_send("t", 1, rate=0.4) is True
    assert client.incr("c", rate=0.6) is True
    assert client.gauge("g", 1, rate=0.6) is True
    with client.timer("t", rate=0.6):
        pass
    assert [0.4, 0.6, 0.6, 0.6] == [first_value(msg, "rate") for msg in sent_messages(client)]


def test_setup_reconfigures_in_place(client):
    """Stream, encoder, logger, severity, timers and filters change; the object stays."""
    stream = DebugCaptureStream()
    client.setup(stream, "heka.encoders.NullEncoder", None, "new", 2, "t", [lambda msg: True])
    client.heka("kind")
    assert_message(stream.msgs[0], logger="new", severity=2)
    assert isinstance(client.timer("t"), NoOpTimer)
    client.setup("heka.streams.DebugCaptureStream", ProtobufEncoder, {})
    assert (client.logger, client.severity, client.filters, client.is_active) == ("", 6, [], True)
    with pytest.raises(ConfigError):
        client.setup(None, ProtobufEncoder, {"signer": "x"}, "lost")
    assert client.is_active and client.logger == ""


def test_added_methods(client):
    """A function with a ``heka_name`` becomes a method; a taken name needs override; anything else is refused."""

    def shout(self, text):
        return self.heka("shout", payload=text.upper())

    shout.heka_name = "shout"
    client.add_method(shout)
    assert client.shout("hi") is True
    assert_message(only(client), type="shout", payload="HI")
    with pytest.raises(SyntaxError, match="shout"):
        client.add_method(shout)
    client.add_method(shout, override=True)
    client.add_method(shout, override="scream")
    assert client.scream("hi") is True
    with pytest.raises(ConfigError, match="heka_name"):
        client.add_method(lambda self: None)
    with pytest.raises(TypeError):
        client.add_method("shout")


def test_a_host_name_that_is_no_utf8_is_mended(client):
    """The system's own data never makes a call fail."""
    client.hostname = "h\udcff"
    assert client.heka("t") is True
    assert only(client).hostname == "h\ufffd"


def test_a_timer_left_in_another_thread_sends_nothing(client):
    """It has no start there; the thread that entered it still sends its time."""
    timer = client.timer("t")
    with timer:
        thread = threading.Thread(target=timer.__exit__, args=(None, None, None))
        thread.start()
        thread.join(60)
        assert sent_messages(client) == []
    assert len(sent_messages(client)) == 1


def test_pid_can_be_set(client):
    """For a container whose pid says nothing."""
    client.pid = 1
    client.heka("t")
    client.pid = None
    client.heka("t")
    assert [1, os.getpid()] == [msg.pid for msg in sent_messages(client)]


def test_severities_are_those_of_syslog():
    """The eight names and numbers."""
    names = ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFORMATIONAL", "DEBUG"]
    assert list(range(8)) == [getattr(SEVERITY, name) for name in names]


def test_helpers_for_tests():
    """``dict_to_msg`` makes what the client makes; ``assert_message`` names what differs."""
    client = capture_client("log")
    client.heka("t", severity=3, payload="p", fields={"a": 1, "b": {"c": True}})
    msg = only(client)
    made = dict_to_msg(
        {
            "uuid": msg.uuid,
            "timestamp": msg.timestamp,
            "type": "t",
            "logger": "log",
            "severity": 3,
            "payload": "p",
            "env_version": HekaClient.env_version,
            "heka_pid": os.getpid(),
            "heka_hostname": socket.gethostname(),
            "fields": {"a": 1, "b": {"c": True}},
        }
    )
    assert made == msg
    parts = {"type": "t", "logger": "", "severity": 1, "payload": "", "env_version": "", "fields": {}}
    parts.update(heka_pid=1, heka_hostname="")
    assert dict_to_msg({**parts, "uuid": "0123456789012345"}).uuid == b"0123456789012345"
    with pytest.raises(InvalidMessage, match="uuid"):
        dict_to_msg({**parts, "uuid": b"short"})
    with pytest.raises(AssertionError) as caught:
        assert_message(msg, type="u", fields={"a": 2, "b.c": 1, "d": 0})
    assert str(caught.value) == (
        "type: 't', expected 'u'; field 'a': 1, expected 2; field 'b.c': True, expected 1; "
        "field 'd' is missing, expected 0"
    )
    assert first_value(msg, "nothing") is None
    assert first_value(Message(fields=[Field(name="x")]), "x") is None
    assert fields_of(Message(fields=[Field(name="x", value_string=["a", "b"])])) == {"x": ["a", "b"]}
