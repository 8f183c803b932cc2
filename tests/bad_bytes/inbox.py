"""What the inbox takes, stores and shows."""

import contextlib
import json
import os
import re
import sqlite3
import zlib

from webob import Request

from bad_bytes.mutate import DATA, Target, dump, mutate_bytes, mutate_json
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.web.app import make_app

KEPT = 500  # events; so the store deletes as much as it takes
LOOK_EVERY = 5_000  # events; then the whole database
OWN_ID = re.compile(rb'"event_id": ?"([0-9a-f-]{32,36})"')


def envelopes():
    """What real clients sent."""
    found = [path.read_bytes() for path in sorted((DATA / "sdks").glob("*.env"))]
    return [data for data in found if len(data) < 60_000]


def mutate_envelope(dice, data):
    """An event of its own, or the second of its id would be taken for the first."""
    for old in set(OWN_ID.findall(data)):
        data = data.replace(old, b"%032x" % dice.getrandbits(128))
    if dice.random() < 0.5:
        return mutate_bytes(dice, data)
    lines = data.split(b"\n")
    for at, line in enumerate(lines):
        with contextlib.suppress(ValueError):
            lines[at] = dump(mutate_json(dice, json.loads(line)))
            if at > 0 and b'"length"' in lines[at - 1]:
                head = json.loads(lines[at - 1])
                if isinstance(head, dict) and dice.random() < 0.9:
                    lines[at - 1] = dump({**head, "length": len(lines[at])})
    return b"\n".join(lines)


def look_through(path):
    """The database is whole."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert ("ok",) == db.execute("PRAGMA integrity_check").fetchone()
        events, bodies = (db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("event", "body"))
    assert events == bodies, f"{events} events, {bodies} bodies"


class Inbox(Target):
    """Whatever an envelope is: 200 and its event is shown, or a refusal of one line, never a 500."""

    name = "inbox"

    def __init__(self, place):
        super().__init__(place)
        self.stored = 0
        self.path = os.path.join(place, "inbox.db")
        self.app = make_app(self.path, keep=Keep(events=KEPT))

    def seeds(self):
        return envelopes()

    def make(self, dice, seeds):
        return mutate_envelope(dice, dice.choice(seeds))

    def ask(self, path, method="GET", body=b"", **headers):
        request = Request.blank(
            path, method=method, body=body, headers={"X-Sentry-Auth": "Sentry sentry_key=k", **headers}
        )
        reply = request.get_response(self.app)
        if reply.status_int >= 500:
            raise AssertionError(f"{path}: {reply.status_int}")
        return reply

    def feed(self, data):
        reply = self.ask("/api/1/envelope/", "POST", data)
        if reply.status_int != 200:
            if "\n" in reply.headers.get("X-Sentry-Error", "\n"):
                raise AssertionError("a refusal that is not one line")
            return
        event_id = reply.json.get("id")
        if not event_id or self.ask(f"/api/events/{event_id}").status_int != 200:
            return  # an envelope without an event
        self.stored += 1
        # The page costs as much as all before it, so only every other event gets it, and the rest what it is made of.
        forms = ("", "", "/markdown", "/curl", "/traceback", "/json")
        path = f"/event/{event_id}{forms[zlib.crc32(data) % len(forms)]}"
        if self.ask(path, Accept="text/html").status_int != 200:
            raise AssertionError(f"{path} is not shown")
        if self.stored % LOOK_EVERY == 0:
            self.look()

    def look(self):
        for path in ("/", "/hosts", "/data", "/api/events"):
            assert self.ask(path, Accept="text/html").status_int == 200, path
        look_through(self.path)

    def finish(self):
        self.look()
        self.app.close()
