"""The alerts in the database: what is to be told to whom, and what became of it. A restart forgets none.

An alert is written in the transaction of its event. From then on it is waiting, sending, sent or failed; one that was
being sent when the inbox stopped is sent again.
"""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from heka_raven.inbox.event.summary import Summary
from heka_raven.inbox.store.rules import OFTEN, Due, Rules

PAUSE_S = 60.0  # between two alerts of one issue to one target
MAX_KEPT = 200  # alerts that are settled
MAX_AT_ONCE = 1_000  # alerts told in one message, of which it lists the first few


class Store(Protocol):
    """What is needed of the store."""

    @property
    def reader(self) -> sqlite3.Connection: ...

    def writing(self) -> AbstractContextManager[sqlite3.Connection]: ...


@dataclass(slots=True)
class Standing:
    """How it is with one target."""

    target: str
    waiting: int
    sent: int
    failed: int
    sent_at: float | None
    error: str  # of the last try, if that failed


def note_alert(
    db: sqlite3.Connection, rules: Rules, summary: Summary, issue: int, event: int, outcome: str, now: float
) -> None:
    """In the transaction of an event: is it to be told? An alert of its issue that waits already tells it, too.

    Args:
        outcome: what Store.add says of the event.
        now: when it arrived.
    """
    if not rules.targets or not rules.wants(summary.level):
        return
    reason = outcome if outcome in rules.reasons else ""
    if not reason and rules.often and _is_often(db, rules.often, issue, now):
        reason = OFTEN
    if not reason:
        return
    for target in rules.targets:
        known = db.execute(
            "UPDATE alert SET event = ? WHERE target = ? AND state = 'waiting' AND issue = ?", (event, target, issue)
        ).rowcount
        if not known:
            db.execute(
                "INSERT INTO alert (target, issue, event, reason, at, due) VALUES (?, ?, ?, ?, ?, ?)",
                (target, issue, event, reason, now, now),
            )


def _is_often(db: sqlite3.Connection, often: tuple[int, int], issue: int, now: float) -> bool:
    """Whether an open issue had so many events in so many seconds, since that was said last."""
    events, seconds = often
    state, count, said_at = db.execute("SELECT state, count, often_at FROM issue WHERE id = ?", (issue,)).fetchone()
    since = max(now - seconds, said_at)
    if state != "open" or count < events:
        return False
    nth = db.execute(
        "SELECT happened FROM event WHERE issue = ? ORDER BY happened DESC, id DESC LIMIT 1 OFFSET ?",
        (issue, events - 1),
    ).fetchone()
    if nth is None or nth[0] <= since or now - said_at < seconds:
        return False
    db.execute("UPDATE issue SET often_at = ? WHERE id = ?", (now, issue))
    return True


def recover(store: Store, targets: tuple[str, ...]) -> None:
    """After a start: what was being sent is sent again; what nobody is there for any more has failed."""
    marks = ",".join("?" * len(targets))
    with store.writing() as db:
        db.execute("UPDATE alert SET state = 'waiting' WHERE state = 'sending'")
        db.execute(
            "UPDATE alert SET state = 'failed', error = 'it is not in --notify any more'"  # noqa: S608
            f" WHERE state = 'waiting' AND target NOT IN ({marks})",
            targets,
        )


def due_alerts(store: Store, target: str, now: float) -> list[Due]:
    """What may be told to a target now, the oldest first: never a second one of an issue within a minute."""
    rows = store.reader.execute(
        "SELECT a.id, a.tries, a.reason, a.issue, i.title, i.culprit, i.level, i.project, i.count, i.first_seen,"
        " i.last_seen, i.again_release, coalesce(e.event_id, ''), coalesce(e.release, ''), coalesce(e.environment, ''),"
        " coalesce(e.server_name, '') FROM alert AS a JOIN issue AS i ON i.id = a.issue"
        " LEFT JOIN event AS e ON e.id = a.event"
        " WHERE a.target = ? AND a.state = 'waiting' AND a.due <= ? AND NOT EXISTS (SELECT 1 FROM alert AS b"
        " WHERE b.target = a.target AND b.state = 'sent' AND b.issue = a.issue AND b.settled_at > ?)"
        " ORDER BY a.id LIMIT ?",
        (target, now, now - PAUSE_S, MAX_AT_ONCE),
    )
    return [Due(*row) for row in rows]


def mark_sending(store: Store, alerts: list[Due]) -> None:
    _mark(store, alerts, "state = 'sending'")


def settle(store: Store, alerts: list[Due], now: float) -> None:
    """They were told."""
    _mark(store, alerts, "state = 'sent', error = '', settled_at = ?, tries = tries + 1", now)
    _forget(store, now)


def put_off(store: Store, alerts: list[Due], now: float, error: str, again_at: float | None) -> None:
    """They could not be told; *again_at* says when to try again, None that nobody will."""
    state = "failed" if again_at is None else "waiting"
    change = "state = ?, error = ?, settled_at = ?, due = ?, tries = tries + 1"
    _mark(store, alerts, change, state, error, now, again_at or 0.0)
    _forget(store, now)


def _mark(store: Store, alerts: list[Due], change: str, *values: Any) -> None:
    # `change` is a text of this module; every value is a parameter.
    with store.writing() as db:
        db.executemany(f"UPDATE alert SET {change} WHERE id = ?", [(*values, alert.id) for alert in alerts])  # noqa: S608


def _forget(store: Store, now: float) -> None:
    """Keep the last that were settled, and those of the last minute: the rule of one a minute needs them."""
    with store.writing() as db:
        db.execute(
            "DELETE FROM alert WHERE state IN ('sent', 'failed') AND settled_at < ? AND id NOT IN"
            " (SELECT id FROM alert WHERE state IN ('sent', 'failed') ORDER BY settled_at DESC, id DESC LIMIT ?)",
            (now - PAUSE_S, MAX_KEPT),
        )
        db.execute("UPDATE total SET changes = changes + 1")


def standings(store: Store, targets: tuple[str, ...]) -> list[Standing]:
    """How it is with each target."""
    found = []
    for target in targets:
        counts = dict(
            store.reader.execute("SELECT state, count(*) FROM alert WHERE target = ? GROUP BY state", (target,))
        )
        last = store.reader.execute(
            "SELECT error FROM alert WHERE target = ? AND tries > 0 ORDER BY settled_at DESC, id DESC LIMIT 1",
            (target,),
        ).fetchone()
        sent_at = store.reader.execute(
            "SELECT max(settled_at) FROM alert WHERE target = ? AND state = 'sent'", (target,)
        ).fetchone()[0]
        waiting = counts.get("waiting", 0) + counts.get("sending", 0)
        found.append(
            Standing(
                target, waiting, counts.get("sent", 0), counts.get("failed", 0), sent_at, last["error"] if last else ""
            )
        )
    return found


def list_alerts(store: Store, limit: int = 50) -> list[sqlite3.Row]:
    """The newest, with their issues."""
    return store.reader.execute(
        "SELECT a.*, i.title FROM alert AS a JOIN issue AS i ON i.id = a.issue ORDER BY a.id DESC LIMIT ?", (limit,)
    ).fetchall()
