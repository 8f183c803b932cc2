"""What is told to somebody and when not: the values of --notify-on, --notify-level, --quiet-hours; an alert. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from heka_raven.inbox.store.search import LEVELS

NEW, AGAIN, OFTEN = "new", "again", "often"  # the reasons
DEFAULT_ON = "new,again"
DEFAULT_LEVEL = "warning"
MAX_OFTEN = 1_000  # events: that many are looked at for each event of a busy issue
MAX_OFTEN_MINUTES = 1_440
_OFTEN = re.compile(r"(\d{1,4})/(\d{1,4})m", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class RulesError(ValueError):
    """The text says no such rule."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A part of each day, in minutes from midnight; it may go over midnight."""

    start: int
    end: int

    def covers(self, minute: int) -> bool:
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        return f"{self.start // 60:02d}:{self.start % 60:02d}-{self.end // 60:02d}:{self.end % 60:02d}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes an alert, and for whom."""

    targets: tuple[str, ...] = ()
    reasons: Collection[str] = (NEW, AGAIN)
    often: tuple[int, int] | None = None  # so many events in so many seconds
    level: str = DEFAULT_LEVEL
    quiet: Quiet | None = None

    def wants(self, level: str) -> bool:
        """Whether events of this level are told at all."""
        return level not in LEVELS or LEVELS.index(level) <= LEVELS.index(self.level)


@dataclass(slots=True)
class Due:
    """One alert, with what is told of its issue and of the event that caused it."""

    id: int
    tries: int
    reason: str
    issue: int
    title: str
    culprit: str
    level: str
    project: str
    count: int
    first_seen: float
    last_seen: float
    again_release: str
    event_id: str
    release: str
    environment: str
    server_name: str


def parse_rules(text: str, targets: tuple[str, ...], level: str) -> Rules:
    """Read ``new,again,10/5m``: new issues, those that come back, and ten events of one in five minutes.

    Raises:
        RulesError: names the part that is none of these.
    """
    reasons: list[str] = []
    often = None
    for part in filter(None, (piece.strip().lower() for piece in text.split(","))):
        found = _OFTEN.fullmatch(part)
        if part in (NEW, AGAIN):
            reasons.append(part)
        elif found and 2 <= int(found[1]) <= MAX_OFTEN and 1 <= int(found[2]) <= MAX_OFTEN_MINUTES and often is None:
            often = (int(found[1]), int(found[2]) * 60)
        else:
            raise RulesError(
                f"{part[:40]!r}: want new, again, or once N/Mm: N events of one issue, 2 to {MAX_OFTEN},"
                f" in M minutes, 1 to {MAX_OFTEN_MINUTES}, as 10/5m"
            )
    if not reasons and often is None:
        raise RulesError("it is empty: nothing would ever be told")
    return Rules(targets, tuple(reasons), often, level)


def parse_quiet(text: str) -> Quiet:
    """Read ``22:00-07:00``.

    Raises:
        RulesError: if it is no part of a day.
    """
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise RulesError(f"{text[:40]!r}: want HH:MM-HH:MM, as 22:00-07:00")
    hours = [int(part) for part in found.groups()]
    quiet = Quiet(hours[0] * 60 + hours[1], hours[2] * 60 + hours[3])
    if quiet.start == quiet.end:
        raise RulesError(f"{text[:40]!r}: it begins when it ends")
    return quiet
