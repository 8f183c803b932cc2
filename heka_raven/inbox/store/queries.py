"""What the pages and the API read from the database. Nothing here writes."""

import sqlite3
import zlib
from collections import Counter
from dataclasses import dataclass, fields
from typing import Any, Protocol

from heka_raven.inbox.store.search import ANY, Search, Where, literally, where_of
from heka_raven.inbox.store.store import SPARK_MINUTES

PAGE = 50  # issues on one page
MAX_BODY = 16 * 1024 * 1024  # bytes of one event unpacked: more than intake takes
MAX_RELATED = 100
MAX_HOPS = 3  # between events that are of one request
ORDERS = {
    "newest": "issue.last_seen DESC",
    "count": "issue.count DESC",
    "first": "issue.first_seen DESC",
    "users": "(SELECT count(*) FROM issue_user WHERE issue_user.issue = issue.id) DESC",
}
BARS = 48  # of an issue's histogram
MAX_SHARED = 1_000  # newest events that are counted for the shares of an issue
MAX_SHARES = 20  # names
MAX_VALUES = 5  # of each
SHARED = {
    "release": "release",
    "environment": "environment",
    "server_name": "host",
    "user": "user",
    "url": "url",
}
MAX_MERGED = 50  # newest events of an issue that are compared, and bytes of them
MAX_MERGED_BYTES = 4_000_000
MAX_MARKS = 5_000  # events on one host view

Row = sqlite3.Row


class Store(Protocol):
    """What is read from: the inbox's own store, or another process's file."""

    @property
    def reader(self) -> sqlite3.Connection: ...


COLUMNS = (
    "id, event_id, issue, received, happened, project, level, type, title, message, culprit, logger,"
    ' "transaction", method, url, release, environment, server_name, server_event, worker, platform, user, place'
)


@dataclass(slots=True)
class IssueRow:
    """One line of the list."""

    id: int
    project: str
    title: str
    culprit: str
    level: str
    server_event: str
    first_seen: float
    last_seen: float
    count: int
    last_event: int
    state: str
    state_at: float
    mute_until: float
    mute_count: int
    again_at: float
    again_release: str
    place: str
    matching: int | None
    spark: list[int]
    users: int


ISSUE_COLUMNS = tuple(f.name for f in fields(IssueRow) if f.name not in ("matching", "spark", "users"))


def totals(store: Store) -> tuple[int, int, int]:
    """Events kept, their bytes, and a number that changes with every event added or deleted."""
    row = store.reader.execute("SELECT events, bytes, changes FROM total").fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def list_issues(store: Store, search: Search, now: float) -> tuple[list[IssueRow], bool]:
    """One page of issues in the order that the search asks for, and whether there are more."""
    db = store.reader
    parts: list[str] = ["1"]
    values: list[Any] = []
    for column, value in (("state", search.state), ("project", search.project)):
        if value and value != ANY:
            parts.append(f"issue.{column} = ?")
            values.append(value)
    order = f"{ORDERS[search.sort]}, issue.id DESC LIMIT ? OFFSET ?"
    values += (PAGE + 1, PAGE * search.page)
    # The texts come from constants here and in search.py; every value is a parameter.
    if search.looks_inside:
        found = _matching(db, where_of(search), parts, values, order)
        if not found and search.query:  # a title was pasted, with words in it that look like something else
            found = _matching(db, literally(search), parts, values, order)
    else:
        found = db.execute(
            f"SELECT issue.*, NULL AS matching FROM issue WHERE {' AND '.join(parts)} ORDER BY {order}",  # noqa: S608
            values,
        ).fetchall()
    page = found[:PAGE]
    ids = [row["id"] for row in page]
    sparks, users = _sparks(db, ids, now), _users(db, ids)
    rows = [_issue_row(row, row["matching"], sparks.get(row["id"]), users.get(row["id"], 0)) for row in page]
    return rows, len(found) > PAGE


def _matching(db: sqlite3.Connection, where: Where, parts: list[str], values: list[Any], order: str) -> list[Row]:
    """Issues that have events like that, with the number of these."""
    return db.execute(
        f"SELECT issue.*, found.matching FROM (SELECT x.issue, count(*) AS matching FROM {where.table} AS x"  # noqa: S608
        f" WHERE {where.sql} GROUP BY x.issue) AS found JOIN issue ON issue.id = found.issue"
        f" WHERE {' AND '.join(parts)} ORDER BY {order}",
        (*where.values, *values),
    ).fetchall()


def _issue_row(row: Row, matching: int | None, spark: list[int] | None, users: int) -> IssueRow:
    known = {name: row[name] for name in ISSUE_COLUMNS}
    return IssueRow(**known, matching=matching, spark=spark or [0] * SPARK_MINUTES, users=users)


def _users(db: sqlite3.Connection, issues: list[int]) -> dict[int, int]:
    marks = ",".join("?" * len(issues))
    sql = f"SELECT issue, count(*) FROM issue_user WHERE issue IN ({marks}) GROUP BY issue"  # noqa: S608
    return dict(db.execute(sql, issues).fetchall())


def _sparks(db: sqlite3.Connection, issues: list[int], now: float) -> dict[int, list[int]]:
    """Events of the last hour, minute by minute."""
    last = int(now / 60)
    marks = ",".join("?" * len(issues))
    found: dict[int, list[int]] = {}
    for issue, minute, count in db.execute(
        f"SELECT issue, minute, count FROM minute WHERE issue IN ({marks}) AND minute > ? AND minute <= ?",  # noqa: S608
        (*issues, last - SPARK_MINUTES, last),
    ):
        found.setdefault(issue, [0] * SPARK_MINUTES)[SPARK_MINUTES - 1 - (last - minute)] = count
    return found


def get_issue(store: Store, issue: int, now: float) -> IssueRow | None:
    db = store.reader
    row = db.execute("SELECT * FROM issue WHERE id = ?", (issue,)).fetchone()
    if row is None:
        return None
    return _issue_row(row, None, _sparks(db, [issue], now).get(issue), _users(db, [issue]).get(issue, 0))


def projects(store: Store) -> list[str]:
    """The names of projects, of which there are few."""
    return [row[0] for row in store.reader.execute("SELECT DISTINCT project FROM issue ORDER BY 1 LIMIT 200")]


def count_states(store: Store) -> dict[str, int]:
    return dict(store.reader.execute("SELECT state, count(*) FROM issue GROUP BY state").fetchall())


def list_refused(store: Store) -> list[Row]:
    """What was not taken, newest first."""
    return store.reader.execute("SELECT * FROM refused ORDER BY at DESC").fetchall()


def choices(store: Store, column: str) -> list[str]:
    """The distinct values of an indexed column, each found by one jump in its index."""
    if column not in ("release", "environment"):
        raise ValueError(column)
    rows = store.reader.execute(
        f"WITH RECURSIVE seen(value) AS (SELECT min({column}) FROM event UNION ALL"  # noqa: S608
        f" SELECT (SELECT min({column}) FROM event WHERE {column} > value) FROM seen WHERE value IS NOT NULL)"
        " SELECT value FROM seen WHERE value != '' LIMIT 200"
    )
    return [row[0] for row in rows]


def list_events(store: Store, *, since: int = 0, limit: int = 100) -> list[Row]:
    """Events that arrived after row *since*, the last to arrive first."""
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE id > ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (since, limit),
    ).fetchall()


def issue_events(store: Store, issue: int, page: int, limit: int = 100) -> list[Row]:
    """Events of one issue, those that happened last first."""
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE issue = ? ORDER BY happened DESC, id DESC LIMIT ? OFFSET ?",  # noqa: S608
        (issue, limit, limit * page),
    ).fetchall()


def histogram(store: Store, issue: IssueRow) -> list[int]:
    """Events of an issue from its first to its last, in bars of equal time."""
    width = max(1.0, (issue.last_seen - issue.first_seen) / BARS)
    bars = [0] * BARS
    for bar, count in store.reader.execute(
        "SELECT CAST((happened - ?) / ? AS INTEGER) AS bar, count(*) FROM event WHERE issue = ? GROUP BY bar",
        (issue.first_seen, width, issue.id),
    ):
        bars[min(max(bar, 0), BARS - 1)] += count
    return bars


def shares(store: Store, issue: int) -> list[tuple[str, list[tuple[str, int]], int]]:
    """How the newest events of an issue are spread: a name, its commonest values with their counts, and the sum.

    Columns first, then tags. Where every event says the same there is one value; where none says anything, no row.
    """
    newest = "FROM event WHERE issue = ? ORDER BY happened DESC, id DESC LIMIT ?"
    events = store.reader.execute(f"SELECT {', '.join(SHARED)} {newest}", (issue, MAX_SHARED)).fetchall()
    found: dict[str, list[tuple[str, int]]] = {}
    for at, name in enumerate(SHARED.values()):
        counts = Counter(event[at] for event in events if event[at])
        found[name] = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for key, value, count in store.reader.execute(
        f"SELECT key, value, count(*) AS n FROM tag INDEXED BY tag_event WHERE id IN (SELECT id {newest})"  # noqa: S608
        " GROUP BY 1, 2 ORDER BY 1, n DESC, 2",
        (issue, MAX_SHARED),
    ):
        found.setdefault(key, []).append((value, count))
    rows = [(name, [(v, n) for v, n in values], sum(n for _, n in values)) for name, values in found.items() if values]
    return [(name, values[:MAX_VALUES], total) for name, values, total in rows[:MAX_SHARES]]


def get_event(store: Store, event_id: str) -> Row | None:
    row: Row | None = store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE event_id = ?",  # noqa: S608
        (event_id,),
    ).fetchone()
    return row


def newest_of(store: Store, issue: int) -> str | None:
    sql = "SELECT event_id FROM event WHERE issue = ? ORDER BY happened DESC, id DESC LIMIT 1"
    row = store.reader.execute(sql, (issue,)).fetchone()
    return row[0] if row else None


def get_body(store: Store, row_id: int) -> bytes | None:
    """The event's JSON as it was stored."""
    row = store.reader.execute("SELECT json FROM body WHERE event = ?", (row_id,)).fetchone()
    return zlib.decompressobj().decompress(row[0], MAX_BODY) if row else None


def newest_bodies(store: Store, issue: int) -> list[bytes]:
    """The JSON of an issue's newest events, as many as can be read in a moment."""
    found: list[bytes] = []
    size = 0
    for (packed,) in store.reader.execute(
        "SELECT body.json FROM event JOIN body ON body.event = event.id WHERE issue = ?"
        " ORDER BY happened DESC, id DESC LIMIT ?",
        (issue, MAX_MERGED),
    ):
        found.append(zlib.decompressobj().decompress(packed, MAX_BODY))
        size += len(found[-1])
        if size > MAX_MERGED_BYTES:
            break
    return found


def get_tags(store: Store, row_ids: list[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {row_id: {} for row_id in row_ids}
    for start in range(0, len(row_ids), 500):
        chunk = row_ids[start : start + 500]
        marks = ",".join("?" * len(chunk))
        for event, key, value in store.reader.execute(
            f"SELECT id, key, value FROM tag INDEXED BY tag_event WHERE id IN ({marks})",  # noqa: S608
            chunk,
        ):
            found[event][key] = value
    return found


def neighbours(store: Store, row: Row) -> dict[str, Any]:
    """The events before and after this one in its issue, its first and last, and its number, 1 for the first."""
    db = store.reader
    here = (row["issue"], row["happened"], row["id"])

    def find(where: str, order: str, *values: Any) -> str | None:
        sql = f"SELECT event_id FROM event WHERE issue = ?{where} ORDER BY happened {order}, id {order} LIMIT 1"  # noqa: S608
        found = db.execute(sql, values).fetchone()
        return found[0] if found and found[0] != row["event_id"] else None

    at = db.execute("SELECT count(*) FROM event WHERE issue = ? AND (happened, id) <= (?, ?)", here).fetchone()
    return {
        "older": find(" AND (happened, id) < (?, ?)", "DESC", *here),
        "newer": find(" AND (happened, id) > (?, ?)", "ASC", *here),
        "first": find("", "ASC", row["issue"]),
        "last": find("", "DESC", row["issue"]),
        "at": int(at[0]),
    }


def related(store: Store, row: Row) -> list[Row]:
    """Events of the same request or trace, this one among them, in the order in which they happened.

    A slow request and the harakiri that ended it share when it began, the harakiri and the app's own error the event's
    name: so the names of those that share a name are followed, too.
    """
    found = {int(row["id"])}
    edge = list(found)
    for _ in range(MAX_HOPS):
        marks = ",".join("?" * len(edge))
        near = store.reader.execute(
            "SELECT DISTINCT other.event FROM link AS mine JOIN link AS other ON other.name = mine.name"  # noqa: S608
            f" WHERE mine.event IN ({marks}) LIMIT ?",
            (*edge, MAX_RELATED),
        )
        edge = [event for (event,) in near if event not in found][: MAX_RELATED - len(found)]
        found.update(edge)
        if not edge:
            break
    marks = ",".join("?" * len(found))
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE id IN ({marks}) ORDER BY happened, id",  # noqa: S608
        list(found),
    ).fetchall()


def host_events(store: Store, start: float, end: float) -> list[Row]:
    """What happened in a span of time, for the host view."""
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE happened BETWEEN ? AND ? ORDER BY happened DESC LIMIT ?",  # noqa: S608
        (start, end, MAX_MARKS),
    ).fetchall()
