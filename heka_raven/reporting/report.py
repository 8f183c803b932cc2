"""One call to report something: what the caller says of it, before anything is made of it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from heka_raven.capture.classes import is_one_of, type_name
from heka_raven.capture.exceptions import traceback_of

ExcInfo = tuple[type[BaseException], BaseException, "types.TracebackType | None"]
Count = Callable[[str], None]
"""Adds one to a counter of the ledger."""


MAX_STACK = 1000  # frames of a generator
ROOM = 50  # frames; a report needs 21, a before_send of the application some more
# Of threads, tasks and greenlets alike; threading.local is of greenlets only where gevent was there first. What copies
# the context within a report shares the list, so that the end is seen there, too.
_BUSY: ContextVar[list[bool] | None] = ContextVar("heka_raven_reporting", default=None)
# Whose frames are not the caller's: of what leads from the application's call to the report.
_NOT_THE_CALLER = frozenset({"logging", "raven", "heka", "heka_raven"})


@dataclass(slots=True)
class Report:
    """One call: what the caller says of the event. What is None is found out, or left out."""

    msg: str = ""
    exc_info: ExcInfo | None = None
    logger: str | None = None
    severity: int | None = None
    level: Any = None
    tags: Any = None
    extra: Any = None
    user: Any = None
    fingerprint: Any = None
    contexts: Any = None
    mechanism: dict[str, Any] | None = None
    logentry: tuple[Any, Any, Any] | None = None  # template, parameters, text: a message with or without an exception
    breadcrumbs: Any = None
    request: dict[str, Any] | None = None
    culprit: str | None = None
    transaction: str | None = None
    stack: types.FrameType | None = None
    timestamp: float | None = None
    sample_rate: float | None = None
    event_id: str | None = None  # 32 hex digits
    given: dict[str, Any] = field(default_factory=dict)  # parts of the event that the caller made: see events/given.py
    fields: dict[str, Any] = field(default_factory=dict)
    hint: dict[str, Any] = field(default_factory=dict)


def resolve_exc_info(value: Any) -> ExcInfo | None:
    """What *value* means: True: the exception in flight; an exception; a tuple as of ``sys.exc_info``; else nothing."""
    if value is True:
        value = sys.exc_info()
    if is_one_of(value, tuple, list) and len(value) == 3:
        exc, traceback = value[1], value[2]
    else:
        exc, traceback = value, None
    if exc is None or not issubclass(type(exc), BaseException):
        return None
    if type(traceback) is not types.TracebackType:
        traceback = traceback_of(exc)
    return type(exc), exc, traceback


def has_room(exc_info: ExcInfo | None) -> bool:
    """Whether the stack has room for a report.

    Without, an event would be lost half made: rather a layer further up has it, once the stack has unwound so far.
    """
    try:
        if exc_info is not None and issubclass(exc_info[0], RecursionError):
            _descend_through_c(ROOM)
        else:
            _descend(ROOM)
    except RecursionError:
        return False
    return True


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)


def _descend_through_c(frames: int) -> int:
    """Enter so many frames, each by way of C: Python 3.12 and 3.13 count both kinds, each with a limit of its own."""
    return sum(map(_descend_through_c, (frames - 1,))) if frames else 0


def is_reporting() -> bool:
    """Whether this thread, task or greenlet is within a report: what fails or is logged there is none."""
    busy = _BUSY.get()
    return busy is not None and busy[0]


def begin_reporting() -> list[bool]:
    """Say that a report begins here; it is over once the one item of the list is False."""
    busy = [True]
    _BUSY.set(busy)
    return busy


def _is_outside(frame: types.FrameType, other: types.FrameType) -> bool:
    """Whether *frame* led to *other*."""
    above: types.FrameType | None = other.f_back
    while above is not None and above is not frame:
        above = above.f_back
    return above is not None


def caller_frame(stack: Any, filename: str | None = None) -> types.FrameType | None:
    """The innermost frame of a stack that is to be shown.

    Args:
        stack: frames, or frames with line numbers, from one end of the stack to the other, as raven gives them; any
            other value: the stack of the call that is running, from the application's frame on.
        filename: where that frame must be, else it is none: who logged it is not on this thread's stack.
    """
    frame: types.FrameType | None = sys._getframe(1)
    if type(stack) is types.GeneratorType:
        stack = list(islice(stack, MAX_STACK))
    if is_one_of(stack, list, tuple) and stack:
        ends = [end[0] if is_one_of(end, list, tuple) and end else end for end in (stack[0], stack[-1])]
        if all(type(end) is types.FrameType for end in ends):
            frame, filename = ends[_is_outside(*ends)], None
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _NOT_THE_CALLER:
        frame = frame.f_back
    if filename is not None:
        while frame is not None and frame.f_code.co_filename != filename:
            frame = frame.f_back
    return frame


def fingerprint_of(report: Report) -> tuple[Any, ...]:
    """What the throttle counts by: class, place and line of the error; of a message, its logger and template."""
    if report.exc_info is None:
        return report.logger, report.msg, report.logentry and report.logentry[0]
    traceback = report.exc_info[2]
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code if traceback is not None else None
    return (
        type_name(report.exc_info[0]),
        code and code.co_filename,
        code and code.co_name,
        traceback and traceback.tb_lineno,
    )
