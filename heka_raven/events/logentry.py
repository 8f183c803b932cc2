"""The text of a message: a template and what stands in it, formatted without running the application's code.

Pure. What is no plain value stands as capture/written.py writes it: ``%s`` as str() would, ``%r`` as repr() would.
"""

from __future__ import annotations

import decimal
import fractions
from typing import Any

from heka_raven.capture.classes import is_one_of, module_name
from heka_raven.capture.messages import exception_text
from heka_raven.capture.plans import plan_of
from heka_raven.capture.values import Walker
from heka_raven.capture.written import spoken, written
from heka_raven.formats.text import clean, cut

MAX_MESSAGE = 8192
MAX_DIGITS = 400  # before the point of a Decimal or a Fraction: ``%d`` of 1E+999999 would write a million

_PLAIN = (str, int, float, bool, type(None))
_NUMPY_NUMBERS = (int, float, bool)


class _Text(str):
    """A value that stands under ``%s`` and ``%r``."""

    said: str

    def __repr__(self) -> str:
        return self.said


class _Integer(int):
    """A number whose class writes itself in another way: ``%d`` is the number, ``%s`` and ``%r`` are what is said."""

    spoken: str
    said: str

    def __str__(self) -> str:
        return self.spoken

    def __repr__(self) -> str:
        return self.said


class _Float(float):
    spoken: str
    said: str

    def __str__(self) -> str:
        return self.spoken

    def __repr__(self) -> str:
        return self.said


def format_message(message: str, params: Any, walker: Walker) -> str:
    """``message % params``, as the logging module does it; the template alone where the two do not fit."""

    def plain(value: Any) -> Any:
        if is_one_of(value, *_PLAIN):
            return cut(value, MAX_MESSAGE) if type(value) is str else value
        return _argument(value, walker)

    try:
        if issubclass(type(params), dict):
            named = {name: plain(value) for name, value in dict.items(params)}
            walker.guard.mask_names(named, [name for name in named if type(name) is str])
            return str(message % named)
        values = params if is_one_of(params, tuple, list) else (params,)
        return str(message % tuple(plain(value) for value in values))
    except Exception:
        return message  # %d for what is no number; the parameters are shown beside it


def _argument(value: Any, walker: Walker) -> Any:
    kind, number = type(value), _number(value)
    made: Any
    if type(number) is decimal.Decimal:
        return number
    if number is None:
        made = _Text(exception_text(walker, value) if issubclass(kind, BaseException) else spoken(value, walker.guard))
    else:
        made = _Integer(number) if type(number) is int else _Float(number)
        made.spoken = str(number) if _is_of_numpy(kind) else spoken(value, walker.guard)
    made.said = written(value, walker.guard)
    return made


def _number(value: Any) -> Any:
    """The number that *value* is, read through the built-in types' own means; ``None`` if it is none."""
    kind = type(value)
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if kind is decimal.Decimal:
        return value if not value.is_finite() or abs(value.adjusted()) < MAX_DIGITS else None
    if kind is fractions.Fraction:
        bits = value.numerator.bit_length() - value.denominator.bit_length()
        return value.numerator / value.denominator if abs(bits) < MAX_DIGITS else None
    if _is_of_numpy(kind):
        shown = plan_of(kind).show(value)
        return shown if is_one_of(shown, *_NUMPY_NUMBERS) else None
    return None


def _is_of_numpy(kind: type) -> bool:
    return module_name(kind).partition(".")[0] == "numpy"


def logentry_of(message: Any, params: Any, formatted: Any, walker: Walker) -> dict[str, Any]:
    """Sentry's logentry: the template, its parameters, and the text."""
    if not is_one_of(params, tuple, list) and not issubclass(type(params), dict):
        params = () if params is None else (params,)
    template = message if type(message) is str else "" if message is None else spoken(message, walker.guard)
    shown: dict[str, Any] = {}
    if type(formatted) is not str or not formatted:
        formatted = format_message(template, params, walker) if params else template
    if template and template != formatted:
        shown["message"] = cut(clean(template), MAX_MESSAGE)
    if params:
        value = walker.show(params)
        shown["params"] = value if type(value) in (list, dict) else [value]
    shown["formatted"] = cut(clean(formatted), MAX_MESSAGE) or "<no message>"
    return shown
