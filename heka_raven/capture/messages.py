"""What an exception says, without running the application's __str__.

Built-in exceptions read as on a terminal, from their fields, read through the built-in types' own descriptors: Python's
own functions would call __str__ of whatever the application put into them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from heka_raven.capture.classes import instance_dict, is_one_of
from heka_raven.capture.guard import NameMask
from heka_raven.capture.library_messages import message_of
from heka_raven.capture.plans import EXCEPTION, plan_of
from heka_raven.capture.written import is_plain_library_value, spoken, written
from heka_raven.formats.text import clean

MAX_TEXT = 16384  # characters looked at; events keep 8,192
MAX_ARGS = 50
MAX_INNER = 10  # exceptions that are the only argument of each other
MARK = "_heka_raven"  # in the __dict__ of an exception that was reported; see reporting/dedupe.py
MAX_PLAIN = 500  # values inside an exception that are looked at

_exc_args = BaseException.__dict__["args"].__get__
_exc_dict = BaseException.__dict__["__dict__"].__get__
_PLAIN_TYPES = frozenset(map(id, (str, int, float, bool, type(None), bytes)))


class Shower(Protocol):
    """What a :class:`heka_raven.capture.values.Walker` is to this module."""

    call_repr: bool
    is_library: Callable[[str], bool] | None

    @property
    def guard(self) -> NameMask: ...


def exception_text(walker: Shower, exc: BaseException) -> str:
    """The message of *exc*.

    An exception class of an installed package with a ``__str__`` of its own is asked when all that the exception holds
    is plain text and numbers; the application's own only if the walker may call it. Else it is shown by its ``args``,
    or by its attributes when it has no args.
    """
    plan = plan_of(type(exc))
    known = None if walker.call_repr else message_of(plan.str_owner)
    if known is not None:
        try:
            return clean(known(exc, instance_dict(exc), walker.guard)[:MAX_TEXT])
        except Exception:
            return args_message(exc, walker)
    if plan.str_file is not None and (
        walker.call_repr
        or (walker.is_library is not None and walker.is_library(plan.str_file) and _state_is_plain(exc))
    ):
        try:
            text = str(exc)
            if type(text) is str:
                return clean(text[:MAX_TEXT])
        except BaseException:
            return "<its __str__ raised>"
    message = _MESSAGES.get(id(plan.str_owner), args_message)
    try:
        return message(exc, walker)
    except Exception:
        return ""


def plain_text(exc: BaseException) -> str | None:
    """What ``str(exc)`` gives, where that is certain without calling it; ``None`` where it is not."""
    plan = plan_of(type(exc))
    args = _exc_args(exc)
    if plan.str_owner is BaseException and (not args or (len(args) == 1 and type(args[0]) is str)):
        return str(args[0]) if args else ""
    return None


def _state_is_plain(exc: BaseException) -> bool:
    """Whether all that *exc* holds is plain: then a library's ``__str__`` meets no other code.

    Plain is text, a number, bytes, a value of the standard library, a built-in exception of such, or a container of
    these.
    """
    left: list[Any] = _held(exc)
    for _ in range(MAX_PLAIN):
        if not left:
            return True
        value = left.pop()
        kind = type(value)
        if id(kind) in _PLAIN_TYPES or is_plain_library_value(value):
            continue
        if is_one_of(value, list, tuple, set, frozenset, dict) and len(value) <= MAX_PLAIN:
            left += value
            left += value.values() if kind is dict else ()
        elif plan_of(kind).kind == EXCEPTION and id(plan_of(kind).str_owner) in _MESSAGES:
            left += _held(value)
        else:
            return False
    return False


def _held(exc: BaseException) -> list[Any]:
    """What *exc* holds of its own: not what says that it was reported."""
    return [*_exc_args(exc), *(item for name, item in instance_dict(exc).items() if name != MARK)]


def args_message(exc: Any, walker: Shower) -> str:
    """As ``BaseException.__str__``; with no args, the exception's own attributes."""
    args = _exc_args(exc)
    if not args:
        return _attributes(exc, walker)
    if len(args) == 1:
        return _argument(args[0], walker)
    return written(args, walker.guard)


def _attributes(exc: Any, walker: Shower) -> str:
    own = _exc_dict(exc)
    names = [name for name in own if type(name) is str and not name.startswith("_")]
    shown = {name: written(own[name], walker.guard) for name in names[:MAX_ARGS]}
    walker.guard.mask_names(shown, list(shown))
    return ", ".join(f"{name}={text}" for name, text in shown.items())


def _argument(value: Any, walker: Shower) -> str:
    if issubclass(type(value), BaseException):
        return _inner_message(value, walker)
    return spoken(value, walker.guard)


def _inner_message(exc: Any, walker: Shower) -> str:
    """The message of an exception that is the argument of another one, and may hold that one."""
    args = _exc_args(exc)
    for _ in range(MAX_INNER):
        if len(args) != 1 or not issubclass(type(args[0]), BaseException):
            break
        exc = args[0]
        args = _exc_args(exc)
    if any(issubclass(type(value), BaseException) for value in args):
        return written(exc, walker.guard)
    return exception_text(walker, exc)


def _key_error_message(exc: Any, walker: Shower) -> str:
    args = _exc_args(exc)
    if len(args) == 1:
        return written(args[0], walker.guard)
    return args_message(exc, walker)


def _read(cls: type, name: str, exc: Any) -> Any:
    return cls.__dict__[name].__get__(exc)


def _os_error_message(exc: Any, walker: Shower) -> str:
    number, reason = _read(OSError, "errno", exc), _read(OSError, "strerror", exc)
    if number is None or reason is None:
        return args_message(exc, walker)
    text = f"[Errno {_argument(number, walker)}] {_argument(reason, walker)}"
    first, second = _read(OSError, "filename", exc), _read(OSError, "filename2", exc)
    if first is not None:
        text += f": {written(first, walker.guard)}"
        if second is not None:
            text += f" -> {written(second, walker.guard)}"
    return text


def _import_error_message(exc: Any, walker: Shower) -> str:
    message = _read(ImportError, "msg", exc)
    return message if type(message) is str else args_message(exc, walker)


def _syntax_error_message(exc: Any, walker: Shower) -> str:
    message, file, line = (_read(SyntaxError, name, exc) for name in ("msg", "filename", "lineno"))
    text = _argument(message, walker)
    places = []
    if type(file) is str:
        places.append(file.rsplit("/", 1)[-1])
    if type(line) is int:
        places.append(f"line {line}")
    return f"{text} ({', '.join(places)})" if places else text


def _unicode_error_message(exc: Any, walker: Shower) -> str:
    # Its fields are checked by C to be text, bytes and integers; only the characters concerned are read.
    return str(exc)


def _group_message(exc: Any, walker: Shower) -> str:
    text = _argument(_read(_GROUP, "message", exc), walker)
    count = len(_read(_GROUP, "exceptions", exc))
    return f"{text} ({count} sub-exception{'' if count == 1 else 's'})"


try:
    _GROUP: Any = BaseExceptionGroup  # type: ignore[name-defined,unused-ignore]
except NameError:  # Python 3.10
    _GROUP = None

_MESSAGES: dict[int, Callable[[Any, Shower], str]] = {
    id(object): args_message,
    id(BaseException): args_message,
    id(KeyError): _key_error_message,
    id(OSError): _os_error_message,
    id(ImportError): _import_error_message,
    id(SyntaxError): _syntax_error_message,
    id(UnicodeEncodeError): _unicode_error_message,
    id(UnicodeDecodeError): _unicode_error_message,
    id(UnicodeTranslateError): _unicode_error_message,
    **({id(_GROUP): _group_message} if _GROUP is not None else {}),
}
