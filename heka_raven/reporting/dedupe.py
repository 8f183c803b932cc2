"""One report per exception, however many layers see it.

The mark is a text in the exception's own __dict__: it goes when the exception goes, no id that is used again can be
mistaken for it, it makes no reference cycle, and the exception can still be pickled.
"""

from __future__ import annotations

import types
from opcode import opmap
from typing import Any

from heka_raven.scope import REPORTED_KEY, Environ

MARK = "_heka_raven"
MAX_CHAIN = 2000

_RAISE = opmap["RAISE_VARARGS"]

_exc_dict = BaseException.__dict__["__dict__"].__get__


def mark_reported(
    exc: BaseException, traceback: types.TracebackType | None, event_id: str, environ: Environ | None
) -> None:
    """Remember that *exc* was reported as *event_id*, in the request of *environ* or outside any."""
    innermost = traceback
    for _ in range(MAX_CHAIN):
        if innermost is None or innermost.tb_next is None:
            break
        innermost = innermost.tb_next
    _exc_dict(exc)[MARK] = f"{event_id} {_place(traceback)} {_place(innermost)}"
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
    event_id, _, places = mark.partition(" ")
    if environ is not None:
        seen = environ.get(REPORTED_KEY)
        return event_id if type(seen) is set and event_id in seen else None
    return None if _raised_again(traceback, *places.partition(" ")[::2]) else event_id


def _place(traceback: types.TracebackType | None) -> str:
    return "" if traceback is None else f"{id(traceback):x}"


def _raised_again(traceback: types.TracebackType | None, outermost: str, innermost: str) -> bool:
    """Whether there was a ``raise`` after the report, which saw the entries from *outermost* to *innermost*.

    On its way up, an exception gets one entry for each caller. Raised again, it gets one for a frame that did not call
    the next entry's, but raised. (A generator into which it was thrown did neither; and the context manager around that
    generator takes the entry away again, so *outermost* may be gone.)
    """
    above: types.TracebackType | None = None
    for _ in range(MAX_CHAIN):
        if traceback is None:
            return _place(above) != innermost
        if above is not None:
            frame = traceback.tb_frame
            if above.tb_frame is frame or (frame.f_back is not above.tb_frame and _raises(above)):
                return True
        if _place(traceback) == outermost:
            return False
        above = traceback
        traceback = traceback.tb_next
    return True


def _raises(entry: types.TracebackType) -> bool:
    """Whether *entry* stands at a ``raise`` statement; a future that gives on what its thread raised does not count."""
    if dict.get(entry.tb_frame.f_globals, "__name__") == "concurrent.futures._base":
        return False
    code, place = entry.tb_frame.f_code.co_code, entry.tb_lasti
    return 0 <= place < len(code) and code[place] == _RAISE
