"""From an older version's tables to today's, in one transaction: all of it, or the file as it was."""

import sqlite3

# Version 1 knew issues of all projects together, by the time at which events arrived, and no states.
_COLUMNS = """
ALTER TABLE issue ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE issue ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
ALTER TABLE issue ADD COLUMN state_at REAL NOT NULL DEFAULT 0;
ALTER TABLE issue ADD COLUMN mute_until REAL NOT NULL DEFAULT 0;
ALTER TABLE issue ADD COLUMN mute_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE issue ADD COLUMN again_at REAL NOT NULL DEFAULT 0;
ALTER TABLE issue ADD COLUMN again_release TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN user TEXT NOT NULL DEFAULT '';
DROP TRIGGER event_added;
DROP TRIGGER event_removed;
DROP INDEX issue_recent;
DROP INDEX event_issue;
DROP INDEX event_received;
CREATE INDEX issue_seen ON issue (last_seen);
CREATE INDEX event_issue ON event (issue, happened, id);
UPDATE issue SET project = coalesce((SELECT project FROM event WHERE id = last_event), '');
"""
_COUNTS = """
UPDATE issue SET
  count = (SELECT count(*) FROM event WHERE issue = issue.id),
  first_seen = (SELECT min(happened) FROM event WHERE issue = issue.id);
DELETE FROM issue WHERE count = 0;
UPDATE issue SET (last_event, last_seen, title, culprit, level, server_event) =
  (SELECT id, happened, title, culprit, level, server_event FROM event WHERE issue = issue.id
   ORDER BY happened DESC, id DESC LIMIT 1);
UPDATE issue SET grouping = project || ':' || substr(grouping, 1, 40);
DELETE FROM minute;
INSERT INTO minute SELECT issue, CAST(happened / 60 AS INTEGER), count(*) FROM event
  WHERE happened > (SELECT max(happened) FROM event) - 7200 GROUP BY 1, 2;
"""


# Version 2 did not know the file and function that an event names.
_PLACES = """
ALTER TABLE issue ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN place TEXT NOT NULL DEFAULT '';
"""
# Version 3 knew no alerts.
_OFTEN = "ALTER TABLE issue ADD COLUMN often_at REAL NOT NULL DEFAULT 0;"


def upgrade(db: sqlite3.Connection, found: int, second: str, fourth: str, version: int) -> None:
    """Bring version *found* up to *version*.

    Args:
        second: makes the tables and triggers that version 2 has and 1 does not.
        fourth: those of version 4.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        if found < 2:
            _run(db, _COLUMNS)
            _part_projects(db)
            _run(db, _COUNTS)
            _run(db, second)
        if found < 3:
            _run(db, _PLACES)
        _run(db, _OFTEN)
        _run(db, fourth)
        db.execute(f"PRAGMA user_version = {version:d}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _run(db: sqlite3.Connection, script: str) -> None:
    """One statement after the other: executescript would commit first. A trigger's ``END;`` ends its statement."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def _part_projects(db: sqlite3.Connection) -> None:
    """Events of another project than their issue's get an issue of their own."""
    strangers = db.execute(
        "SELECT DISTINCT e.issue, e.project FROM event AS e JOIN issue AS i ON i.id = e.issue"
        " WHERE e.project != i.project"
    ).fetchall()
    for issue, project in strangers:
        # Unique until the projects stand in front of them all.
        new = db.execute(
            "INSERT INTO issue (grouping, project, title, culprit, level, server_event, first_seen, last_seen)"
            " SELECT grouping || '\x1f' || ?, ?, title, culprit, level, server_event, first_seen, last_seen"
            " FROM issue WHERE id = ?",
            (project, project, issue),
        ).lastrowid
        db.execute("UPDATE event SET issue = ? WHERE issue = ? AND project = ?", (new, issue, project))
        for table in ("words", "tag"):
            db.execute(
                f"UPDATE {table} SET issue = ? WHERE issue = ? AND id IN (SELECT id FROM event WHERE issue = ?)",  # noqa: S608
                (new, issue, new),
            )
