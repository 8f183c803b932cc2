"""Texts, bytes and numbers as values of JSON: cut, masked, and charged at least what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from heka_raven.formats.text import ELLIPSIS, clean
from heka_raven.scrub.masker import is_suspicious

if TYPE_CHECKING:
    from heka_raven.capture.values import Walker

MAX_CHARACTERS = 400  # of one string
MAX_INTEGER = 2**53  # JSON readers hold integers as doubles
MAX_INTEGER_BITS = 1300  # about 400 decimal digits
SHORT = 10**7  # an integer below takes no more room than its place in a dict was charged
LONG_BELOW = -SHORT  # named: Python would make the number anew at each comparison
_PLAIN_INTEGER = 10**12  # a bigger one can be the number of a payment card
_MAX_CARD = 10**19


def show_int(walker: Walker, value: int, depth: int) -> int | str:
    walker.room -= 12
    if -MAX_INTEGER < value < MAX_INTEGER:
        return walker.guard.mask_integer(value)
    if value < _MAX_CARD and walker.guard.mask_integer(value) != value:
        return walker.guard.mask_integer(value)
    bits = value.bit_length()
    return str(value) if bits <= MAX_INTEGER_BITS else f"<int of {bits:,} bits>"


def show_float(walker: Walker, value: float, depth: int) -> float | str:
    walker.room -= 16
    # JSON has no infinity and no NaN.
    return value if value - value == 0 else repr(value)


def show_str(walker: Walker, value: str, depth: int) -> str:
    length = len(value)
    if hash(value) in walker.plain:
        walker.room -= length
        return value
    known = walker.texts.get(value) if length <= MAX_CHARACTERS else None
    if known is not None:
        walker.room -= known[1]
        return known[0]
    if walker.legacy:
        return show_quoted(walker, value)
    if length > MAX_CHARACTERS:
        value = value[: MAX_CHARACTERS - 1] + ELLIPSIS
        length = MAX_CHARACTERS
    charge = length if value.isascii() else 3 * length  # bytes, not characters
    shown = value
    # Of letters alone only AKIA… is private; a surrogate is no letter.
    if "A" in value or not value.isalpha():
        shown = clean(value)
        if is_suspicious(shown):
            shown = walker.guard.clean_text(shown)
        else:
            walker.guard.remember_plain(shown)
    walker.room -= charge
    walker.texts[value] = shown, charge
    return shown


def show_quoted(walker: Walker, value: str) -> str:
    walker.room -= min(len(value), MAX_CHARACTERS)
    text = repr(walker.guard.clean_text(clean(value[:MAX_CHARACTERS])))
    return text if len(text) <= MAX_CHARACTERS + 2 else text[: MAX_CHARACTERS + 1] + text[-1]


def show_bytes(walker: Walker, value: Any, depth: int) -> str:
    head = bytes(value[: MAX_CHARACTERS // 2])
    text = repr(head)
    if len(value) > len(head) or len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS - 30] + f"{ELLIPSIS} <{len(value):,} bytes>"
    walker.room -= len(text)
    return walker.guard.clean_text(text)


def are_small(walker: Walker, integers: list[int]) -> bool:
    """Whether none is too big for JSON, or for anything but the number of a payment card."""
    if not integers:
        return True
    try:
        data = orjson.dumps(integers, None, orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return False
    walker.room -= len(data)
    # Where none is negative the sum tells; it takes a fifth of the time of min() and max().
    return (b"-" not in data and sum(integers) < _PLAIN_INTEGER) or max(integers) < _PLAIN_INTEGER
