"""Any JSON that a client sends becomes an object, whatever is strange about it."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.inbox.intake.document import MAX_DEPTH, DocumentError, clip_depth, parse_document


def depth_of(value):
    depth = 0
    while isinstance(value, list | dict) and value:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
        depth += 1
    return depth


def test_strict_json_is_kept_byte_for_byte():
    """What is stored is what the client sent."""
    data = b'{ "a" :1.50, "b":[true,null] }'
    assert ({"a": 1.5, "b": [True, None]}, data) == parse_document(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a": NaN}', {"a": "NaN"}),
        (b'{"a": "\\ud800x"}', {"a": "\ufffdx"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        (b'{"a": NaN, "n": 123456789012345678901234567890}', {"a": "NaN", "n": "123456789012345678901234567890"}),
    ],
)
def test_what_clients_really_send_is_taken(data, expected):
    """NaN, lone surrogates, bytes that are no UTF-8, raw control characters, integers of any length."""
    value, strict = parse_document(data)
    assert expected == value
    assert expected == orjson.loads(strict)


@pytest.mark.parametrize("data", [b"", b"[]", b'"x"', b"1", b"{", b'{"a":}', b"\x00" * 50, b"{" * 2_000_000])
def test_what_is_no_object_is_refused(data):
    """Each with the one error, none with a crash."""
    with pytest.raises(DocumentError):
        parse_document(data)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_endless_nesting_is_cut(opening, closing):
    """A megabyte of brackets is stored as some levels and a mark, and can be written again."""
    data = b'{"x":' + opening * 150_000 + b"1" + closing * 150_000 + b',"y":2}'
    value, strict = parse_document(data)
    assert 2 == value["y"]
    assert depth_of(value) <= MAX_DEPTH + 1
    assert len(strict) < 2_000


@pytest.mark.parametrize(
    "data",
    [b'{"' + b'\\"' * 400_000, b'{"a":"' + b"\\" * 400_000, b'"' * 400_001, b'{"a":NaN,"b":"' + b'x"' * 400_000],
    ids=["escaped quotes", "backslashes", "quotes", "short texts"],
)
def test_texts_without_end_are_read_once(data):
    """A megabyte of quotes costs a megabyte's time, not its square: the test's time limit would end it."""
    with pytest.raises(DocumentError):
        parse_document(data)


def test_nesting_in_a_text_is_left_alone():
    """Brackets inside strings are text."""
    data = json.dumps({"a": "[" * 5_000 + '"' + "{" * 5_000}).encode()
    assert data == clip_depth(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_whatever_the_standard_library_writes_is_read(event):
    """Also what is no strict JSON; and what is stored is strict."""
    value, strict = parse_document(json.dumps(event).encode())
    assert list(value) == list(orjson.loads(strict))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_the_one_error(data):
    """No other exception leaves the reader."""
    try:
        value, _ = parse_document(data)
    except DocumentError:
        return
    assert isinstance(value, dict)
