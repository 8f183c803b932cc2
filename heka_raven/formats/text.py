"""What texts go through: those of an event, and those of others that a terminal shows."""

from __future__ import annotations

import re

ELLIPSIS = "…"

# They move the cursor, colour the screen, or turn the direction of what follows around.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: str) -> str:
    """*text* without lone surrogates, which no UTF-8 encoder takes."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cut(text: str, limit: int) -> str:
    """At most *limit* characters of *text*; a cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def printable(text: str) -> str:
    """One line that a terminal shows and does not obey: control characters as their pictures."""
    return text if text.isprintable() else _CONTROL.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
