"""What a reply means for one event and for the DSN it went to.

Pure: no clock, no socket, no dice; `now` and `dice` are passed in. The tables are tests/data/replies.tsv and
ratelimits.tsv, which the C sender is tested against too.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from heka_raven.formats.text import printable

MAX_PAUSE_S = 86400.0  # however long a server asks for
DEFAULT_PAUSE_S = 60.0  # a 429 that names no time
MIN_PAUSE_S = 1.0  # a 429 that says "now": one try a second is enough
MIN_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
MAX_WORDS = 300  # characters of what is told of a reply
MAX_HOPS = 3  # redirects followed for one try
ALL = ""  # the category of a pause that stands for every category
ERROR = "error"  # the category of every event that is sent here
RETRY_STATUSES = frozenset((502, 503, 504))  # from a proxy in front of a server that is down

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT",
    re.ASCII,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``status`` is None when no reply came; ``error`` then says why, in words.

    For UDP: status 0 means that the datagram left, ``too_large`` that no datagram can carry it.
    """

    status: int | None
    headers: Mapping[str, str]  # names in lower case
    error: str = ""
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with the event: ``delivered hold retry follow discard``."""

    action: str
    counter: str | None = None
    dead: bool = False
    target: str | None = None


def decide(
    reply: Reply, url: str, *, hops: int = 0, age_s: float = 0.0, max_age_s: float = 86400.0, rate_limit: str = "hold"
) -> Verdict:
    """Judge one try (tests/data/replies.tsv).

    Args:
        url: where the request went.
        hops: redirects followed for this try already.
        age_s: how old the event is.
        rate_limit: ``hold`` or ``discard``: what a 429 does to the event.
    """
    status = reply.status
    if reply.too_large:
        return Verdict("discard", "discarded.send_error", dead=True)
    if status is None or status in RETRY_STATUSES:
        return Verdict("discard", "discarded.network_error") if age_s > max_age_s else Verdict("retry")
    if status == 0 or 200 <= status < 300:
        return Verdict("delivered", "delivered")
    if status == 429:
        if rate_limit == "discard" or age_s > max_age_s:
            return Verdict("discard", "discarded.ratelimit_backoff")
        return Verdict("hold")
    if status in (307, 308) and hops < MAX_HOPS:
        target = redirect_target(url, reply.headers.get("location"))
        if target is not None:
            return Verdict("follow", target=target)
    return Verdict("discard", "discarded.send_error", dead=True)


def redirect_target(url: str, location: str | None) -> str | None:
    """Where a 307 or 308 may lead: the same host, and never from TLS to plain; None when it must not be followed."""
    if not location:
        return None
    try:
        target = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(target)
        _ = new.port  # raises when it is no number
    except ValueError:
        return None
    if new.scheme not in (old.scheme, "https") or new.scheme not in ("http", "https"):
        return None
    if new.hostname != old.hostname or "@" in new.netloc:
        return None
    return target


def parse_pauses(status: int, rate_limits: str | None, retry_after: str | None, now: float) -> dict[str, float]:
    """Seconds of quiet a reply asks for, by category: ``""`` for all, ``"error"`` (tests/data/ratelimits.tsv)."""
    pauses: dict[str, float] = {}
    for quota in (rate_limits or "").split(","):
        parts = [part.strip() for part in quota.split(":")]
        seconds = _number(parts[0])
        if seconds is None:
            continue
        categories = [part.strip() for part in parts[1].split(";")] if len(parts) > 1 and parts[1] else [ALL]
        if categories != [ALL]:
            categories = [ERROR] if ERROR in categories else []
        for category in categories:
            pauses[category] = max(pauses.get(category, 0.0), min(seconds, MAX_PAUSE_S))
    if status == 429:
        after = None if retry_after is None else _retry_after(retry_after.strip(), now)
        if after is not None:
            pauses[ALL] = max(pauses.get(ALL, 0.0), min(after, MAX_PAUSE_S))
        if not pauses:
            pauses[ALL] = DEFAULT_PAUSE_S
        elif max(pauses.values()) < MIN_PAUSE_S:
            pauses[ALL] = MIN_PAUSE_S
    return pauses


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _retry_after(text: str, now: float) -> float | None:
    seconds = _number(text)
    if seconds is not None:
        return seconds
    found = _DATE.fullmatch(text)
    if found is None or found.group(2) not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found.group(i)) for i in (1, 3, 4, 5, 6))
    month = _MONTHS.index(found.group(2)) + 1
    if (
        not (1 <= day <= calendar.monthrange(year, month)[1] and hour < 24 and minute < 60 and second <= 60)
        or year < 1970
    ):
        return None
    return max(0.0, calendar.timegm((year, month, day, hour, minute, second)) - now)


def backoff_s(failures: int, dice: float) -> float:
    """Seconds until the next probe after *failures* rounds (1 or more) that failed; *dice* is 0 to 1."""
    step = min(MAX_BACKOFF_S, MIN_BACKOFF_S * 2.0 ** min(failures - 1, 16))
    return float(min(MAX_BACKOFF_S, max(MIN_BACKOFF_S, step * (0.75 + 0.5 * dice))))


def words(reply: Reply) -> str:
    """What came back, for people: ``status 403 invalid api key``, or why nothing did; one line."""
    if reply.status is None:
        return printable(reply.error)[:MAX_WORDS]
    detail = reply.headers.get("x-sentry-error") or reply.error
    return printable(f"status {reply.status} {detail.strip()}".rstrip())[:MAX_WORDS]
