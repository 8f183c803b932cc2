"""The time line of hosts and workers: what died, hung, filled up and failed, and when. Pure.

layout() turns rows of events into lanes with marks at pixels; the template draws them. Events of the application that
fall on the same pixels become one bar, so that 100,000 of them cost no more than 1,000.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SPANS_S = {"15m": 900, "1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
WIDTH = 1_000  # user units of the SVG's time axis
NAMES_WIDTH = 170  # and of the names beside it; inbox.css has the share of the two
LANE_HEIGHT = 40  # marks above, bars below: none hides another
BIN = 5  # units of one bar of errors
MARK = 20.0  # units that a mark takes
MAX_LANE_MARKS = 40  # marks of one lane; more have no room beside each other
BAR_HEIGHT = 14.0
MAX_LANES = 60
# Reports of a full queue at most so far apart are one span: uWSGI repeats the alarm on every cycle of its master.
QUEUE_GAP_S = 60.0

# What the plugin calls it -> the shape drawn
SHAPES = {
    "segfault": "death",
    "abort": "death",
    "killed": "death",
    "oom": "death",
    "exit": "death",
    "harakiri": "harakiri",
    "listen-queue": "queue",
    "respawn-storm": "death",
    "memory": "notice",
    "slow": "notice",
}


@dataclass(slots=True)
class Mark:
    """One thing on a lane; ``width`` is 0 for a moment."""

    shape: str
    level: str
    x: float
    width: float
    title: str
    event_id: str
    height: float = 0.0


@dataclass(slots=True)
class Lane:
    """One worker of one host, or what no worker is known of."""

    host: str
    name: str
    marks: list[Mark] = field(default_factory=list)
    bars: list[Mark] = field(default_factory=list)
    hidden: int = 0  # marks that there was no room for
    events: int = 0


def _worker_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), "") if name.isascii() and name.isdigit() and len(name) < 9 else (1, 0, name)


def lanes_of(rows: Iterable[Any], start: float, end: float) -> tuple[list[Lane], int]:
    """Sort events into lanes: hosts by name, each with its server first, then its workers.

    Returns:
        The lanes, and how many more there are than are shown.
    """
    grouped: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        # A full queue belongs to the server, not to the worker that happened to notice.
        worker = "" if SHAPES.get(row["server_event"]) == "queue" else row["worker"]
        grouped.setdefault((row["server_name"], worker), []).append(row)
    keys = sorted(grouped, key=lambda key: (key[0], key[1] != "", _worker_order(key[1])))
    lanes = []
    for host, worker in keys[:MAX_LANES]:
        lane = Lane(host=host or "unknown host", name=f"worker {worker}" if worker else "server")
        _fill(lane, sorted(grouped[host, worker], key=lambda row: float(row["happened"])), start, end)
        lanes.append(lane)
    return lanes, max(0, len(keys) - MAX_LANES)


def _spread(lane: Lane) -> None:
    """Put marks that are of one moment beside each other, inside of the picture: each can be seen and clicked."""
    lane.hidden = max(0, len(lane.marks) - MAX_LANE_MARKS)
    lane.marks = lane.marks[lane.hidden :]
    room = WIDTH - MARK * len(lane.marks)
    shrunk = min(1.0, room / (sum(mark.width for mark in lane.marks) or room))
    edge = 0.0
    for mark in lane.marks:
        mark.width *= shrunk
        mark.x = max(mark.x, edge, 0.0 if mark.width else MARK / 2)
        edge = mark.x + mark.width + MARK
    edge = WIDTH + MARK / 2
    for mark in reversed(lane.marks):
        mark.x = min(mark.x, edge - mark.width)
        edge = mark.x - MARK


def _said(row: Any) -> str:
    kind, title = row["server_event"], row["title"]
    return title if title.startswith(kind) else f"{kind}: {title}"


def _fill(lane: Lane, rows: list[Any], start: float, end: float) -> None:
    scale = WIDTH / (end - start)
    bins: dict[int, list[Any]] = {}
    queue: Mark | None = None
    queue_last = 0.0
    for row in rows:
        happened = float(row["happened"])
        x = (happened - start) * scale
        lane.events += 1
        shape = SHAPES.get(row["server_event"], "notice") if row["server_event"] else ""
        if not shape:
            bins.setdefault(int(x // BIN), []).append(row)
        elif shape == "queue" and queue is not None and happened - queue_last <= QUEUE_GAP_S:
            queue.width = max(queue.width, x - queue.x)
            queue_last = happened
        else:
            mark = Mark(shape, row["level"], x, 0.0, _said(row), row["event_id"])
            lane.marks.append(mark)
            if shape == "queue":
                queue, queue_last = mark, happened
                mark.width = 4.0
    _spread(lane)
    most = max((len(found) for found in bins.values()), default=1)
    for position, found in sorted(bins.items()):
        newest = found[-1]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        lane.bars.append(
            Mark(
                "errors",
                newest["level"],
                position * float(BIN),
                BIN - 1.0,
                f"{newest['title']}{more}",
                newest["event_id"],
                height=5.0 + (BAR_HEIGHT - 5.0) * len(found) / most,
            )
        )


def ticks(start: float, end: float) -> list[tuple[float, float]]:
    """``(x, Unix time)`` of at most 8 round moments on the axis."""
    span = end - start
    steps = (60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
    step = next((step for step in steps if span / step <= 8), 86_400)
    first = int(start // step + 1) * step
    return [((moment - start) / span * WIDTH, float(moment)) for moment in range(first, int(end) + 1, step)]
