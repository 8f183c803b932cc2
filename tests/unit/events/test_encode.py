"""Encoding: within limits, the least painful cut first, and whatever was put into the event."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heka_raven.events.encode import EncodeError, encode_event, encode_json
from heka_raven.formats.raven_payload import decode_raven, encode_raven


def big_event(frames=20, size=1000):
    return {
        "event_id": "a" * 32,
        "exception": {
            "values": [
                {
                    "type": "T",
                    "value": "v",
                    "mechanism": {"type": "generic", "data": {"carets": [[0, 1, 1, 1, 1]]}},
                    "stacktrace": {
                        "frames": [
                            {
                                "function": f"f{n}",
                                "pre_context": ["p" * 50] * 5,
                                "context_line": "c",
                                "post_context": ["q" * 50] * 5,
                                "vars": {"v": "x" * size},
                            }
                            for n in range(frames)
                        ]
                    },
                }
            ]
        },
        "breadcrumbs": {"values": [{"message": "b" * 100}] * 100},
        "extra": {"e": "e" * 2000},
        "request": {"data": "d" * 2000, "url": "http://h/"},
        "tags": {"t": "1"},
    }


def frames_of(event):
    return event["exception"]["values"][0]["stacktrace"]["frames"]


def test_fits_as_it_is():
    """An event within the limit is not touched."""
    event = big_event()
    size = len(encode_json(event))
    assert size == len(encode_event(event, size))
    assert big_event() == event


def test_outermost_locals_first():
    """What goes first are the local variables of the outermost frames, as many as must."""
    event = big_event()
    size = len(encode_json(event))
    assert len(encode_event(event, size - 3000)) <= size - 3000
    lost = [n for n, frame in enumerate(frames_of(event)) if "v" not in frame["vars"]]
    assert list(range(len(lost))) == lost
    assert 3 <= len(lost) <= 12
    assert 100 == len(event["breadcrumbs"]["values"])


@pytest.mark.parametrize("limit", [20_000, 10_000, 5_000, 2_000, 500])
def test_every_limit_is_kept(limit):
    """However small the limit, the event fits it, and still says type and innermost function."""
    event = big_event(frames=60)
    assert len(encode_event(event, limit)) <= limit
    assert "T" == event["exception"]["values"][0]["type"]
    assert "f59" == frames_of(event)[-1]["function"]


def test_frames_from_the_middle_and_the_carets_go_together():
    """When frames go, the column ranges go too: they name frames by their place."""
    event = big_event(frames=200)
    encode_event(event, 6_000)
    assert len(frames_of(event)) < 200
    assert "f0" == frames_of(event)[0]["function"]
    assert "data" not in event["exception"]["values"][0]["mechanism"]


def test_what_does_not_fit_raises():
    """A limit that nothing fits raises EncodeError with the sizes."""
    with pytest.raises(EncodeError, match="the limit is 100"):
        encode_event(big_event(), 100)


def test_mends_what_orjson_refuses():
    """Lone surrogates, big integers, tuples and odd keys encode; what has no form raises EncodeError."""
    event = {"a": "\ud800", "b": 2**70, "c": (1, 2), 5: "x", ("t",): 1, "d": {"\udfff": 1}}
    assert b'{"a":"\xef\xbf\xbd","b":"1180591620717411303424","c":[1,2],"5":"x","?":1,' in encode_json(event)
    with pytest.raises(EncodeError, match="set"):
        encode_json({"a": {1}})


def test_circles_end():
    """An event that holds itself raises EncodeError, not RecursionError."""
    event = {}
    event["self"] = event
    with pytest.raises(EncodeError):
        encode_json(event)


def test_raven_payload_round_trip():
    """A raven payload decodes to the event it was made from."""
    assert {"a": "ü"} == decode_raven(encode_raven(encode_json({"a": "ü"})))


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_decode_raven_of_anything(data):
    """Whatever the bytes, decode gives a dict or raises ValueError."""
    try:
        assert isinstance(decode_raven(data), dict)
    except ValueError:
        pass


@given(st.integers(1, 80), st.integers(0, 3000), st.integers(500, 100_000))
@settings(max_examples=50, deadline=None)
def test_any_size_fits_any_limit(frames, size, limit):
    """Whatever the event's size, it fits a limit of 500 bytes or more."""
    assert len(encode_event(big_event(frames, size), limit)) <= limit
