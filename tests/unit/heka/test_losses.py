"""What cannot be sent is mended, shrunk or counted, and never reaches the application."""

import logging
import os
from unittest.mock import Mock

import pytest

from heka.client import HekaClient
from heka.encoders import NullEncoder, ProtobufEncoder
from heka.losses import Losses
from heka.message import MAX_MESSAGE_SIZE, Message
from heka.process import ProcessLocks
from heka.streams import DebugCaptureStream
from heka.testing import assert_message, capture_client, decode_message
from support.golden import only


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
