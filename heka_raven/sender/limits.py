"""The rate limits in force: who is paused until when, and the file that keeps them, ``state/limits.json``.

A server that asked for quiet is not asked again after a restart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import orjson

from heka_raven.sender.policy import ALL, ERROR, MAX_PAUSE_S
from heka_raven.spool.directory import MAX_STATE, read_file, replace_file
from heka_raven.spool.spool import Spool

MAX_SLEW_S = 1.0  # by which a clock may be moved between two looks without having been set


class Limits:
    """The rate limits in force: until when (Unix time) which DSN is paused, by category."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}
        self._offset: float | None = None  # of the clock to the monotonic one
        self.changed = False

    def follow_clock(self, now: float, tick: float) -> None:
        """Move with a clock that was set back: a minute of quiet must not become hours."""
        before, self._offset = self._offset, now - tick
        moved = 0.0 if before is None else self._offset - before
        if moved < -MAX_SLEW_S:
            for mine in self._until.values():
                for category in mine:
                    mine[category] += moved
            self.changed = True

    def pause(self, key: str, pauses: Mapping[str, float], now: float) -> None:
        for category, seconds in pauses.items():
            mine = self._until.setdefault(key, {})
            if now + seconds > mine.get(category, 0.0):
                mine[category] = now + seconds
                self.changed = True

    def seconds_left(self, key: str, now: float) -> float:
        """How long events for this DSN must still wait; 0 when they may go."""
        mine = self._until.get(key)
        if not mine:
            return 0.0
        until = max(mine.get(ALL, 0.0), mine.get(ERROR, 0.0))
        # One that was set back while nobody looked must not turn a minute of quiet into a year.
        return min(MAX_PAUSE_S, max(0.0, until - now))

    def to_state(self, now: float) -> dict[str, object]:
        """What ``state/limits.json`` holds; what is over is left out."""
        alive = {
            key: {category: until for category, until in mine.items() if until > now}
            for key, mine in self._until.items()
        }
        return {"version": 1, "at": now, "limits": {key: mine for key, mine in alive.items() if mine}}

    def load_state(self, state: object, now: float) -> None:
        """Take over what a sender before us wrote; anything unreadable in it is left out."""
        state = state if isinstance(state, dict) and state.get("version") == 1 else {}
        limits, at = state.get("limits"), state.get("at")
        # The clock was set back since it was written: nobody waits longer than the server asked for then.
        back = max(0.0, at - now) if isinstance(at, (int, float)) and at < float("inf") else 0.0
        for key, mine in (limits if isinstance(limits, dict) else {}).items():
            for category, until in (mine if isinstance(mine, dict) else {}).items():
                if isinstance(until, (int, float)) and now < until - back < float("inf") and category in (ALL, ERROR):
                    self.pause(str(key), {category: min(until - back - now, MAX_PAUSE_S)}, now)
        self.changed = False


def load_limits(spool_path: str, limits: Limits, now: float) -> None:
    """Take over ``state/limits.json``; one that cannot be read is none."""
    data = read_file(_limits_path(spool_path), MAX_STATE)
    try:
        limits.load_state(None if data is None else orjson.loads(data), now)
    except orjson.JSONDecodeError:
        pass


def save_limits(spool: Spool, limits: Limits, now: float) -> None:
    """Write ``state/limits.json``, by rename, if anything changed."""
    if not limits.changed:
        return
    path = _limits_path(spool.path)
    try:
        replace_file(path, orjson.dumps(limits.to_state(now)), f"{path}.new")
        limits.changed = False
    except OSError as error:
        spool.log_sparingly("limits", "spool %s: rate limits cannot be kept: %s", spool.path, error)


def _limits_path(spool_path: str) -> str:
    return os.path.join(spool_path, "state", "limits.json")
