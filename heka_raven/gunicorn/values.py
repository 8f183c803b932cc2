"""The values of a suspect's stack: asked of the worker itself, else read from outside where that is wanted."""

# Rule 1: a memory file is written by its worker and believed by nobody: it is read whole, bounded, by number.
# Rule 2: what is in it was masked before; what py-spy says is masked before it is kept.

from __future__ import annotations

import ctypes
import os
from typing import Any

import orjson

from heka_raven.eyes.answers import read_answer
from heka_raven.eyes.outside import look_from_outside
from heka_raven.eyes.rules import Rules, read_rules
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import Slots
from heka_raven.gunicorn.asking import Question
from heka_raven.gunicorn.kinds import MAX_FRAMES, Frame

ANSWER_WAIT_S = 0.1  # for a main thread that runs Python
TOLD = "told by the worker"
GONE = "none: the worker is gone (see values=True)"
NO_THREAD = "none: the thread that crashed is none of Python's"
MEANWHILE = "none: the request ended while it was looked at"
TWO_AT_ONCE = "none: another worker crashed at the same time"
NOT_RUNNING = "none: Python did not run in the main thread (see values=True)"
HIDDEN = "none: the application shows none"
EXIT = 0  # the number of the answer that os._exit leaves without a question

PR_SET_DUMPABLE, PR_SET_PTRACER = 4, 0x59616D61


def read_frames(data: bytes | None) -> tuple[list[Frame], bool]:
    """The frames of an answer, outermost first; none, if it is not what it should be. And whether values are hidden."""
    try:
        found = orjson.loads(data) if data else None
        if type(found) is not dict:
            return [], False
        return [frame_of(frame) for frame in found["frames"][:MAX_FRAMES]], bool(found.get("hidden"))
    except (ValueError, TypeError, KeyError, RecursionError):
        return [], False


def frame_of(shown: dict[str, Any]) -> Frame:
    """A frame as an answer or py-spy tells it.

    Raises:
        ValueError: it is none.
    """
    file, line, function, values = shown["file"], shown["line"], shown["function"], shown.get("vars")
    if type(file) is not str or type(line) is not int or type(function) is not str:
        raise ValueError
    return Frame(file, line, function, values if type(values) is dict else None)


def outside(pid: int, thread: int, rules: bytes) -> tuple[list[Frame], str]:
    """The frames that py-spy sees, masked by the lines of *rules*; and where they are from, or why there are none."""
    shown, why = look_from_outside(pid, thread, read_rules(rules))
    return [frame_of(frame) for frame in shown or ()], why


def allow_looks(arbiter: int) -> None:
    """In a worker: the arbiter's children may read its memory, also where it changed its user."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PTRACER, ctypes.c_ulong(arbiter), 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


class ValuesReader:
    """In the watcher: asks, and takes.

    Args:
        files: the memory files, by row.
        outside: whether py-spy may look.
        rules: of the watch's own client.
    """

    def __init__(self, slots: Slots, files: list[int], outside: bool, rules: Rules) -> None:
        self._slots = slots
        self._files = files
        self._outside = outside
        self._own = EYES.add(rules)
        self._number = 0

    def ask(self, place: int, thread: int) -> None:
        """Before the signal."""
        self._number += 1
        os.ftruncate(self._files[place], 0)
        self._slots.ask(place, self._number, thread)

    def wait(self, place: int, question: Question) -> tuple[bytes | None, bool]:
        """The worker's own answer; where none comes: whether faulthandler may look."""
        return question.wait(
            lambda: read_answer(self._files[place], self._number), lambda: self._slots.has_begun(place), ANSWER_WAIT_S
        )

    def take(self, place: int, pid: int, thread: int, data: bytes | None) -> tuple[list[Frame], str]:
        """The frames of the answer *data*, with their values; and where they are from, or why there are none."""
        frames, hidden = read_frames(data)
        if frames:
            return frames, HIDDEN if hidden else TOLD
        if not self._outside:
            return [], NOT_RUNNING if data is None else HIDDEN
        return self.from_outside(place, pid, thread)

    def from_outside(self, place: int, pid: int, thread: int) -> tuple[list[Frame], str]:
        """What py-spy sees, masked."""
        return outside(pid, thread, self._own + b"\n" + self._slots.rules(place))

    def of_exit(self, place: int) -> tuple[list[Frame], str | None]:
        """What ``os._exit`` left."""
        frames, _ = read_frames(read_answer(self._files[place], EXIT))
        return frames, TOLD if frames else None
