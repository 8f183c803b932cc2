"""How each server has been answering, for `heka-raven status`: ``state/servers.json``, written every few seconds.

The C sender writes it, too (sender/servers.h): tests/data/servers.json is one.
"""

from __future__ import annotations

import os
from typing import Any

import orjson

from heka_raven.spool.directory import MAX_STATE, read_file, replace_file

WRITE_EVERY_S = 2.0
MAX_SERVERS = 1000  # a relay's clients may name as many as they like
MAX_ERROR = 300  # characters


class Servers:
    """The last success and the last error by DSN. Called under the loop's lock."""

    def __init__(self, spool_path: str) -> None:
        self._path = _path(spool_path)
        self._found = read_servers(spool_path)
        for mine in self._found.values():
            mine.pop("next_try", None)  # a restart probes at once
        self._changed = False
        self._due_at = float("-inf")

    def answered(self, key: str, now: float, error: str) -> None:
        """A try for this DSN is over; *error* is empty when the event was taken."""
        if key not in self._found and len(self._found) >= MAX_SERVERS:
            return
        mine = self._found.setdefault(key, {})
        if error:
            mine.update(error=error[:MAX_ERROR], error_at=now)
        else:
            mine["success_at"] = now
        self._changed = True

    def next_tries(self, moments: dict[str, float]) -> None:
        """Until when nothing goes to which DSN."""
        for key, mine in self._found.items():
            if mine.get("next_try") != moments.get(key):
                self._changed = True
                mine.pop("next_try", None)
                if key in moments:
                    mine["next_try"] = moments[key]

    def due(self, tick: float) -> bool:
        if tick < self._due_at:
            return False
        self._due_at = tick + WRITE_EVERY_S
        return self._changed

    def write(self) -> None:
        """Never raises: it is for people only."""
        if not self._changed:
            return
        self._changed = False
        try:
            replace_file(self._path, orjson.dumps(self._found), f"{self._path}.new")
        except OSError:
            pass  # the disk is full or the spool is gone; both are said elsewhere


def read_servers(spool_path: str) -> dict[str, dict[str, Any]]:
    """What the sender told last; nothing where it told nothing or something strange."""
    data = read_file(_path(spool_path), MAX_STATE)
    try:
        found = {} if data is None else orjson.loads(data)
    except orjson.JSONDecodeError:
        found = {}
    return {key: value for key, value in (found.items() if isinstance(found, dict) else ()) if isinstance(value, dict)}


def _path(spool_path: str) -> str:
    return os.path.join(spool_path, "state", "servers.json")
