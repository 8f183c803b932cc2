"""From a quorum queue into a relay's spool.

A message is acknowledged when its event is in the spool, so a relay that dies gives back what it held. One that will
never be an event goes to the dead letters. While the spool takes nothing, messages are held, not given back: the
broker then stops at the prefetch, and the queue holds the rest.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from typing import Any

from heka_raven.fleet.broker import BrokerOptions
from heka_raven.fleet.broker_link import Link
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.records import Refused

DEFAULT_PREFETCH = 100
ACK_AFTER_S = 0.01  # acknowledgements of messages that come together go together
RETRY_FULL_S = 1.0
WORK_AT_ONCE = 50  # messages between two looks at the connection: each may wait for its disk
JOIN_WAIT_S = 10.0

logger = logging.getLogger("heka_raven")


class Consumer:
    """A thread that consumes."""

    def __init__(self, options: BrokerOptions, intake: Intake, prefetch: int) -> None:
        self._link = Link(options, self._ready, self._lost)
        self._queue_name = options.queue
        self._intake = intake
        self._prefetch = prefetch
        self._channel: Any = None
        self._held: deque[tuple[int, bytes]] = deque()
        self._taken_tag = 0
        self._to_ack = 0
        self._full = False
        self._due = False  # whether the next look at what is held has its time already
        self._stopping = False
        self.failed = False
        self._thread = threading.Thread(target=self._run, name="heka-raven-amqp", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: when the system starts no more threads.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from None

    def stop(self) -> None:
        """Acknowledge what was taken, give back the rest, close."""
        if self._thread.is_alive():
            self._link.loop.add_callback_threadsafe(self._end)
            self._thread.join(JOIN_WAIT_S)

    def facts(self) -> dict[str, Any]:
        """For the status."""
        facts = self._link.facts()
        if self._full and self._channel is not None:
            facts["state"] = "connected, waiting: the spool takes nothing"
        return facts

    def _run(self) -> None:
        try:
            self._link.run()
        except Exception:
            logger.exception("the consumer failed; the relay ends, so that whoever started it starts it anew")
            self.failed = True

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_cancel_callback(lambda _: self._link.drop(f"queue {self._queue_name} is gone"))
        channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: self._consume(channel))

    def _consume(self, channel: Any) -> None:
        if channel is self._channel:
            channel.basic_consume(self._queue_name, self._on_message)

    def _lost(self) -> None:
        """What was not acknowledged comes again, to whoever consumes."""
        self._channel = None
        self._held.clear()
        self._to_ack = 0

    def _on_message(self, channel: Any, method: Any, _properties: object, body: bytes) -> None:
        if channel is not self._channel or self._stopping:
            return
        if method.redelivered:
            self._intake.counts.add("redelivered")
        self._held.append((method.delivery_tag, body))
        if not self._due:
            self._work()

    def _later(self, delay_s: float) -> None:
        self._due = True
        self._link.loop.call_later(delay_s, self._work)

    def _work(self) -> None:
        channel = self._channel
        self._full = self._due = False
        for _ in range(WORK_AT_ONCE):
            if channel is None or self._stopping or not self._held:
                return
            tag, body = self._held[0]
            try:
                taken = self._intake.take_envelope(body, str(self._link.url))
            except Refused:
                self._held.popleft()
                channel.basic_reject(tag, requeue=False)
                self._intake.counts.add("dead_letters")
                continue
            if not taken:
                self._full = True
                self._later(RETRY_FULL_S)
                return
            self._held.popleft()
            self._taken_tag = tag
            self._to_ack += 1
            if self._to_ack >= max(1, self._prefetch // 4):
                self._ack()
            elif self._to_ack == 1:
                self._link.loop.call_later(ACK_AFTER_S, self._ack)
        if self._held:
            self._later(0)

    def _ack(self) -> None:
        if self._channel is not None and self._to_ack:
            self._channel.basic_ack(self._taken_tag, multiple=True)
            self._to_ack = 0

    def _end(self) -> None:
        self._stopping = True
        self._ack()
        self._link.end()
