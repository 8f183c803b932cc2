"""A database that another process writes, for whoever only reads."""

import sqlite3
import threading

from heka_raven.inbox.store.schema import VERSION, StoreError, connect


class Reading:
    """What queries.py needs of a store: a connection that cannot write, one a thread."""

    def __init__(self, path: str) -> None:
        """Look whether it is an inbox of this version.

        Raises:
            StoreError: if not.
        """
        self.path = path
        self._local = threading.local()
        found = self.reader.execute("PRAGMA user_version").fetchone()[0]
        if found != VERSION:
            raise StoreError(f"database {path}: it is no inbox of this version (found {found}, want {VERSION})")

    @property
    def reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self.path, readonly=True)
            connection.row_factory = sqlite3.Row
        return connection
