"""The worker's own answer: the frames of one of its threads with their values, as bytes that it may hand out.

It runs in a signal handler, between two instructions of the application: it takes no lock, reads no file, calls nothing
of the application, and ends within its budget.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import orjson

from heka_raven.capture.frames import running_frames
from heka_raven.capture.values import Walker
from heka_raven.eyes.rules import Rules, from_the_job_on, read_rules
from heka_raven.formats.text import clean
from heka_raven.scrub.scrubber import Scrubber

MAX_ANSWER = 240 * 1024  # bytes; HK_VALUES_MAX in core/values.h
BUDGET_S = 0.015  # of the processor's time, for all values


class Eyes:
    """Shows the frames of running threads of one process, by the rules of all its applications."""

    __slots__ = ("_hidden", "_lines", "_rules", "_scrubber", "_told")

    def __init__(self) -> None:
        self._lines: dict[bytes, None] = {}
        self._hidden = {Eyes.look.__code__.co_filename}  # files whose frames at the inner end are those that look
        self._rules = Rules()
        self._scrubber = self._rules.scrubber()
        self._told: Callable[[bytes], None] | None = None  # whom to tell of each change

    def add(self, rules: Rules) -> bytes:
        """Obey *rules* too.

        Returns:
            The lines of all, for a reader of another process.
        """
        self._lines[rules.line()] = None
        lines = b"\n".join(self._lines)
        self._rules = read_rules(lines)
        self._scrubber = self._rules.scrubber()
        if self._told is not None:
            self._told(lines)
        return lines

    def tell(self, whom: Callable[[bytes], None] | None) -> None:
        """Tell *whom* the lines of all rules, now and whenever there is another; None: nobody any more."""
        self._told = whom
        if whom is not None and self._lines:
            whom(b"\n".join(self._lines))

    def tells(self) -> bool:
        """Whether somebody is told."""
        return self._told is not None

    def scrubber(self) -> Scrubber:
        """A masker by the rules of all."""
        return self._rules.scrubber()

    def mask_known(self, known: dict[str, Any]) -> dict[str, Any]:
        """A copy of what is known of a request, masked as an event is."""
        copy: dict[str, Any] = orjson.loads(orjson.dumps(known, default=str))
        self._scrubber.scrub_event(copy)
        return copy

    def hide(self, filename: str) -> None:
        """Frames of this file, too, are those that look."""
        self._hidden.add(filename)

    def look(self, thread: int, frame: FrameType | None, bare: bool = False) -> bytes:
        """The stack of the thread with this number, else that of *frame*; empty: there is none.

        Where no values may be shown it is empty too; with *bare* it is then without values, and says so.
        """
        found = (sys._current_frames().get(thread) if thread else None) or frame
        while found is not None and found.f_code.co_filename in self._hidden:
            found = found.f_back
        show = self._rules.show
        if found is None or not (show or bare):
            return b""
        walker = Walker(time.thread_time, self._scrubber, show_locals=show, budget_s=BUDGET_S)
        frames = from_the_job_on(running_frames(found, walker), lambda frame: str(frame["file"]))
        return encode(frames, hidden=not show)


EYES = Eyes()  # of this process


def encode(frames: list[dict[str, Any]], hidden: bool = False) -> bytes:
    """The frames as JSON of at most :data:`MAX_ANSWER` bytes: the outermost lose their values first."""
    for frame in frames:
        frame["file"] = clean(frame["file"])
        frame["function"] = clean(frame["function"])
    sizes = [len(orjson.dumps(frame)) + 1 for frame in frames]
    total = sum(sizes) + 16
    for frame, size in zip(frames, sizes, strict=True):
        if total <= MAX_ANSWER:
            break
        if frame.pop("vars", None) is not None:
            total += len(orjson.dumps(frame)) + 1 - size
    whole = orjson.dumps({"frames": frames, "hidden": True} if hidden else {"frames": frames})
    return whole if len(whole) <= MAX_ANSWER else b""
