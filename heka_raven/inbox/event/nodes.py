"""Reads nested JSON, as a frame's local variables, into trees of a bounded size. Pure."""

from typing import Any

from heka_raven.inbox.event.bounded import CUT, entries, pretty, text
from heka_raven.inbox.event.model import Node

MAX_DEPTH = 6  # containers inside each other; what is deeper is one line
MAX_CHILDREN = 100  # of one container
MAX_NODES = 1_000  # of one event inside of containers: each costs 0.03 ms of a page
MAX_VALUE = 2_000  # characters of one value


class Room:
    """How many nodes an event may still have; what it has no room for is shown in one line."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_NODES) -> None:
        self.left = left


def nodes(value: Any, limit: int, room: Room) -> list[Node]:
    """The named values of a mapping (or list of pairs), at most *limit*; the last one then says how many are left."""
    found = entries(value)
    out: list[Node] = []
    for key, item in found:
        if len(out) == limit:
            out.append(Node(CUT, f"{len(found) - limit:,} more"))
            break
        name = text(key, 200)
        if name:
            out.append(_node(name, item, MAX_DEPTH, room))
    return out


def _node(name: str, value: Any, depth: int, room: Room) -> Node:
    if not isinstance(value, dict | list) or not value or depth == 0 or len(value) > room.left:
        return Node(name, pretty(value, MAX_VALUE))
    room.left -= min(len(value), MAX_CHILDREN)
    if isinstance(value, dict):
        inside = list(value.items())[:MAX_CHILDREN]
        kind = "{}"
    else:
        inside = [(str(at), item) for at, item in enumerate(value[:MAX_CHILDREN])]
        kind = "[]"
    children = [_node(text(key, 200), item, depth - 1, room) for key, item in inside]
    return Node(name, pretty(value, 100), kind, len(value), children)
