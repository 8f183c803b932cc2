"""How much the inbox keeps: the value of --keep. Pure."""

import re
from dataclasses import dataclass

DAY_S = 86_400
AGES_S = {"m": 60, "h": 3_600, "d": DAY_S, "w": 7 * DAY_S}
SIZES = {"kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
DEFAULT = "30d,100000,1gb"
_PART = re.compile(r"(\d{1,12})\s*([a-z]*)")
AVERAGE_GUESS = 64  # events deleted at once when only bytes are over: their sizes are not known one by one


class KeepError(ValueError):
    """The text is no list of limits."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The limits; None means none."""

    age_s: int | None = None
    events: int | None = None
    size: int | None = None

    def excess(self, events: int, size: int) -> int:
        """How many of the oldest events to delete next."""
        if self.events is not None and events > self.events:
            return events - self.events
        if self.size is not None and size > self.size and events:
            return max(1, min(AVERAGE_GUESS, events * (size - self.size) // size))
        return 0


def parse_keep(text: str) -> Keep:
    """Read ``30d,100000,1gb``: at most one age (m h d w), one number of events, one size (kb mb gb).

    Raises:
        KeepError: names the part that is none of these, or one too many.
    """
    age_s = events = size = None
    for part in filter(None, (piece.strip().lower() for piece in text.split(","))):
        found = _PART.fullmatch(part)
        amount, unit = (int(found[1]), found[2]) if found else (0, "")
        if amount < 1 or (unit and unit not in AGES_S and unit not in SIZES):
            raise KeepError(f"{part!r} is no age (30d), number of events (100000) or size (1gb)")
        if (age_s, size, events)[0 if unit in AGES_S else 1 if unit else 2] is not None:
            raise KeepError(f"{part!r} is the second of its kind; at most one age, one number and one size")
        if unit in AGES_S:
            age_s = amount * AGES_S[unit]
        elif unit in SIZES:
            size = amount * SIZES[unit]
        else:
            events = amount
    return Keep(age_s, events, size)
