"""One record or envelope in, one event into the spool, and every refusal counted.

Called by the listener's thread and by the broker's: the spool, its ledger and the counts may be shared.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable

from heka.limited_log import SparseLog
from heka.wire import Record
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.records import EVENT_TYPE, Incoming, Refused, read_envelope, read_message
from heka_raven.fleet.signers import Signers
from heka_raven.formats.envelope import encode_spool_envelope
from heka_raven.spool.spool import Spool


class Counts:
    """Named counters, shared by threads, and a log line a minute for each kind of trouble."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Counter[str] = Counter()
        self._log = SparseLog()

    def add(self, name: str, n: int = 1) -> None:
        with self._lock:
            self._values[name] += n

    def trouble(self, name: str, why: str, source: str, *, exc_info: bool = False) -> None:
        """Count something refused or lost, and say why, at most once a minute for each name."""
        with self._lock:
            self._values[name] += 1
            count = self._values[name]
        level = logging.ERROR if exc_info else logging.WARNING
        self._log.tell(name, level, "%s: %s (%s; %d so far)", source, why, name, count, exc_info=exc_info)

    def snapshot(self) -> dict[str, int]:
        with self._lock:
            return {name: n for name, n in sorted(self._values.items()) if n}

    def __getitem__(self, name: str) -> int:
        return self._values[name]


class Intake:
    """What decides about a message, and where it goes."""

    def __init__(
        self,
        spool: Spool,
        allowed: AllowList,
        signers: Signers,
        *,
        legacy: str = "event",
        forward: Callable[[Record], None] | None = None,
    ) -> None:
        """Nothing is opened here.

        Args:
            forward: takes records of other types; None: they are counted only.
        """
        self.spool = spool
        self.counts = Counts()
        self._allowed = allowed
        self._signers = signers
        self._legacy = legacy
        self.forward = forward

    def take_record(self, record: Record, source: str) -> bool:
        """Judge one Heka record; True when its event is in the spool. Never raises for what the record holds."""
        self.counts.add("records")
        try:
            return self._judge(record, source)
        except Exception:  # one record must not end the relay for a fleet
            self.counts.trouble("refused.internal", "the relay failed on a record", source, exc_info=True)
            return False

    def _judge(self, record: Record, source: str) -> bool:
        refusal = self._signers.refusal(record.header, record.payload)
        if refusal is not None:
            self.counts.trouble(refusal, "a record was refused: its signature is missing, unknown or wrong", source)
            return False
        if record.message.type != EVENT_TYPE:
            if self.forward is None:
                self.counts.add("other_types")
            else:
                self.forward(record)
            return False
        try:
            event = read_message(record.message, self._allowed, self._legacy)
        except Refused as refused:
            self.counts.trouble(refused.counter, f"a record was refused: {refused}", source)
            return False
        self.spool.ledger.add("captured")
        taken = self.spool.put(event.event_id, _spooled(event))
        self.counts.add("accepted" if taken else "spool_full")
        return taken

    def take_envelope(self, data: bytes, source: str) -> bool:
        """Judge one envelope from a broker; True when its event is in the spool, False when the spool takes none now.

        Raises:
            Refused: it will never be taken.
        """
        try:
            event = read_envelope(data, self._allowed)
        except Refused as refused:
            self.counts.trouble(refused.counter, f"an envelope was refused: {refused}", source)
            raise
        except Exception:  # given out again, it would end the next relay too
            self.counts.trouble("refused.internal", "the relay failed on an envelope", source, exc_info=True)
            raise Refused("refused.internal", "the relay failed on it") from None
        # Until it is written it is safe where it is, so it is neither captured nor lost here.
        taken = self.spool.take_over(event.event_id, _spooled(event))
        if taken:
            self.counts.add("accepted")
        return taken


def _spooled(event: Incoming) -> bytes:
    return encode_spool_envelope(event.event_id, event.dsn.with_secret(), event.item_type, event.payload, event.hk)
