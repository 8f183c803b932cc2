"""Keeps events. The only module that changes the database; queries.py reads it.

One connection writes, under a lock; each thread reads through its own (SQLite's WAL lets readers go on).
"""

import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from heka_raven.inbox.event.summary import Summary
from heka_raven.inbox.store.alerting import note_alert
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.store.rules import Rules
from heka_raven.inbox.store.schema import StoreError, connect, open_database

__all__ = ["Store", "StoreError"]

COMPRESSION = 3  # zlib level: 5 times smaller than JSON at 0.3 ms for a usual event
TRIM_EVERY = 200  # events between two looks at the limits of --keep
TRIM_CHUNK = 500  # events deleted in one transaction, so that readers and new events get their turn
SHRINK_PAGES = 1_000  # pages (of 4 KiB) given back at once
SPARK_MINUTES = 60
OLDEST = 946_684_800.0  # 2000-01-01: a clock that says less was never set
MAX_AHEAD_S = 300.0  # by which a client's clock may be ahead
MAX_REFUSED = 200  # kinds of refusals that are kept
KNOWN, MORE, NEW, AGAIN = "", "more", "new", "again"  # what an event is


class Store:
    """The events in one database file."""

    def __init__(self, path: str, keep: Keep | None = None, rules: Rules | None = None) -> None:
        self.path = path
        self.keep = keep or Keep()
        self.rules = rules or Rules()
        self._writer = open_database(path)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._added = 0

    def close(self) -> None:
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            self._writer.close()

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection; it cannot write."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self.path, readonly=True)
            connection.row_factory = sqlite3.Row
            self._local.connection = connection
            with self._lock:
                self._readers.append(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in a transaction."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has ended it already
                    self._writer.execute("ROLLBACK")
                raise

    def add(self, summary: Summary, body: bytes, *, project: str, received: float, quiet: bool = False) -> str:
        """Store one event.

        Args:
            quiet: it makes no alert: it is imported.

        Returns:
            What it was: NEW for the first of its issue, AGAIN when that had been resolved or muted until now, MORE;
            KNOWN (which is false) if an event of this id is there: senders may deliver more than once.
        """
        happened = _plausible(summary.happened, received)
        packed = zlib.compress(body, COMPRESSION)
        with self.writing() as db:
            if db.execute("SELECT 1 FROM event WHERE event_id = ?", (summary.event_id,)).fetchone():
                return KNOWN
            issue, outcome = self._issue(db, summary, project, happened)
            row = db.execute(
                "INSERT INTO event (event_id, issue, received, happened, project, level, type, title, message, culprit,"
                ' logger, "transaction", method, url, release, environment, server_name, server_event, worker,'
                " platform, size, user, place) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    summary.event_id,
                    issue,
                    received,
                    happened,
                    project,
                    summary.level,
                    summary.type,
                    summary.title,
                    summary.message,
                    summary.culprit,
                    summary.logger,
                    summary.transaction,
                    summary.method,
                    summary.url,
                    summary.release,
                    summary.environment,
                    summary.server_name,
                    summary.server_event,
                    summary.worker,
                    summary.platform,
                    len(packed),
                    summary.user,
                    summary.place,
                ),
            ).lastrowid
            db.execute("UPDATE issue SET last_event = max(last_event, ?) WHERE id = ?", (row, issue))
            db.execute("INSERT INTO body VALUES (?, ?)", (row, packed))
            facets = (summary.level, summary.release, summary.environment, summary.server_event)
            db.execute("INSERT INTO words VALUES (?, ?, ?, ?, ?, ?, ?)", (row, issue, *facets, summary.search))
            tags = [(key, value, issue, row) for key, value in summary.tags]
            db.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?, ?, ?)", tags)
            db.executemany("INSERT OR IGNORE INTO link VALUES (?, ?)", [(name, row) for name in summary.links])
            if not quiet:
                note_alert(db, self.rules, summary, issue, int(row or 0), outcome, received)
            self._added += 1
            due = self._added % TRIM_EVERY == 0
        if due:
            self.trim(received)
        return outcome

    def _issue(self, db: sqlite3.Connection, summary: Summary, project: str, happened: float) -> tuple[int, str]:
        """Make or update the event's issue, and say what the event is. The event that happened last names the issue."""
        row: Any = db.execute(
            "INSERT INTO issue (grouping, project, title, culprit, level, server_event, first_seen, last_seen,"
            " place, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (grouping) DO UPDATE SET"
            " title = CASE WHEN excluded.last_seen >= last_seen THEN excluded.title ELSE title END,"
            " culprit = CASE WHEN excluded.last_seen >= last_seen THEN excluded.culprit ELSE culprit END,"
            " place = CASE WHEN excluded.last_seen >= last_seen THEN excluded.place ELSE place END,"
            " level = CASE WHEN excluded.last_seen >= last_seen THEN excluded.level ELSE level END,"
            " last_seen = max(last_seen, excluded.last_seen), first_seen = min(first_seen, excluded.first_seen),"
            " count = count + 1 RETURNING id, count, state, state_at, mute_until, mute_count",
            (
                f"{project}:{summary.grouping}",
                project,
                summary.title,
                summary.culprit,
                summary.level,
                summary.server_event,
                happened,
                happened,
                summary.place,
            ),
        ).fetchone()
        issue, count, state, state_at, mute_until, mute_count = row
        if count == 1:
            return int(issue), NEW
        # What happened before and arrives now does not open an issue again.
        over = 0 < mute_until <= happened or 0 < mute_count <= count
        if happened <= state_at or not (state == "resolved" or (state == "muted" and over)):
            return int(issue), MORE
        db.execute(
            "UPDATE issue SET state = 'open', again_at = ?, again_release = ? WHERE id = ?",
            (happened, summary.release, issue),
        )
        return int(issue), AGAIN

    def set_state(
        self, issues: Iterable[int], state: str, now: float, *, mute_s: float = 0, mute_events: int = 0
    ) -> int:
        """Resolve, mute or reopen issues; returns how many there were.

        Args:
            state: open, resolved or muted.
            mute_s: seconds after which the next event opens a muted issue again.
            mute_events: events after which it is open again.
        """
        changed = 0
        with self.writing() as db:
            for issue in issues:
                changed += db.execute(
                    "UPDATE issue SET state = ?, state_at = max(?, last_seen), mute_until = ?, mute_count ="
                    " CASE WHEN ? THEN count + ? ELSE 0 END, again_at = 0, again_release = '' WHERE id = ?",
                    (state, now, now + mute_s if mute_s else 0, mute_events, mute_events, issue),
                ).rowcount
            db.execute("UPDATE total SET changes = changes + 1")
        return changed

    def note_refused(self, client: str, project: str, status: int, reason: str, now: float) -> None:
        """Keep that something was not taken, for the Data page. The same again is counted."""
        said = (client[:100], project[:60], status, reason[:300])
        with self.writing() as db:
            same = db.execute(
                "SELECT id FROM refused WHERE client = ? AND project = ? AND status = ? AND reason = ?", said
            ).fetchone()
            if same:
                db.execute("UPDATE refused SET count = count + 1, at = ? WHERE id = ?", (now, same[0]))
            else:
                db.execute(
                    "INSERT INTO refused (client, project, status, reason, count, at) VALUES (?, ?, ?, ?, 1, ?)",
                    (*said, now),
                )
                db.execute(
                    "DELETE FROM refused WHERE id NOT IN (SELECT id FROM refused ORDER BY at DESC, id DESC LIMIT ?)",
                    (MAX_REFUSED,),
                )
            db.execute("UPDATE total SET changes = changes + 1")

    def delete_event(self, event_id: str) -> bool:
        with self.writing() as db:
            return _delete(db, "event_id = ?", (event_id,)) > 0

    def delete_issue(self, issue: int) -> bool:
        found = False
        while self._delete_chunk("issue = ?", (issue,)):
            found = True
        return found

    def delete_all(self) -> None:
        while self._delete_chunk("1 = 1", ()):
            pass
        self._shrink()

    def _delete_chunk(self, where: str, values: tuple[Any, ...]) -> int:
        with self.writing() as db:
            # `where` is one of this module's own texts; every value goes in as a parameter.
            chosen = f"id IN (SELECT id FROM event WHERE {where} ORDER BY id LIMIT {TRIM_CHUNK})"  # noqa: S608
            return _delete(db, chosen, values)

    def trim(self, now: float | None = None) -> int:
        """Delete the oldest events until the limits of ``--keep`` hold; returns how many."""
        now = time.time() if now is None else now
        removed = 0
        while True:
            events, size = self._writer_total()
            excess = self.keep.excess(events, size)
            chosen = f"id IN (SELECT id FROM event ORDER BY happened LIMIT {min(excess, TRIM_CHUNK)})"  # noqa: S608
            with self.writing() as db:
                gone = _delete(db, chosen, ()) if excess else 0
            if not gone and self.keep.age_s is not None:
                gone = self._delete_chunk("happened < ?", (now - self.keep.age_s,))
            removed += gone
            if not gone:
                break
        with self.writing() as db:
            db.execute("DELETE FROM minute WHERE minute < ?", (int(now / 60) - SPARK_MINUTES - 1,))
        if removed:
            self._shrink()
        return removed

    def _shrink(self) -> None:
        """Give free pages back to the disk, some at a time: the lock is needed by new events, too."""
        pages = -1
        while True:
            with self._lock:
                free = int(self._writer.execute("PRAGMA freelist_count").fetchone()[0])
                if free == 0 or free == pages:
                    return
                pages = free
                self._writer.execute(f"PRAGMA incremental_vacuum({SHRINK_PAGES})").fetchall()

    def _writer_total(self) -> tuple[int, int]:
        with self._lock:
            events, size = self._writer.execute("SELECT events, bytes FROM total").fetchone()
        return int(events), int(size)


def _plausible(happened: float | None, received: float) -> float:
    """The client's own time, unless its clock is ahead or it said nothing: nothing happens after it arrived."""
    return happened if happened is not None and OLDEST <= happened <= received + MAX_AHEAD_S else received


def _delete(db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> int:
    """Delete events, and let the newest one that is left name its issue: a title may be what had to go."""
    issues = [row[0] for row in db.execute(f"SELECT DISTINCT issue FROM event WHERE {where}", values)]  # noqa: S608
    gone = db.execute(f"DELETE FROM event WHERE {where}", values).rowcount  # noqa: S608
    for issue in issues:
        db.execute(
            "UPDATE issue SET first_seen = (SELECT min(happened) FROM event WHERE issue = issue.id),"
            " (last_event, last_seen, title, culprit, place, level, server_event) ="
            " (SELECT id, happened, title, culprit, place, level, server_event FROM event WHERE issue = issue.id"
            " ORDER BY happened DESC, id DESC LIMIT 1) WHERE id = ?",
            (issue,),
        )
    return gone
