"""The inbox under faults: events that come in, the oldest that go, tables of an older version."""

import contextlib
import os
import sqlite3
import time

from faults import watched
from faults.python_half import new_id
from faults.scenario import Scenario
from faults.spools import event_bytes
from heka_raven.inbox.intake.intake import Intake
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.store.schema import StoreError
from heka_raven.inbox.store.store import Store
from support.paths import DATA

EVENTS = 3


def add(store, event_id):
    """Take one in, as the HTTP door does; True when it was answered with 200."""
    try:
        Intake(store, time.time).take_event("1", event_bytes(event_id))
    except sqlite3.Error:
        return False  # the door answers 503, and the sender keeps the event
    return True


def ids_of(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        (check,) = db.execute("PRAGMA integrity_check").fetchone()
        ids = [row[0] for row in db.execute("SELECT event_id FROM event ORDER BY id")]
        bodies = db.execute("SELECT count(*) FROM body").fetchone()[0]
        total = db.execute("SELECT events FROM total").fetchone()[0]
        counted = db.execute("SELECT coalesce(sum(count), 0) FROM issue").fetchone()[0]
    wrong = [] if check == "ok" else [f"SQLite says {check}"]
    if not len(ids) == bodies == total == counted:
        wrong.append(f"{len(ids)} events, {bodies} bodies, {total} in total, {counted} in issues")
    return ids, wrong


class InboxIntake(Scenario):
    """A new inbox takes three events in."""

    name = "inbox-intake"

    def begin(self, number):
        self.path = os.path.join(self.fresh(number), "inbox.db")
        self.ids = [new_id() for _ in range(EVENTS)]
        path, ids = self.path, self.ids

        def act(tell):
            try:
                store = Store(path)
            except StoreError:
                return  # said in one line, exit code 1
            for event_id in ids:
                tell(event_id, add(store, event_id))
            store.close()

        return watched.fork(act)

    def after(self, process, fault):
        """What was answered with 200 is there, once; the inbox opens again and takes more."""
        store = Store(self.path)
        for event_id in self.ids:  # a sender gives all again that it has no answer for
            if event_id not in process.notes.ids():
                add(store, event_id)
        store.close()
        ids, wrong = ids_of(self.path)
        return wrong if sorted(ids) == sorted(self.ids) else [*wrong, f"has {ids}, and should have {self.ids}"]


class InboxRetention(Scenario):
    """The oldest events go until the limit holds."""

    name = "inbox-retention"

    def begin(self, number):
        self.path = os.path.join(self.fresh(number), "inbox.db")
        self.ids = [new_id() for _ in range(2 * EVENTS)]
        store = Store(self.path)
        for event_id in self.ids:
            assert add(store, event_id)
        store.close()
        path = self.path

        def act(tell):
            try:
                store = Store(path, Keep(events=EVENTS))
            except StoreError:
                return
            with contextlib.suppress(sqlite3.Error):  # said in the log; the next look does it
                store.trim()
            store.close()

        return watched.fork(act)

    def after(self, process, fault):
        ids, wrong = ids_of(self.path)
        if ids not in (self.ids, self.ids[EVENTS:]):
            wrong.append(f"half of them are gone: {ids} of {self.ids}")
        store = Store(self.path, Keep(events=EVENTS))
        store.trim()
        store.close()
        ids, more = ids_of(self.path)
        if ids != self.ids[EVENTS:]:
            wrong.append(f"after another look: {ids}")
        return wrong + more


class InboxUpgrade(Scenario):
    """The tables of version 1 become today's."""

    name = "inbox-upgrade"
    count = 6

    def begin(self, number):
        self.path = os.path.join(self.fresh(number), "inbox.db")
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.executescript((DATA / "inbox_version1.sql").read_text())
        path = self.path

        def act(tell):
            with contextlib.suppress(StoreError):
                Store(path).close()

        return watched.fork(act)

    def after(self, process, fault):
        Store(self.path).close()
        ids, wrong = ids_of(self.path)
        expected = [f"{number:032x}" for number in range(1, self.count + 1)]
        return wrong if ids == expected else [*wrong, f"has {ids}"]


SCENARIOS = [InboxIntake, InboxRetention, InboxUpgrade]
