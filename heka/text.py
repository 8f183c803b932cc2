"""Text as UTF-8 can carry it, and the text of log calls."""

import sys
import traceback
from typing import Any


def mend_text(text: str) -> str:
    """*text* with each lone surrogate replaced by U+FFFD, so that UTF-8 can carry it."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def as_text(name: str, value: object) -> str:
    """The text of *value*, a str or bytes, mended.

    Raises:
        TypeError: if it is neither; the message names *name*.
    """
    if isinstance(value, str):
        return mend_text(value)
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    raise TypeError(f"{name}: a {type(value).__name__} is not text, allowed: str, bytes")


def format_message(msg: object, args: tuple[Any, ...]) -> str:
    """``msg % args``, or something readable when they do not match: a log call is no reason to fail."""
    try:
        text = as_text("msg", msg) if isinstance(msg, (str, bytes)) else str(msg)
        if len(args) == 1 and hasattr(args[0], "keys") and hasattr(args[0], "__getitem__"):
            return str(text % args[0])
        return text % args if args else text
    except Exception as exc:
        shown = msg if isinstance(msg, str) else type(msg).__name__
        return f"{shown} (not formatted: {type(exc).__name__})"


def format_traceback(exc_info: Any) -> str:
    """The traceback of an exception, an ``exc_info`` tuple or (True) the exception being handled; ``None`` if none."""
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    try:
        if exc_info[0] is None:
            return "None"
        return "".join(traceback.format_exception(*exc_info)).removesuffix("\n")
    except Exception as exc:
        return f"(no traceback: {type(exc).__name__})"
