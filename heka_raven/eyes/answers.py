"""What a process answers to one question, in a file that nobody believes: number, length, and as many bytes."""

from __future__ import annotations

import os
import struct

from heka_raven.eyes.running import MAX_ANSWER

_HEAD = struct.Struct("<QQ")  # number of the question, length; written last


def write_answer(descriptor: int, number: int, data: bytes) -> None:
    """In the process that is asked."""
    if len(data) <= MAX_ANSWER:
        os.pwrite(descriptor, data, _HEAD.size)
        os.pwrite(descriptor, _HEAD.pack(number + 1, len(data)), 0)


def read_answer(descriptor: int, number: int) -> bytes | None:
    """The answer to this question; None: there is none yet."""
    head = os.pread(descriptor, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return None
    found, length = _HEAD.unpack(head)
    return os.pread(descriptor, length, _HEAD.size) if found == number + 1 and length <= MAX_ANSWER else None
