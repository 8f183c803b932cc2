"""Numbers as people say them."""

from __future__ import annotations

_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_TIMES = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def size(count: float) -> str:
    """``829 KiB``, ``1.5 MiB``, ``12 bytes``."""
    for unit, step in _SIZES:
        if count >= step:
            found = count / step
            return f"{found:.1f} {unit}" if found < 10 else f"{found:.0f} {unit}"
    return plural(int(count), "byte")


def span(seconds: float) -> str:
    """``2 h 3 min``, ``45 s``, ``3 d 4 h``: the two largest units that are not zero."""
    left = int(max(0.0, seconds))
    words: list[str] = []
    for unit, step in _TIMES:
        if left >= step or (unit == "s" and not words):
            words.append(f"{left // step} {unit}")
            left %= step
        if len(words) == 2 or (words and left == 0):
            break
    return " ".join(words)


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
