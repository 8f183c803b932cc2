"""One report per exception, however many layers see it, in both halves.

The mark is a text in the exception's own __dict__: it goes when the exception goes, and the exception can still be
pickled. It holds the first and the last entry of the traceback that was reported, so that nothing else can get their
place in memory: an entry is known by what it is, not by where it lies. (An exception holds its traceback anyway; no
entry of it knows the mark, so there is no cycle.)
"""

from __future__ import annotations

import os
import sys
import types
from opcode import opmap
from typing import Any

from heka_raven.capture.classes import bare_name
from heka_raven.capture.messages import MARK, plain_text
from heka_raven.scope import REPORTED_KEY, Environ

MAX_CHAIN = 2000
NOT_SENT = "-"  # before the id of an event that was dropped, on the exception it was of: no layer is to try again
PASSED = "!"  # before the id where nothing was sent, but another layer may: a class that is ignored, an event lost

_RAISE = opmap["RAISE_VARARGS"]
# What gives on what others raised. Its raise statement raises nothing new.
_FUTURES = frozenset({"concurrent.futures._base", "asyncio.futures", "asyncio.tasks"})

_exc_dict = BaseException.__dict__["__dict__"].__get__


class Mark(str):
    """The event's id, with what stands before it; pickled and copied it is that text alone."""

    __slots__ = ("innermost", "outermost")

    outermost: types.TracebackType | None
    innermost: types.TracebackType | None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def mark_reported(
    exc: BaseException, traceback: types.TracebackType | None, event_id: str, environ: Environ | None
) -> None:
    """Remember what became of *exc*, in the request of *environ* or outside any, and tell uWSGI's plugin once.

    Whatever became of it, the plugin is to leave it alone when uWSGI's own exception handler brings it.
    """
    is_news = find_mark(exc, traceback, environ) is None
    mark = Mark(event_id)
    mark.outermost = mark.innermost = traceback
    for _ in range(MAX_CHAIN):
        if mark.innermost is None or mark.innermost.tb_next is None:
            break
        mark.innermost = mark.innermost.tb_next
    _exc_dict(exc)[MARK] = mark
    if environ is not None:
        seen = environ.get(REPORTED_KEY)
        if type(seen) is not set:
            seen = environ[REPORTED_KEY] = set()
        seen.add(event_id)
    if is_news and "uwsgi" in sys.modules:
        _tell_uwsgi(exc, event_id, environ)


def pass_on(exc: BaseException, traceback: types.TracebackType | None, environ: Environ | None) -> None:
    """*exc* was seen, and is none to report; another layer may think otherwise, uWSGI's handler may not. Never raises.

    Outside uWSGI there is nobody to tell.
    """
    if "uwsgi" not in sys.modules:
        return
    try:
        if find_mark(exc, traceback, environ) is None:
            mark_reported(exc, traceback, PASSED + os.urandom(16).hex(), environ)
    except Exception:
        pass  # then uWSGI's handler reports it


def reported_as(exc: BaseException, traceback: types.TracebackType | None, environ: Environ | None) -> str | None:
    """The event id under which *exc* was reported or dropped already; ``None`` if it is still to be reported.

    In a request an exception is reported once. Outside, once per raise: a singleton that is raised again is new.
    """
    mark = find_mark(exc, traceback, environ)
    return None if mark is None or mark.startswith(PASSED) else mark


def find_mark(exc: BaseException, traceback: types.TracebackType | None, environ: Environ | None) -> str | None:
    """What was made of *exc*, since it was raised last: an event id, perhaps after NOT_SENT or PASSED."""
    mark: Any = _exc_dict(exc).get(MARK)
    if environ is not None and issubclass(type(mark), str):
        seen = environ.get(REPORTED_KEY)
        return str(mark) if type(seen) is set and mark in seen else None
    if type(mark) is not Mark:
        return None
    return None if _raised_again(traceback, mark) else str(mark)


def _raised_again(traceback: types.TracebackType | None, mark: Mark) -> bool:
    """Whether there was a ``raise`` after the report, which saw the entries that *mark* holds.

    On its way up, an exception gets one entry for each caller. Raised again, it gets one for a frame that did not call
    the next entry's, but raised. (A generator into which it was thrown did neither; and the context manager around that
    generator takes the entry away again, so the outermost that was seen may be gone. A future that gives on its
    exception twice begins the traceback anew each time.)
    """
    above: types.TracebackType | None = None
    for _ in range(MAX_CHAIN):
        if traceback is None:
            return above is not None and above is not mark.innermost and _raises(above)
        if above is not None:
            frame = traceback.tb_frame
            if above.tb_frame is frame or (frame.f_back is not above.tb_frame and _raises(above)):
                return True
        if traceback is mark.outermost:
            return False
        above = traceback
        traceback = traceback.tb_next
    return True


def _raises(entry: types.TracebackType) -> bool:
    """Whether *entry* stands at a ``raise`` statement; a future that gives on what its thread raised does not count."""
    if dict.get(entry.tb_frame.f_globals, "__name__") in _FUTURES:
        return False
    code, place = entry.tb_frame.f_code.co_code, entry.tb_lasti
    return 0 <= place < len(code) and code[place] == _RAISE


def _tell_uwsgi(exc: BaseException, event_id: str, environ: Environ | None) -> None:
    try:
        from heka_raven import uwsgi_bridge

        # uWSGI hashes str(exc); where that would run the application's code, the class alone must do. An id is told of
        # what was sent only: it becomes a log variable of the request.
        sent = event_id if event_id[:1] not in (NOT_SENT, PASSED) else ""
        uwsgi_bridge.tell_reported(sent, bare_name(type(exc)), plain_text(exc), environ)
    except Exception:
        pass  # then the error is reported twice
