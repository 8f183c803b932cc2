"""What the pages and the API read from the database. Nothing here writes."""

import sqlite3
import zlib
from dataclasses import dataclass
from typing import Any

from heka_raven.inbox.store.search import Search, where_of
from heka_raven.inbox.store.store import SPARK_MINUTES, Store

PAGE = 50  # issues on one page
MAX_BODY = 16 * 1024 * 1024  # bytes of one event unpacked: more than intake takes
MAX_RELATED = 100
MAX_MARKS = 5_000  # events on one host view

Row = sqlite3.Row
COLUMNS = (
    "id, event_id, issue, received, happened, project, level, type, title, message, culprit, logger,"
    ' "transaction", method, url, release, environment, server_name, server_event, worker, platform'
)


@dataclass(slots=True)
class IssueRow:
    """One line of the list."""

    id: int
    title: str
    culprit: str
    level: str
    server_event: str
    first_seen: float
    last_seen: float
    count: int
    last_event: int
    matching: int | None
    spark: list[int]


def totals(store: Store) -> tuple[int, int, int]:
    """Events kept, their bytes, and a number that changes with every event added or deleted."""
    row = store.reader.execute("SELECT events, bytes, changes FROM total").fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def list_issues(store: Store, search: Search, now: float) -> tuple[list[IssueRow], int]:
    """One page of issues, newest first, and the ``before`` of the next page (0: there is none)."""
    db = store.reader
    before = search.before or 2**62
    if search.narrowed:
        where = where_of(search)
        # The texts come from search.py's constants; every value is a parameter.
        grouped = db.execute(
            f"SELECT x.issue, count(*), max(x.id) AS newest FROM {where.table} AS x WHERE {where.sql}"  # noqa: S608
            " GROUP BY x.issue HAVING newest < ? ORDER BY newest DESC LIMIT ?",
            (*where.values, before, PAGE + 1),
        ).fetchall()
    else:
        grouped = db.execute(
            "SELECT id, NULL, last_event FROM issue WHERE last_event < ? ORDER BY last_event DESC LIMIT ?",
            (before, PAGE + 1),
        ).fetchall()
    page = grouped[:PAGE]
    sparks = _sparks(db, [row[0] for row in page], now)
    rows = []
    for issue, matching, _ in page:
        row = db.execute("SELECT * FROM issue WHERE id = ?", (issue,)).fetchone()
        if row is not None:
            rows.append(_issue_row(row, matching, sparks.get(issue)))
    more = int(page[-1][2]) if len(grouped) > PAGE else 0
    return rows, more


def _issue_row(row: Row, matching: int | None, spark: list[int] | None) -> IssueRow:
    return IssueRow(
        id=row["id"],
        title=row["title"],
        culprit=row["culprit"],
        level=row["level"],
        server_event=row["server_event"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        count=row["count"],
        last_event=row["last_event"],
        matching=matching,
        spark=spark or [0] * SPARK_MINUTES,
    )


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
    return _issue_row(row, None, _sparks(db, [issue], now).get(issue)) if row else None


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


def list_events(store: Store, *, since: int = 0, issue: int = 0, before: int = 0, limit: int = 100) -> list[Row]:
    """Events, newest first: those after row *since*, of one issue if given."""
    where, values = ["id > ?", "id < ?"], [since, before or 2**62]
    if issue:
        where.append("issue = ?")
        values.append(issue)
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()


def get_event(store: Store, event_id: str) -> Row | None:
    row: Row | None = store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE event_id = ?",  # noqa: S608
        (event_id,),
    ).fetchone()
    return row


def newest_of(store: Store, issue: int) -> str | None:
    sql = "SELECT event_id FROM event WHERE issue = ? ORDER BY id DESC LIMIT 1"
    row = store.reader.execute(sql, (issue,)).fetchone()
    return row[0] if row else None


def get_body(store: Store, row_id: int) -> bytes | None:
    """The event's JSON as it was stored."""
    row = store.reader.execute("SELECT json FROM body WHERE event = ?", (row_id,)).fetchone()
    return zlib.decompressobj().decompress(row[0], MAX_BODY) if row else None


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
    """The event before and after this one in its issue, and its place in it."""
    db = store.reader
    ids = (row["issue"], row["id"])
    older = db.execute("SELECT event_id FROM event WHERE issue = ? AND id < ? ORDER BY id DESC LIMIT 1", ids).fetchone()
    newer = db.execute("SELECT event_id FROM event WHERE issue = ? AND id > ? ORDER BY id LIMIT 1", ids).fetchone()
    return {"older": older[0] if older else None, "newer": newer[0] if newer else None}


def related(store: Store, row: Row) -> list[Row]:
    """Events of the same request or trace, this one among them, in the order in which they happened."""
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE id IN (SELECT event FROM link WHERE name IN"  # noqa: S608
        " (SELECT name FROM link WHERE event = ?) LIMIT ?) ORDER BY happened, id",
        (row["id"], MAX_RELATED),
    ).fetchall()


def host_events(store: Store, start: float, end: float) -> list[Row]:
    """What happened in a span of time, for the host view."""
    return store.reader.execute(
        f"SELECT {COLUMNS} FROM event WHERE happened BETWEEN ? AND ? ORDER BY happened DESC LIMIT ?",  # noqa: S608
        (start, end, MAX_MARKS),
    ).fetchall()
