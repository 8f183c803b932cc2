"""The tables of the inbox, and opening a database file with them.

An event's JSON lies compressed in "body", away from what lists read. The index "event_facets" answers the filters of
the list without touching the table; "words" and "tag" repeat the issue, so that a search needs no join. Triggers keep
the counts, so that no way of deleting can forget one.
"""

import os
import sqlite3
from pathlib import Path

from heka_raven.inbox.store.upgrade import upgrade

VERSION = 4
OLDEST_SQLITE = (3, 35)  # RETURNING

TABLES = """
CREATE TABLE issue (
  id INTEGER PRIMARY KEY,
  grouping TEXT NOT NULL UNIQUE,
  project TEXT NOT NULL DEFAULT '',
  title TEXT NOT NULL, culprit TEXT NOT NULL, level TEXT NOT NULL, server_event TEXT NOT NULL,
  first_seen REAL NOT NULL, last_seen REAL NOT NULL,
  count INTEGER NOT NULL DEFAULT 0,
  last_event INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'open', state_at REAL NOT NULL DEFAULT 0,
  mute_until REAL NOT NULL DEFAULT 0, mute_count INTEGER NOT NULL DEFAULT 0,
  again_at REAL NOT NULL DEFAULT 0, again_release TEXT NOT NULL DEFAULT '', place TEXT NOT NULL DEFAULT '',
  often_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX issue_seen ON issue (last_seen);
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id TEXT NOT NULL UNIQUE,
  issue INTEGER NOT NULL REFERENCES issue (id),
  received REAL NOT NULL, happened REAL NOT NULL,
  project TEXT NOT NULL, level TEXT NOT NULL, type TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL,
  culprit TEXT NOT NULL, logger TEXT NOT NULL, "transaction" TEXT NOT NULL, method TEXT NOT NULL, url TEXT NOT NULL,
  release TEXT NOT NULL, environment TEXT NOT NULL, server_name TEXT NOT NULL,
  server_event TEXT NOT NULL, worker TEXT NOT NULL, platform TEXT NOT NULL,
  size INTEGER NOT NULL, user TEXT NOT NULL DEFAULT '', place TEXT NOT NULL DEFAULT ''
);
CREATE INDEX event_issue ON event (issue, happened, id);
CREATE INDEX event_facets ON event (issue, level, release, environment, server_event);
CREATE INDEX event_happened ON event (happened);
CREATE INDEX event_release ON event (release);
CREATE INDEX event_environment ON event (environment);
CREATE TABLE body (event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE, json BLOB NOT NULL);
CREATE TABLE words (
  id INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
  issue INTEGER NOT NULL, level TEXT NOT NULL, release TEXT NOT NULL, environment TEXT NOT NULL,
  server_event TEXT NOT NULL, text TEXT NOT NULL
);
CREATE TABLE tag (
  key TEXT NOT NULL, value TEXT NOT NULL, issue INTEGER NOT NULL,
  id INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
  PRIMARY KEY (key, value, issue, id)
) WITHOUT ROWID;
CREATE INDEX tag_event ON tag (id);
CREATE TABLE link (
  name TEXT NOT NULL, event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE, PRIMARY KEY (name, event)
) WITHOUT ROWID;
CREATE INDEX link_event ON link (event);
CREATE TABLE minute (
  issue INTEGER NOT NULL REFERENCES issue (id) ON DELETE CASCADE, minute INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (issue, minute)
) WITHOUT ROWID;
CREATE TABLE total (events INTEGER NOT NULL, bytes INTEGER NOT NULL, changes INTEGER NOT NULL);
INSERT INTO total VALUES (0, 0, 0);
"""

# Beside version 1's, and beside version 3's
TABLES_2 = """
CREATE TABLE issue_user (
  issue INTEGER NOT NULL REFERENCES issue (id) ON DELETE CASCADE, user TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (issue, user)
) WITHOUT ROWID;
CREATE TABLE refused (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, client TEXT NOT NULL, project TEXT NOT NULL,
  status INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL
);
"""
TABLES_4 = """
CREATE TABLE alert (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  target TEXT NOT NULL, issue INTEGER NOT NULL REFERENCES issue (id) ON DELETE CASCADE, event INTEGER NOT NULL,
  reason TEXT NOT NULL, at REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
  settled_at REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alert_target ON alert (target, state, issue);
CREATE INDEX alert_issue ON alert (issue);
"""

TRIGGERS = """
CREATE TRIGGER event_added AFTER INSERT ON event BEGIN
  UPDATE total SET events = events + 1, bytes = bytes + new.size, changes = changes + 1;
  INSERT INTO minute VALUES (new.issue, CAST(new.happened / 60 AS INTEGER), 1)
    ON CONFLICT DO UPDATE SET count = count + 1;
  INSERT INTO issue_user SELECT new.issue, new.user, 1 WHERE new.user != ''
    ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER event_removed AFTER DELETE ON event BEGIN
  UPDATE total SET events = events - 1, bytes = bytes - old.size, changes = changes + 1;
  UPDATE minute SET count = count - 1 WHERE issue = old.issue AND minute = CAST(old.happened / 60 AS INTEGER);
  UPDATE issue_user SET count = count - 1 WHERE issue = old.issue AND user = old.user;
  DELETE FROM issue_user WHERE issue = old.issue AND user = old.user AND count <= 0;
  UPDATE issue SET count = count - 1 WHERE id = old.issue;
  DELETE FROM issue WHERE id = old.issue AND count <= 0;
END;
"""


class StoreError(Exception):
    """The database cannot be used; the message says why and names the file."""


def connect(path: str, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any one thread at a time."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA temp_store = MEMORY")
        if readonly:
            connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error:  # the file is no database
        connection.close()
        raise
    return connection


def open_database(path: str) -> sqlite3.Connection:
    """Open the file for writing; made with its tables if it is not there, private to its owner.

    Raises:
        StoreError: if it cannot be made, opened, or is no inbox.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: the inbox needs {wanted}")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Events hold private data; SQLite gives its -wal and -shm files the mode of the file itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"database {path}: {error.strerror}") from error
    try:
        connection = connect(path)
    except sqlite3.Error as error:
        raise StoreError(f"database {path}: {error}") from error
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if not empty and not 1 <= found <= VERSION:
            raise StoreError(f"database {path}: it is no inbox of this version (found {found}, want {VERSION})")
        if empty:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        if empty:
            connection.executescript(
                f"BEGIN; {TABLES} {TABLES_2} {TABLES_4} {TRIGGERS} PRAGMA user_version = {VERSION}; COMMIT;"
            )
        elif found < VERSION:
            upgrade(connection, found, TABLES_2 + TRIGGERS, TABLES_4, VERSION)
    except (sqlite3.Error, StoreError) as error:
        connection.close()
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"database {path}: {error}") from error
    return connection
