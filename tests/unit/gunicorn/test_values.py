"""Answers in a memory file of a worker, which nobody believes."""

import os

import pytest

from heka_raven.eyes.answers import read_answer, write_answer
from heka_raven.gunicorn.values import read_frames


@pytest.fixture
def file():
    descriptor = os.memfd_create("test")
    yield descriptor
    os.close(descriptor)


def test_an_answer_is_to_one_question(file):
    """What was written for another question is none; an empty answer is one."""
    assert read_answer(file, 7) is None
    write_answer(file, 7, b"abc")
    assert (b"abc", None) == (read_answer(file, 7), read_answer(file, 8))
    write_answer(file, 8, b"")
    assert b"" == read_answer(file, 8)


@pytest.mark.parametrize(
    "data",
    [None, b"", b"{", b"[]", b"{}", b'{"frames": 7}', b'{"frames": [{}]}',
     b'{"frames": [{"file": 1, "line": 1, "function": ""}]}',
     b'{"frames": [7]}', b"[" * 100000],
)  # fmt: skip
def test_nonsense_is_no_frame(data):
    """A worker may write what it likes."""
    assert ([], False) == read_frames(data)


def test_a_frame():
    """A frame has its values where they are an object."""
    [frame], _ = read_frames(b'{"frames": [{"file": "/a.py", "line": 3, "function": "f", "vars": {"a": 1}}]}')
    assert ("/a.py", 3, "f", {"a": 1}) == (frame.file, frame.line, frame.function, frame.values)
    [frame], _ = read_frames(b'{"frames": [{"file": "/a.py", "line": 3, "function": "f", "vars": [1]}]}')
    assert frame.values is None
