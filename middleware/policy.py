"""Which exceptions are errors of the application, which its way of answering, and which are the visitor's.

Rule: classes are compared by name (module.qualname along the MRO), so that no framework is imported to ask, and no
__class__ or __instancecheck__ of the application is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any
from weakref import ref

from heka_raven.capture.classes import module_name, mro_of, qualified_name
from heka_raven.middleware.disconnect import is_disconnect

if TYPE_CHECKING:
    from heka_raven.middleware.options import MiddlewareOptions

Environ = dict[str, Any]

# Exceptions by which frameworks answer a request; each with the attributes that may hold the status.
HTTP_EXCEPTIONS = {
    "webob.exc.HTTPException": ("status_int", "code"),
    "webob.exc.WSGIHTTPException": ("status_int", "code"),
    "pyramid.httpexceptions.HTTPException": ("status_int", "code"),
    "paste.httpexceptions.HTTPException": ("code",),
    "werkzeug.exceptions.HTTPException": ("code",),
    "bottle.HTTPResponse": ("status_code",),
    "falcon.http_error.HTTPError": ("status_code", "status"),
    "falcon.http_status.HTTPStatus": ("status_code", "status"),
}
MAX_KNOWN = 1024  # classes whose names are kept
# How a greenlet or an asyncio task ends when somebody stops it.
STOPPED = frozenset({"greenlet.GreenletExit", "asyncio.exceptions.CancelledError"})


class Verdict(Enum):
    """What becomes of an exception that left the application."""

    REPORT = "report"
    PASS = "pass"  # noqa: S105
    DISCONNECT = "disconnect"  # counted, not reported


def class_names(kind: type) -> Sequence[str]:
    """``module.qualname`` of *kind* and its bases."""
    known = _known_names.get(id(kind))
    if known is None or known[0]() is not kind:
        if len(_known_names) >= MAX_KNOWN:
            _known_names.clear()
        names = tuple(f"{module_name(base)}.{qualified_name(base)}" for base in mro_of(kind))
        known = _known_names[id(kind)] = ref(kind), names
    return known[1]


_known_names: dict[int, tuple[Callable[[], type | None], tuple[str, ...]]] = {}  # by the id of the class


class Policy:
    """Decides by the options, the exception and what the environ says of it."""

    __slots__ = ("_ignore", "_keyboard_interrupt", "_report_thrown", "_system_exit")

    def __init__(self, options: MiddlewareOptions) -> None:
        self._ignore = frozenset(options.ignore)
        self._system_exit = options.system_exit
        self._keyboard_interrupt = options.keyboard_interrupt
        self._report_thrown = options.report_thrown

    def verdict(self, error: BaseException, environ: Environ) -> Verdict:
        """What becomes of *error*, which left the application of *environ*."""
        kind = type(error)
        if issubclass(kind, GeneratorExit):
            return Verdict.PASS
        if issubclass(kind, KeyboardInterrupt):
            return Verdict.REPORT if self._keyboard_interrupt else Verdict.PASS
        if issubclass(kind, SystemExit) and not (self._system_exit and _is_failure(error)):
            return Verdict.PASS
        names = class_names(kind)
        if is_disconnect(error, names, environ):
            return Verdict.DISCONNECT
        if (
            not STOPPED.isdisjoint(names)
            or self._is_ignored(names)
            or _is_answer(error, names)
            or _is_expected(kind, environ.get("paste.expected_exceptions"))
            or (self.is_raw(environ) and not self._report_thrown)
        ):
            return Verdict.PASS
        return Verdict.REPORT

    def is_raw(self, environ: Environ) -> bool:
        """Whether a tool around us wants to see the exception itself (Paste's debuggers, WebTest)."""
        return bool(environ.get("paste.throw_errors"))

    def _is_ignored(self, names: Iterable[str]) -> bool:
        if not self._ignore:
            return False
        return any(name in self._ignore or name.removeprefix("builtins.") in self._ignore for name in names)


def _is_failure(error: BaseException) -> bool:
    """Whether a SystemExit means that something went wrong."""
    code = vars(SystemExit)["code"].__get__(error)
    return code is not None and not (issubclass(type(code), int) and int.__int__(code) == 0)


def _is_answer(error: BaseException, names: Iterable[str]) -> bool:
    """Whether *error* is a framework's way to answer with a status under 500."""
    for name in names:
        for attribute in HTTP_EXCEPTIONS.get(name, ()):
            status = _status(error, attribute)
            if status is not None:
                return status < 500
    return False


def _status(error: BaseException, attribute: str) -> int | None:
    try:
        return int(str(getattr(error, attribute))[:3])
    except Exception:
        # It has none, or its property fails: not an answer, then.
        return None


def _is_expected(kind: type, expected: Any) -> bool:
    """Whether *kind* is among the classes in ``environ['paste.expected_exceptions']``."""
    if not isinstance(expected, (list, tuple, set, frozenset)):
        return False
    return any(item is base for item in expected for base in mro_of(kind))
