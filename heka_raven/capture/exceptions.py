"""An exception with its causes and the members of its group, as Sentry's exception values.

No code of the application runs: attributes of an exception are read through BaseException's own descriptors.
"""

from __future__ import annotations

import types
from collections import deque
from itertools import islice
from typing import Any, NamedTuple

from heka_raven.capture.classes import bare_name, is_one_of, module_name
from heka_raven.capture.frames import MAX_EVENT_FRAMES, Frames
from heka_raven.capture.messages import exception_text
from heka_raven.capture.values import Walker
from heka_raven.capture.written import written
from heka_raven.formats.text import cut

MAX_EXCEPTIONS = 50
ROOT_EXCEPTIONS = 5  # of them, kept for the root cause where there are more
MAX_CHAIN = 10_000  # causes that are followed to find it
MAX_MESSAGE = 8192
MAX_NOTES = 20

_exc_cause = BaseException.__dict__["__cause__"].__get__
_exc_context = BaseException.__dict__["__context__"].__get__
_exc_suppress = BaseException.__dict__["__suppress_context__"].__get__
_exc_traceback = BaseException.__dict__["__traceback__"].__get__
_exc_dict = BaseException.__dict__["__dict__"].__get__

try:
    _GROUP: Any = BaseExceptionGroup  # type: ignore[name-defined,unused-ignore]
    _group_members = _GROUP.__dict__["exceptions"].__get__
except NameError:  # Python 3.10
    _GROUP = None


class Link(NamedTuple):
    """One exception of a tree: how it was reached from its parent."""

    exc: BaseException
    traceback: types.TracebackType | None
    parent: int | None
    source: str | None
    left_out: int = 0  # exceptions between the parent and this one


def is_group(exc: BaseException) -> bool:
    """Whether *exc* is an exception group, whatever its ``__class__`` says."""
    return _GROUP is not None and issubclass(type(exc), _GROUP)


def traceback_of(exc: BaseException) -> types.TracebackType | None:
    """The traceback that *exc* carries, whatever its class says."""
    found: types.TracebackType | None = _exc_traceback(exc)
    return found


def exception_tree(exc: BaseException, traceback: types.TracebackType | None) -> list[Link]:
    """*exc*, then its cause or context and the members of its group, depth first, each once.

    Of more than :data:`MAX_EXCEPTIONS` those next to *exc* are kept, and the root cause with those next to it.
    """
    links: list[Link] = []
    seen: set[int] = set()
    waiting = [Link(exc, traceback, None, None)]
    while waiting and len(links) < MAX_EXCEPTIONS:
        link = waiting.pop()
        if id(link.exc) in seen:
            continue
        seen.add(id(link.exc))
        number = len(links)
        links.append(link)
        if is_group(link.exc):
            members = _group_members(link.exc)[:MAX_EXCEPTIONS]
            waiting += [
                Link(member, _exc_traceback(member), number, f"exceptions[{index}]")
                for index, member in reversed(list(enumerate(members)))
            ]
        cause, source = _reason(link.exc)
        if cause is not None:
            waiting.append(Link(cause, _exc_traceback(cause), number, source))
    return _with_root(links) if waiting else links


def _reason(exc: BaseException) -> tuple[BaseException | None, str]:
    """What led to *exc*: its cause, or its context where that is not suppressed."""
    cause = _exc_cause(exc)
    if cause is not None:
        return cause, "__cause__"
    return None if _exc_suppress(exc) else _exc_context(exc), "__context__"


def _with_root(links: list[Link]) -> list[Link]:
    """*links* with the root of the first one's causes in the place of the last ones."""
    numbers = {id(link.exc): number for number, link in enumerate(links[:-ROOT_EXCEPTIONS])}
    exc, source = _reason(links[0].exc)
    seen = {id(links[0].exc)}
    parent = skipped = 0  # the last one on the way that is kept; and how many after it are not
    tail: deque[tuple[BaseException, str]] = deque(maxlen=ROOT_EXCEPTIONS)
    while exc is not None and id(exc) not in seen and len(seen) < MAX_CHAIN:
        seen.add(id(exc))
        if id(exc) in numbers:
            parent = numbers[id(exc)]
        else:
            skipped += 1
            tail.append((exc, source))
        exc, source = _reason(exc)
    if not tail:
        return links  # what is too much hangs elsewhere: the members of a group
    kept = links[: MAX_EXCEPTIONS - len(tail)]
    left_out = skipped - len(tail)
    for exc, source in tail:
        kept.append(Link(exc, _exc_traceback(exc), parent, source, left_out))
        parent, left_out = len(kept) - 1, 0
    return kept


class Capturer(Frames):
    """Captures exceptions with their frames."""

    __slots__ = ()

    def exceptions(
        self,
        exc: BaseException,
        traceback: types.TracebackType | None,
        walker: Walker,
        mechanism: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Sentry's exception values, oldest first; the last one is *exc*.

        The local variables of *exc* are shown before those of its causes, inner frames before outer ones, so that the
        budget goes where the error is.
        """
        links = exception_tree(exc, traceback)
        room = MAX_EVENT_FRAMES
        values = []
        for number, link in enumerate(links):
            frames, carets = self.frames(link.traceback, walker, max(room, 2))
            room -= len(frames)
            value: dict[str, Any] = {
                "type": bare_name(type(link.exc)),
                "module": module_name(type(link.exc)),
                "value": exception_value(walker, link.exc),
                "mechanism": _mechanism(link, number, len(links), mechanism, carets),
            }
            if frames:
                value["stacktrace"] = {"frames": frames}
            values.append(value)
        values.reverse()
        return values


def exception_value(walker: Walker, exc: BaseException) -> str:
    """The message of *exc*, with its notes on lines of their own."""
    text = exception_text(walker, exc)
    notes = _exc_dict(exc).get("__notes__")
    if is_one_of(notes, list, tuple):
        for note in islice(notes, MAX_NOTES):
            text += "\n" + (note if type(note) is str else written(note, walker.guard))
    return cut(text, MAX_MESSAGE)


def _mechanism(
    link: Link, number: int, count: int, mechanism: dict[str, Any], carets: list[list[int]]
) -> dict[str, Any]:
    shown = dict(mechanism) if number == 0 else {"type": "chained", "handled": mechanism.get("handled", True)}
    if count > 1:
        shown["exception_id"] = number
        if link.parent is not None:
            shown["parent_id"] = link.parent
            shown["source"] = link.source
    if link.left_out:
        shown["description"] = f"{link.left_out:,} exceptions between this one and the next are left out"
    if is_group(link.exc):
        shown["is_exception_group"] = True
    if carets:
        shown["data"] = {"carets": carets}
    return shown
