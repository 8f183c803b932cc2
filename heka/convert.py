"""The one library of converters: from what an INI file, a command line or a dict gives to an option's checked value.

A table of options has an Option for each name; its texts are what docs/configuration.rst says of it. Every error names
the key, the value and what is allowed. Pure, but for to_file, which looks whether there is such a file.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from heka.exceptions import ConfigError
from heka.path import resolve_name

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
_FACTORS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Option(NamedTuple):
    """One option: how its value is checked, and what the documentation says of it."""

    convert: Callable[[str, Any], Any]
    allowed: str
    unit: str
    meaning: str


Options = Mapping[str, Option]


def convert_options(table: Options, given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of *given*, converted.

    Args:
        prefix: what stands before each name where it is set; errors say the name as it was written.

    Raises:
        ConfigError: for the first value that is not allowed.
    """
    return {name: table[name].convert(prefix + name, value) for name, value in given.items()}


def wrong(key: str, value: object, allowed: str) -> ConfigError:
    """The error for a value that may be quoted."""
    return ConfigError(f"{key}: {value!r} is not allowed: {allowed}")


def to_int(key: str, value: Any, *, low: int, high: int, allowed: str = "") -> int:
    """A whole number; *allowed* says it in other words than ``a whole number from LOW to HIGH``."""
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not low <= number <= high:
        raise wrong(key, value, allowed or f"a whole number from {low} to {high}")
    return int(number)


def to_number(key: str, value: Any, *, low: float, high: float, allowed: str = "") -> float:
    """A number, or its text; infinity and what is no number are refused."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not low <= number <= high:  # refuses nan too
        raise wrong(key, value, allowed or f"a number from {low:g} to {high:g}")
    return number


def to_seconds(key: str, value: Any, *, low: float, high: float) -> float:
    return to_number(key, value, low=low, high=high, allowed=f"a number of seconds from {low:g} to {high:g}")


def to_size(key: str, value: Any, *, low: int, high: int) -> int:
    """Bytes; text may end in K, M or G."""
    amount, factor = value, 1
    if isinstance(value, str):
        text = value.strip().upper().removesuffix("B").removesuffix("I")
        factor = _FACTORS.get(text[-1:], 1)
        amount = text[:-1] if factor > 1 else text
    allowed = f"a number of bytes from {low} to {high}, or one with K, M or G"
    try:
        return to_int(key, to_int(key, amount, low=0, high=high) * factor, low=low, high=high)
    except ConfigError:
        raise wrong(key, value, allowed) from None


def to_flag(key: str, value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE and text not in _FALSE:
        raise wrong(key, value, "true or false")
    return text in _TRUE


def to_choice(key: str, value: Any, *, choices: tuple[str, ...], allowed: str = "") -> str:
    """One of *choices*."""
    text = str(value).strip().lower()
    if text in _FALSE and "off" in choices:
        text = "off"  # a heka INI has already made False of `off`
    if text not in choices:
        raise wrong(key, value, allowed or (f"{', '.join(choices[:-1])} or {choices[-1]}"))
    return text


def to_text(key: str, value: Any) -> str:
    """One line of text; a number is its text."""
    if not isinstance(value, (str, int, float)):
        raise wrong(key, value, "one line of text")
    return str(value)


def to_matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str, Any], str | None]:
    """A converter for text that matches *pattern* as a whole; empty text is None."""

    def convert(key: str, value: Any) -> str | None:
        text = to_text(key, value)
        if text and pattern.fullmatch(text) is None:
            raise wrong(key, value, allowed)
        return text or None

    return convert


def to_names(key: str, value: Any) -> tuple[str, ...]:
    """Names, in a list or in text; a class is its dotted name."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise wrong(key, value, "names, separated by commas or on lines of their own")
    names = []
    for item in value:
        if isinstance(item, type):
            names.append(f"{item.__module__}.{item.__qualname__}")
        elif isinstance(item, str):
            names += [name for name in re.split(r"[\s,]+", item) if name]
        else:
            raise wrong(key, item, "a name")
    return tuple(names)


def to_pairs(key: str, value: Any) -> dict[str, str]:
    """``name:value`` pairs, or ``name=value``: a dict, a list, or text with commas."""
    if isinstance(value, Mapping):
        return {str(name): str(item) for name, item in value.items()}
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        raise wrong(key, value, "name:value pairs, separated by commas or on lines of their own")
    pairs = {}
    for line in lines:
        for pair in str(line).split(","):
            if not pair.strip():
                continue
            name, separator, item = re.sub(r"^([^:=]*)=", r"\1:", pair, count=1).partition(":")
            if not separator or not name.strip():
                raise wrong(key, pair.strip(), "name:value")
            pairs[name.strip()] = item.strip()
    return pairs


def to_callable(key: str, value: Any) -> Callable[..., Any]:
    """A function, or the dotted name of one."""
    if isinstance(value, str):
        try:
            value = resolve_name(value)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(f"{key}: {value!r} cannot be imported: {error}") from None
    if not callable(value):
        raise wrong(key, value, "a function, or the dotted name of one")
    found: Callable[..., Any] = value
    return found


def to_file(key: str, value: Any) -> str | None:
    """A file that is there; empty text is None."""
    if value in (None, ""):
        return None
    if not os.path.exists(str(value)):
        raise ConfigError(f"{key}: {value} does not exist")
    return str(value)


def to_proxy(key: str, value: Any) -> str | None:
    """A proxy's URL, never quoted: it may hold a password. Empty text is None."""
    if value in (None, ""):
        return None
    text = str(value).strip()
    if not text.lower().startswith(("http://", "https://")):
        raise ConfigError(f"{key}: a proxy is http://host:port or https://host:port")
    return text
