"""A line an event in the inbox's own terminal, as `heka-raven tail` writes it.

The lines are read from the database, in a thread of their own: a terminal that is slow, or was stopped with Ctrl-S,
holds up nobody.
"""

from __future__ import annotations

import contextlib
import os
import threading

from heka_raven.cli.tail import line_of, row_of
from heka_raven.inbox.store.queries import Store, list_events

EVERY_S = 0.5
MAX_LINES = 50  # at once; of a flood the newest are shown, and how many more there were


class Lines:
    """The thread; ``stop()`` ends it."""

    def __init__(self, store: Store, address: str, descriptor: int) -> None:
        """Begin after what is in the database now.

        Args:
            address: of the inbox, for the links.
            descriptor: of the terminal. It is written to directly: a thread that waits for a stopped terminal must not
                hold the lock of sys.stdout while the process ends.
        """
        self._store = store
        self._address = address
        self._descriptor = descriptor
        self._since = max((int(row["id"]) for row in list_events(store, limit=1)), default=0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox-terminal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        while True:
            ended = self._stopping.wait(EVERY_S)
            with contextlib.suppress(Exception):  # a full disk, or no terminal any more: the inbox goes on without
                self._tell()
            if ended:
                return

    def _tell(self) -> None:
        rows = list_events(self._store, since=self._since, limit=1_000)
        if not rows:
            return
        self._since = int(rows[0]["id"])
        shown = [row_of(dict(row), f"{self._address}/event/{row['event_id']}") for row in rows[:MAX_LINES]]
        lines = [line_of(row, colour=True) for row in reversed(shown)]
        more = len(rows) - len(lines)
        if more:
            lines.insert(0, f"… {more}{' or more' if len(rows) == 1_000 else ''} events before these")
        left = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        while left:
            left = left[os.write(self._descriptor, left) :]
