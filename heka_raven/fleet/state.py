"""What a relay or a publisher tells `heka-raven status`, in state/fleet-<role>-<pid>-<start>.json.

Replaced by rename every few seconds and at the end. The file of a process that is gone stays until the next of its
role starts, so that what it refused can still be seen.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from heka_raven.spool.directory import MAX_STATE, read_file, replace_file
from heka_raven.spool.ledger import is_alive, start_time

WRITE_EVERY_S = 2.0
_FILE = re.compile(r"fleet-(relay|send)-([0-9]+)-([0-9]+)\.json", re.ASCII)


class FleetState:
    """The state file of this process."""

    def __init__(self, spool_path: str, role: str) -> None:
        self._directory = os.path.join(spool_path, "state")
        self._path = os.path.join(self._directory, f"fleet-{role}-{os.getpid()}-{start_time(os.getpid())}.json")
        self._role = role
        self._started = time.time()
        self._written_at = float("-inf")
        for name in _names(self._directory):
            if (found := _FILE.fullmatch(name)) and found[1] == role and not is_alive(int(found[2]), found[3]):
                try:
                    os.unlink(os.path.join(self._directory, name))
                except OSError:
                    pass  # another of our kind was first

    def write(self, facts: Mapping[str, Any], *, now: bool = False) -> None:
        """Write what there is to tell, at most every two seconds. Never raises: it is for people only."""
        tick = time.monotonic()
        if not now and tick - self._written_at < WRITE_EVERY_S:
            return
        self._written_at = tick
        told = {"role": self._role, "pid": os.getpid(), "started": self._started, "written": time.time(), **facts}
        try:
            replace_file(self._path, orjson.dumps(told), f"{self._path}.tmp")
        except OSError:
            pass  # the disk is full or the spool is gone; both are said elsewhere


def read_states(spool_path: str) -> list[dict[str, Any]]:
    """What every relay and publisher of a spool told last, with ``running``."""
    directory = os.path.join(spool_path, "state")
    states = []
    for name in _names(directory):
        found = _FILE.fullmatch(name)
        data = read_file(os.path.join(directory, name), MAX_STATE) if found else None
        try:
            state = None if data is None else orjson.loads(data)
        except orjson.JSONDecodeError:
            state = None
        if found and isinstance(state, dict):
            states.append({**state, "running": is_alive(int(found[2]), found[3])})
    return states


def rows(states: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The same for people: a name and a value a line."""
    told = []
    for state in states:
        role = str(state.get("role"))
        told.append((role, f"pid {state.get('pid')}" if state["running"] else f"pid {state.get('pid')}, stopped"))
        if listen := _texts(state.get("listen")):
            told.append((f"{role} listens", f"{', '.join(listen)}, {state.get('connections', 0)} connections"))
        broker = state.get("broker")
        if isinstance(broker, dict):
            words = f"{broker.get('url')}: {broker.get('state')}"
            if broker.get("error"):
                words += f" ({broker['error']})"
            told.append((f"{role} broker", words))
            told += [(f"{role} queue {name}", f"{depth} waiting") for name, depth in _items(broker.get("queues"))]
        told += [(f"{role} {name}", str(n)) for name, n in _items(state.get("counts"))]
    return told


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _items(value: object) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
