"""The two things that every text of an event goes through."""

from __future__ import annotations

ELLIPSIS = "…"


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
