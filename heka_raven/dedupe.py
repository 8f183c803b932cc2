# dedupe.py: one report per exception, however many layers see it.
#
# The mark is a text in the exception's own __dict__: it goes when the exception goes, no id that is used again can be
# mistaken for it, it makes no reference cycle, and the exception can still be pickled.
"""Which exceptions were reported already."""

from __future__ import annotations

import types
from typing import Any

from heka_raven.scope import REPORTED_KEY, Environ

MARK = "_heka_raven"
MAX_CHAIN = 2000

_exc_dict = BaseException.__dict__["__dict__"].__get__


def mark_reported(
    exc: BaseException, traceback: types.TracebackType | None, event_id: str, environ: Environ | None
) -> None:
    """Remember that *exc* was reported as *event_id*, in the request of *environ* or outside any."""
    _exc_dict(exc)[MARK] = f"{event_id} {id(traceback):x}"
    if environ is not None:
        seen = environ.get(REPORTED_KEY)
        if type(seen) is not set:
            seen = environ[REPORTED_KEY] = set()
        seen.add(event_id)


def reported_as(exc: BaseException, traceback: types.TracebackType | None, environ: Environ | None) -> str | None:
    """The event id under which *exc* was reported already; ``None`` if it is new.

    In a request an exception is reported once. Outside, once per raise: a singleton that is raised again is new.
    """
    mark: Any = _exc_dict(exc).get(MARK)
    if type(mark) is not str:
        return None
    event_id, _, place = mark.partition(" ")
    if environ is not None and type(seen := environ.get(REPORTED_KEY)) is set and event_id in seen:
        return event_id
    if environ is not None:
        return None
    return None if _raised_again(traceback, place) else event_id


def _raised_again(traceback: types.TracebackType | None, place: str) -> bool:
    """Whether *traceback* has more than callers before the entry at which the exception was reported.

    On its way up, an exception gets one entry for each caller. Raised again, it gets one for a frame that did not call
    the next entry's.
    """
    above: types.FrameType | None = None
    for _ in range(MAX_CHAIN):
        if traceback is None:
            return True
        frame = traceback.tb_frame
        # A generator or a coroutine that has ended no longer knows who resumed it.
        if above is not None and frame is not None and frame.f_back is not above and frame.f_back is not None:
            return True
        if above is frame:
            return True
        if f"{id(traceback):x}" == place:
            return False
        above = frame
        traceback = traceback.tb_next
    return True
