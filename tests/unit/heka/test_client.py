"""The client: messages, the classic logger calls, counters, gauges, timers, and what happens when something fails."""

import asyncio
import datetime
import enum
import logging
import os
import random
import socket
import sys
import threading
import time
from unittest.mock import Mock

import pytest

from heka.client import SEVERITY, HekaClient
from heka.encoders import NullEncoder, ProtobufEncoder
from heka.exceptions import ConfigError
from heka.losses import Losses
from heka.message import MAX_MESSAGE_SIZE, Field, InvalidMessage, Message, first_value
from heka.process import ProcessLocks
from heka.streams import DebugCaptureStream
from heka.testing import assert_message, capture_client, decode_message, dict_to_msg, fields_of, sent_messages
from heka.timers import NoOpTimer, Timer


@pytest.fixture
def client():
    """A client that keeps what it sends."""
    return capture_client("app", severity=5)


def only(client):
    (msg,) = sent_messages(client)
    return msg


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


def test_timer_as_context_manager(client):
    """It sends the elapsed milliseconds, and shows them as ``result``."""
    with client.timer("name", "log", 2, {"f": 1}) as timer:
        started = timer.start
        while time.perf_counter() - started < 0.01:
            pass
    assert timer.result >= 10
    assert_message(
        only(client), type="timer", payload=str(timer.result), logger="log", severity=2, fields={"name": "name", "f": 1}
    )


def test_timer_as_decorator(client):
    """It keeps the function's name and result, passes exceptions on, and refuses what cannot be called."""
    timer = client.timer("name")

    @timer
    def work(value):
        """Documented."""
        return 1 / value

    assert work(2) == 0.5
    assert (work.__name__, work.__doc__) == ("work", "Documented.")
    with pytest.raises(ZeroDivisionError):
        work(0)
    assert len(sent_messages(client)) == 2
    with pytest.raises(ValueError):
        timer("foo")


def test_a_coroutine_is_timed_until_it_is_done(client):
    """A decorated coroutine function stays one, and interleaved calls do not mix."""

    @client.timer("c")
    async def work(seconds, fail=False):
        await asyncio.sleep(seconds)
        if fail:
            raise KeyError("mine")
        return seconds

    async def main():
        return await asyncio.gather(work(0.05), work(0), work(0, fail=True), return_exceptions=True)

    results = asyncio.run(main())
    assert results[:2] == [0.05, 0]
    assert isinstance(results[2], KeyError)
    *quick, slow = [int(msg.payload) for msg in sent_messages(client)]
    assert len(quick) == 2
    assert slow >= 50 and slow >= max(quick)  # quick is relative: the machine may stop at any line


def test_attributes_of_a_timer_are_the_threads_own(client):
    """What one thread sets on a timer no other thread sees."""
    timer = Timer(client, "t", {})
    timer.value = 10
    seen = []
    thread = threading.Thread(target=lambda: seen.append((getattr(timer, "value", None), timer.result, timer.name)))
    thread.start()
    thread.join(10)
    assert seen == [(None, None, "t")]


def test_a_timer_that_cannot_be_sent_says_so(client):
    """A wrong field in a timer is an error of the call, as in ``heka`` itself."""
    with pytest.raises(ValueError, match="'x'"), client.timer("t", fields={"x": None}):
        pass
    with pytest.raises(TypeError):
        client.timer("t", bad_arg=1)


@pytest.mark.parametrize("disabled", ["off", ["off", "other"], ["*"]])
def test_disabled_timers_do_nothing(disabled):
    """Named timers, or all of them, neither measure nor send."""
    client = capture_client(disabled_timers=disabled)

    @client.timer("off")
    def work():
        return 1

    with client.timer("off") as timer:
        pass
    assert (work(), timer.start, timer.result) == (1, None, None)
    assert sent_messages(client) == []
    with client.timer("on"):
        pass
    assert len(sent_messages(client)) == (0 if disabled == ["*"] else 1)


def test_a_timer_may_be_disabled_and_enabled_while_it_runs(client):
    """As heka-py's users did: the set of disabled timers can be changed at any time."""
    for change, sent in ((client._disabled_timers.add, 0), (client._disabled_timers.remove, 1)):
        change("t")
        with client.timer("t"):
            pass
        assert sent == len(sent_messages(client))


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


def test_a_client_without_a_stream_loses_quietly(caplog):
    """It is not active; what it is given is counted and one warning says so."""
    client = HekaClient(None, "idle")
    with caplog.at_level(logging.WARNING, "heka"):
        assert [client.heka("t"), client.heka("t")] == [False, False]
    assert not client.is_active
    assert client.losses["no_stream"] == 2
    assert len(caplog.records) == 1
    assert "'idle'" in caplog.text


class BrokenStream:
    """A stream whose write fails."""

    max_record_size = None

    def write(self, data):
        raise OSError("no route")


def test_a_failing_stream_never_reaches_the_application(caplog):
    """It is counted, logged once a minute with the reason, and told by the result."""
    client = HekaClient(BrokenStream(), "app")
    with caplog.at_level(logging.WARNING, "heka"):
        assert [client.heka("t") for _ in range(5)] == [False] * 5
    assert client.losses.as_dict() == {"stream_failed": 5}
    assert len(caplog.records) == 1
    assert "BrokenStream" in caplog.text and "no route" in caplog.text


def test_a_log_handler_that_raises_does_not_reach_the_application():
    """Not even the application's own logging, when it fails, makes a message raise."""

    class Bad(logging.Handler):
        def emit(self, record):
            raise RuntimeError("handler")

    handler = Bad()
    logging.getLogger("heka").addHandler(handler)
    try:
        assert HekaClient(BrokenStream(), "app").heka("t") is False
    finally:
        logging.getLogger("heka").removeHandler(handler)


def test_a_stand_in_for_a_stream_takes_records():
    """A Mock in the tests of a program, whose every attribute is a Mock, works as a stream."""
    stream = Mock()
    assert HekaClient(stream, "app").heka("t", payload="p") is True
    assert decode_message(stream.write.call_args[0][0])[1].payload == "p"


def test_a_stream_needs_only_write(client):
    """``flush`` is optional."""

    class Least:
        def __init__(self):
            self.data = []

        def write(self, data):
            self.data.append(data)

    client.stream = Least()
    assert client.heka("t") is True
    assert len(client.stream.data) == 1


@pytest.mark.parametrize("msg", ["no message", Message(), Message(type="t")])
def test_a_message_that_cannot_be_encoded_is_counted(client, msg):
    """``send_message`` with anything but a whole Message loses it, counted, without raising."""
    assert client.send_message(msg) is False
    assert client.losses["encode_failed"] == 1


def test_losses_are_logged_once_a_minute():
    """The next minute logs again, with the number so far; each reason on its own."""
    now = [0.0]
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("heka")
    logger.addHandler(handler)
    try:
        losses = Losses(lambda: now[0])
        for moment in (0, 1, 59.9, 60, 61):
            now[0] = moment
            losses.add("late", "lost %s", "it")
        losses.add("other", "lost")
    finally:
        logger.removeHandler(handler)
    assert ["lost it (late so far: 1)", "lost it (late so far: 4)", "lost (other so far: 1)"] == records
    assert (losses["late"], losses["other"], losses["never"]) == (5, 1, 0)


def test_a_lock_held_over_a_fork_is_free_in_the_child():
    """A child can lock although a thread of the parent held the lock when it forked."""
    locks = ProcessLocks()
    with locks.current():
        child = os.fork()
        if child == 0:
            os._exit(0 if locks.current().acquire(timeout=5) else 1)
    assert os.waitpid(child, 0)[1] == 0


class SmallStream(DebugCaptureStream):
    """Takes records of at most 200 bytes."""

    max_record_size = 200


@pytest.mark.parametrize("encoder", [ProtobufEncoder, NullEncoder])
def test_a_record_at_the_limit_is_sent_and_one_over_it_is_not(encoder, caplog):
    """The limit counts the record as it goes out; what is over it is counted and logged, never raised."""
    client = HekaClient(SmallStream(), "", encoder=encoder)
    client.hostname = ""
    client.heka("t")
    size = len(client.stream.msgs[0]) if encoder is ProtobufEncoder else client.stream.msgs[0].ByteSize()
    extra = 200 - size - (1 if encoder is ProtobufEncoder else 0) - 1  # two length varints grow to two bytes
    while not client.heka("t", payload="x" * extra):
        extra -= 1
    data = client.stream.msgs[-1]
    assert (len(data) if encoder is ProtobufEncoder else data.ByteSize()) == 200
    assert client.heka("t", payload="x" * (extra + 1)) is False
    assert client.losses["too_big"] >= 1


def test_a_message_over_65536_bytes_is_refused_on_every_stream(client):
    """hekad would refuse it; a Message of exactly the limit is sent."""
    client.heka("t")
    room = MAX_MESSAGE_SIZE - only(client).ByteSize() - 2  # the length of the payload takes three bytes, not one
    assert client.heka("t", payload="x" * room) is True
    _, msg = decode_message(client.stream.msgs[-1])
    assert msg.ByteSize() == MAX_MESSAGE_SIZE
    assert client.heka("t", payload="x" * (room + 1)) is False


def test_a_big_record_is_shrunk_by_its_hook():
    """The hook is told how many bytes the payload may have; what it returns is sent whole."""
    client = HekaClient(SmallStream(), "")
    asked = []

    def shrink(max_bytes):
        asked.append(max_bytes)
        return "ü" * (max_bytes // 2)

    assert client.heka("t", payload="x" * 1000, fields={"a": 1}, shrink=shrink) is True
    (data,) = client.stream.msgs
    assert 190 <= len(data) <= 200
    assert_message(decode_message(data)[1], payload="ü" * (asked[0] // 2), fields={"a": 1})
    assert client.heka("t", payload="small", shrink=shrink) is True
    assert len(asked) == 1
    assert client.losses.as_dict() == {}


@pytest.mark.parametrize(
    "shrink", [None, lambda room: None, lambda room: "x" * (room + 1), lambda room: 1 / 0, lambda room: b"\xff" * room]
)
def test_a_hook_that_gives_up_or_lies_loses_the_message_counted(shrink, caplog):
    """None, too much, an exception, bytes: the record is not sent, counted and logged, nothing is raised."""
    client = HekaClient(SmallStream(), "")
    assert client.heka("t", payload="x" * 1000, shrink=shrink) is False
    assert list(client.stream.msgs) == []
    assert sum(client.losses.as_dict().values()) == 1


def test_an_encoder_may_make_anything():
    """What has no length, as a dict or an object of the user's own, is handed to the stream as it is."""

    class Wrapped:
        def __init__(self, msg):
            self.msg = msg

    class Encoder:
        def __init__(self, hmc):
            pass

        encode = staticmethod(Wrapped)

    client = capture_client(encoder=Encoder)
    assert client.heka("t") is True
    assert client.stream.msgs[0].msg.type == "t"


def test_a_hook_is_not_asked_when_the_rest_alone_is_too_big():
    """No payload could make room when the fields are over the limit."""
    client = HekaClient(SmallStream(), "")
    assert client.heka("t", payload="x", fields={"f": "y" * 300}, shrink=lambda room: pytest.fail("asked")) is False
    assert client.losses["too_big"] == 1


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
        thread.join(10)
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
