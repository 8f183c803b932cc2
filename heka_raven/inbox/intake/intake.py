"""From what a client sent to a stored event. Knows Sentry's protocol, not HTTP: app.py and udp.py call it."""

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heka.limited_log import SparseLog
from heka_raven.formats.envelope import EnvelopeError, Item, parse_envelope
from heka_raven.formats.raven_payload import TooLarge, UnpackError, unpack_raven
from heka_raven.inbox.event.shape import event_id_of, read_event
from heka_raven.inbox.event.summary import summarise
from heka_raven.inbox.intake.auth import SUPPORTED, key_of_dsn, read_auth_header, same
from heka_raven.inbox.intake.document import DocumentError, parse_document
from heka_raven.inbox.intake.quota import Quota
from heka_raven.inbox.intake.unpack import unpack_body
from heka_raven.inbox.store.store import Store

log = logging.getLogger("heka_raven.inbox")

MAX_WIRE = 4 * 1024 * 1024  # bytes of a request body as it comes
MAX_BODY = 8 * 1024 * 1024  # bytes of it unpacked: an envelope may carry attachments beside the event
MAX_EVENT = 1024 * 1024  # bytes of one event's JSON: Sentry's own limit
MAX_LINES = 20_000  # lines of an envelope, so that a million empty items cost nothing
EVENT_TYPES = ("event", "raven", "error", "default")


class Refusal(Exception):
    """The client gets *status* and *reason*; the reason never quotes what it sent."""

    def __init__(self, status: int, reason: str, retry_after_s: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Limits:
    """What the command line sets."""

    key: str | None = None
    max_event: int = MAX_EVENT
    rate: float | None = None


class Intake:
    """Checks, unpacks, reads and stores."""

    def __init__(self, store: Store, clock: Callable[[], float], limits: Limits | None = None) -> None:
        self.store = store
        self.limits = limits or Limits()
        self._clock = clock
        self._log = SparseLog(log)  # a client that sends rubbish must not fill the log
        self._quota = Quota(self.limits.rate)
        # A hostile event of 1 MiB becomes some 100 MiB of objects: one at a time, whatever the number of threads.
        self._large = threading.Lock()

    def check(self, fields: Mapping[str, str]) -> None:
        """Refuse a client without key, with a wrong one, of an unknown version, or over the rate."""
        key = fields.get("sentry_key", "")
        if not key:
            raise Refusal(401, "missing authorization information")
        if self.limits.key is not None and not same(key, self.limits.key):
            raise Refusal(403, "invalid api key")
        version = fields.get("sentry_version", "7").partition(".")[0]
        if not version.isascii() or not version.isdigit() or len(version) > 3 or int(version) not in SUPPORTED:
            raise Refusal(400, "unsupported protocol version")
        pause_s = self._quota.pause_s(self._clock())
        if pause_s:
            raise Refusal(429, "rate limited: --rate-limit", pause_s)

    def note_refused(self, client: str, project: str, refusal: Refusal) -> None:
        """Say what was not taken, on the Data page and in the log; the reason quotes nothing that was sent."""
        if refusal.status == 429:
            return  # the client was told to come again, and does
        status, reason = refusal.status, refusal.reason
        self._log.tell(f"{client} {reason}", logging.WARNING, "refused (%d): %s, from %s", status, reason, client)
        try:
            self.store.note_refused(client, project, status, reason, self._clock())
        except sqlite3.Error:
            log.exception("a refusal could not be noted")

    def take_envelope(self, project: str, fields: Mapping[str, str], body: bytes, encoding: str) -> str:
        """Store the events of an envelope; other items are accepted and dropped. Returns the envelope's event id."""
        data = self._unpack(body, encoding)
        if data.count(b"\n") > MAX_LINES:
            raise Refusal(413, "envelope of too many items")
        try:
            header, items = parse_envelope(data)
        except EnvelopeError as error:
            raise Refusal(400, f"bad envelope: {error}") from None
        fields = dict(fields)
        fields.setdefault("sentry_key", key_of_dsn(header.get("dsn")))
        self.check(fields)
        event_id = event_id_of(header.get("event_id"))
        for item in items:
            if item.type in EVENT_TYPES:
                event_id = self.take_item(project, item, event_id)
        return event_id

    def take_stream(self, project: str, fields: Mapping[str, str], body: bytes, encoding: str) -> str:
        """Store the events of an envelope meant for Spotlight, which knows no keys: it has one only if its DSN does."""
        known = fields if self.limits.key is not None else {"sentry_key": "spotlight", **fields}
        return self.take_envelope(project, known, body, encoding)

    def take_item(self, project: str, item: Item, event_id: str, received: float | None = None) -> str:
        """Store the event of one envelope item."""
        payload = self._blob(item.payload) if item.type == "raven" else item.payload
        return self.take_event(project, payload, event_id, received)

    def take_store(self, project: str, fields: Mapping[str, str], body: bytes, encoding: str) -> str:
        """Store the one event of a store request, plain or as base64 of zlib."""
        self.check(fields)
        return self.take_event(project, self._blob(self._unpack(body, encoding)))

    def take_packet(self, packet: bytes) -> str:
        """Store the one event of a UDP packet: the auth header, an empty line, the event."""
        head, gap, payload = packet.partition(b"\n\n")
        if not gap:
            raise Refusal(400, "no empty line after the header")
        self.check(read_auth_header(head.decode("latin-1")))
        return self.take_event("udp", self._blob(payload))

    def _unpack(self, body: bytes, encoding: str) -> bytes:
        try:
            return unpack_body(body, encoding, MAX_BODY)
        except TooLarge as error:
            raise Refusal(413, f"request body {error}") from None
        except UnpackError as error:
            raise Refusal(400, str(error)) from None

    def _blob(self, data: bytes) -> bytes:
        try:
            return unpack_raven(data, self.limits.max_event)
        except TooLarge as error:
            raise Refusal(413, f"event {error}") from None
        except UnpackError:
            raise Refusal(400, "the event is neither JSON nor base64 of zlib") from None

    def take_event(self, project: str, data: bytes, event_id: str = "", received: float | None = None) -> str:
        """Read and store one event; returns its id, the client's own where it has one."""
        if len(data) > self.limits.max_event:
            raise Refusal(413, f"event {TooLarge(self.limits.max_event)}")
        if len(data) > 200_000:
            with self._large:
                return self._take_event(project, data, event_id, received)
        return self._take_event(project, data, event_id, received)

    def _take_event(self, project: str, data: bytes, event_id: str, received: float | None) -> str:
        try:
            document, strict = parse_document(data)
        except DocumentError as error:
            raise Refusal(400, str(error)) from None
        event = read_event(document, brief=True)
        event.event_id = event.event_id or event_id or uuid.uuid4().hex
        # Never later than now: a time to come in an archive would let --keep delete everything that is older.
        now = self._clock() if received is None else min(received, self._clock())
        self.store.add(summarise(event), strict, project=project[:60], received=now, quiet=received is not None)
        return event.event_id
