"""The reader of records, and the promise that whatever the client makes, it reads back."""

import datetime
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heka.encoders import ProtobufEncoder
from heka.message import MAX_HEADER_SIZE, MAX_MESSAGE_SIZE, Header, InvalidMessage, Message, field_values
from heka.signing import verify
from heka.testing import capture_client, sent_messages
from heka.wire import MAX_RESCUES, RecordReader, frame, frame_unsigned, parse_header, parse_message, split
from support.golden import GOLDEN, record_bytes

HMAC = {"signer": "s", "key": "key", "key_version": 1, "hash_function": "SHA1"}


def encode(**parts):
    """One record of a Message with *parts*."""
    return ProtobufEncoder().encode(Message(**{"uuid": b"u" * 16, "timestamp": 1, **parts}))


ONE, TWO, THREE = (encode(type=name) for name in ("one", "two", "three"))


def read(data, step=None):
    """Types of the messages a new reader finds in *data*, fed in pieces of *step* bytes."""
    reader = RecordReader()
    found = []
    for start in range(0, len(data), step or max(len(data), 1)):
        found += reader.feed(data[start : start + (step or len(data))])
    return [record.message.type for record in found + reader.finish()], reader


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7, 64])
def test_records_come_out_however_the_bytes_come_in(step):
    """Whole, byte by byte, in pieces."""
    types, reader = read(ONE + TWO + THREE, step)
    assert types == ["one", "two", "three"]
    assert (reader.skipped, reader.refused) == (0, 0)


def test_a_record_comes_out_with_its_last_byte():
    """Nothing is held back until the next record begins."""
    reader = RecordReader()
    assert reader.feed(ONE[:-1]) == []
    (record,) = reader.feed(ONE[-1:])
    assert record.payload == split(ONE)[1]
    assert record.header.message_length == len(record.payload)


HUGE_HEADER = b"\x1e\xff" + b"\x00" * 255 + b"\x00"  # no unit separator where it says the header ends
BAD = {
    "noise": b"noise\n\x00\xff",
    "separators": b"\x1e\x1e\x1e\x1f\x1e\x00\x1f",
    "no unit separator": b"\x1e\x02\x08\x05\x00",
    "empty header": b"\x1e\x00\x1f",
    "header without a length": frame(Header(message_length=1, hmac_signer="x").SerializeToString()[2:], b""),
    "header that is none": b"\x1e\x02\xff\xff\x1f",
    "header cut short": b"\x1e\x02\x08\x80\x1f",
    "header of 255 zeros": HUGE_HEADER,
    "over the limit": frame(Header(message_length=MAX_MESSAGE_SIZE + 1).SerializeToString(), b""),
    "far over the limit": frame(Header(message_length=2**32 - 1).SerializeToString(), b""),
    "cut in the uuid": ONE[:14],
    "cut in the header": encode(type="x" * 200)[:3],
    "cut at the first byte": b"\x1e",
    "cut behind the separator": b"\x1e\x02",
    "message that is none": frame(Header(message_length=3).SerializeToString(), b"\xff\xff\xff"),
    "message without a uuid": frame(Header(message_length=2).SerializeToString(), b"\x10\x01"),
    "uuid of 15 bytes": encode(uuid=b"u" * 15),
    "text that is no UTF-8": ONE.replace(b"one", b"\xff\xfe\xfd"),
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", BAD)
def test_garbage_costs_no_record_around_it(name, step):
    """The reader goes on one byte behind what only looked like a record; every byte is accounted for."""
    types, reader = read(ONE + BAD[name] + TWO + BAD[name] + THREE + BAD[name], step)
    assert types == ["one", "two", "three"]
    assert reader.skipped == 3 * len(BAD[name])


def test_a_message_of_exactly_the_limit_is_read():
    """65,536 bytes are taken, one more is not."""
    empty = len(split(encode(payload="x" * 20000))[1]) - 20000
    at_limit = encode(payload="x" * (MAX_MESSAGE_SIZE - empty))
    over = encode(payload="x" * (MAX_MESSAGE_SIZE - empty + 1))
    assert len(split(at_limit)[1]) == MAX_MESSAGE_SIZE
    assert [len(record.payload) for record in RecordReader().feed(at_limit)] == [MAX_MESSAGE_SIZE]
    assert read(over + ONE)[0] == ["one"]
    assert len(RecordReader(2**20).feed(over)) == 1


def test_the_golden_records_read_back_as_one_stream():
    """All records of the original, one behind the other, but for the one that hekad refuses too."""
    records = [record for case in GOLDEN["messages"] for record in case["records"]]
    stream = b"".join(record_bytes(record) for record in records)
    reader = RecordReader()
    found = [record for at in range(0, len(stream), 1000) for record in reader.feed(stream[at : at + 1000])]
    expected = [
        record["message"]["uuid"] for record in records if record["header"]["message_length"] <= MAX_MESSAGE_SIZE
    ]
    assert expected == [record.message.uuid.hex() for record in found]
    assert len(expected) == len(records) - 1


def test_crafted_garbage_is_bounded_work():
    """Messages inside bad messages are looked into a few times, then the outermost is skipped whole."""
    head = frame(Header(message_length=60000).SerializeToString(), b"")
    body = (head * (60000 // len(head)) + bytes(len(head)))[:60000]
    reader = RecordReader()
    records = reader.feed(head + body + ONE) + reader.finish()
    assert [record.message.type for record in records] == ["one"]
    assert reader.refused <= 2 * (MAX_RESCUES + 1)
    assert reader.skipped == len(head + body)


def test_the_buffer_does_not_grow():
    """What has been read or skipped is not kept."""
    reader = RecordReader()
    for _ in range(1000):
        reader.feed(b"noise" * 100 + ONE)
    assert len(reader._buffer) == 0
    reader.feed(b"\x1e" * 100_000)
    assert len(reader._buffer) <= 2 + MAX_HEADER_SIZE + 1


def test_framing_limits():
    """A header of 1 to 255 bytes is framed; nothing else is."""
    for size in (1, 127, 128, 255):
        header, message = b"h" * size, b"m"
        assert (header, message) == split(frame(header, message))
    for size in (0, 256):
        with pytest.raises(InvalidMessage, match="255"):
            frame(b"h" * size, b"m")
    for data in (b"", b"\x1e", b"\x1e\x00", b"x\x00\x1f", b"\x1e\x01h", b"\x1e\x01hx"):
        with pytest.raises(InvalidMessage):
            split(data)
    with pytest.raises(InvalidMessage):
        parse_header(b"")
    with pytest.raises(InvalidMessage):
        parse_message(b"\xff")


@pytest.mark.parametrize("size", [0, 1, 2, 127, 128, 129, 255, 256, 16383, 16384, 16385, 65536, 65537, 2**21])
def test_the_header_of_an_unsigned_record_is_protobufs(size):
    """The short way to frame writes the same bytes."""
    message = bytes(size)
    assert frame(Header(message_length=size).SerializeToString(), message) == frame_unsigned(message)


texts = st.text(st.characters(), max_size=30)  # lone surrogates too
scalars = st.one_of(
    texts,
    st.binary(max_size=30),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.booleans(),
)
field_maps = st.dictionaries(
    texts, st.recursive(scalars, lambda inner: st.dictionaries(texts, inner, max_size=3)), max_size=5
)
times = st.one_of(
    st.none(),
    st.floats(-9e9, 9e9),
    st.integers(-(9 * 10**9), 9 * 10**9),
    st.datetimes(datetime.datetime(1975, 1, 1), datetime.datetime(2200, 1, 1)),
    st.datetimes(
        datetime.datetime(1975, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.timezone.utc)
    ),
)
calls = st.fixed_dictionaries(
    {
        "type": texts,
        "logger": st.none() | texts,
        "severity": st.none() | st.integers(-(2**31), 2**31 - 1),
        "payload": texts | st.binary(max_size=30),
        "fields": st.none() | field_maps,
        "timestamp": times,
    }
)
# Garbage that is no record of itself; a record separator in it is the interesting byte.
garbage = st.lists(st.sampled_from([b"\x1e", b"\x1f", b"\x02", b"\x08", b"x", b"\x00", b"\xff"]), max_size=12).map(
    b"".join
)


def flatten(fields, prefix=""):
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def mended(text):
    """What UTF-8 can carry of *text*: the promise is one U+FFFD for each lone surrogate."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"))


def carried(value):
    """The value that a field can have for *value*."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return mended(value) if isinstance(value, str) else value


@settings(max_examples=150, deadline=None)
@given(st.lists(calls, min_size=1, max_size=4), st.lists(garbage, min_size=5, max_size=5), st.booleans())
def test_whatever_the_client_makes_reads_back(messages, between, is_signed):
    """Any message decodes to itself: alone, in a stream, byte by byte, and with garbage between records."""
    client = capture_client("default", hmc=HMAC if is_signed else None)
    for message in messages:
        assert client.heka(**message) is True
    records = list(client.stream.msgs)
    sent = sent_messages(client)
    for message, msg in zip(messages, sent, strict=True):
        payload = message["payload"]
        assert mended(message["type"]) == msg.type
        assert mended("default" if message["logger"] is None else message["logger"]) == msg.logger
        assert (6 if message["severity"] is None else message["severity"]) == msg.severity
        assert (mended(payload) if isinstance(payload, str) else payload.decode("utf-8", "replace")) == msg.payload
        for (name, value), field in zip(flatten(message["fields"] or {}), msg.fields, strict=True):
            (found,) = field_values(field)
            assert (mended(name), carried(value), type(carried(value))) == (field.name, found, type(found))

    whole = [record for data in records for record in RecordReader().feed(data)]
    assert sent == [record.message for record in whole]
    if is_signed:
        assert all(verify(record.header, record.payload, b"key") for record in whole)

    stream = b"".join(records)
    for data, step in ((stream, len(stream)), (stream, 1)):
        reader = RecordReader()
        found = [record for at in range(0, len(data), step) for record in reader.feed(data[at : at + step])]
        assert sent == [record.message for record in found]

    noisy = b"".join(noise + data for noise, data in zip(between, [*records, b""], strict=False))
    reader = RecordReader()
    found = [record for at in range(len(noisy)) for record in reader.feed(noisy[at : at + 1])] + reader.finish()
    assert sent == [record.message for record in found]
    assert reader.skipped == len(noisy) - len(stream)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 64))
def test_the_reader_survives_any_bytes(data, step):
    """No input raises, and every byte is in a record or counted as skipped."""
    reader = RecordReader()
    found = [record for at in range(0, len(data), step) for record in reader.feed(data[at : at + step])]
    found += reader.finish()
    in_records = sum(3 + record.header.ByteSize() + len(record.payload) for record in found)
    assert in_records + reader.skipped == len(data)
