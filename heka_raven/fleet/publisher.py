"""In place of the sender: from the spool to a quorum queue.

A file leaves the spool only when the broker has confirmed its message. Many are on their way at once, within a bound
by count and bytes; when the connection is lost they all go again, with the same event id.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import orjson
import pika

from heka_raven.fleet.broker import BrokerOptions
from heka_raven.fleet.broker_link import Link
from heka_raven.fleet.records import HK_TAKEN, MAX_ENVELOPE_SIZE
from heka_raven.formats.dsn import DsnError, parse_dsn
from heka_raven.formats.envelope import EnvelopeError, split_header
from heka_raven.sender.housekeeping import House
from heka_raven.sender.listing import TICK_S, Listing
from heka_raven.spool.spool import Spool, parse_name

WINDOW = 256  # messages on their way
WINDOW_BYTES = 8 * 1024 * 1024
FILL_AT_ONCE = 64  # messages between two looks at what the broker says
STALL_S = 60.0  # no confirmation for so long, and no alarm: this node has lost its cluster
NACK_PAUSE_S = 1.0  # the queue is full
DRAIN_S = 5.0
CONTENT_TYPE = "application/x-sentry-envelope"

logger = logging.getLogger("heka_raven")


class Publisher:
    """Publishes one spool; the sender's lock is the caller's business, given as `still_ours`."""

    def __init__(
        self,
        options: BrokerOptions,
        spool: Spool,
        *,
        once: bool = False,
        send_secret: bool = False,
        max_age_s: float = 86_400.0,
        still_ours: Callable[[], bool] = lambda: True,
        every_tick: Callable[[Publisher], None] = lambda _: None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Nothing is opened.

        Args:
            once: publish what is there, then return; also when no node can be reached, it blocks, or the queue is full.
            send_secret: leave the DSN's secret in; else the relay's allow-list must know it, if the server wants it.
        """
        self.link = Link(options, self._ready, self._lost)
        self.ends: dict[str, int] = {}
        self._queue_name = options.queue
        self._spool = spool
        self._once = once
        self._send_secret = send_secret
        self._max_age_s = max_age_s
        self._still_ours = still_ours
        self._every_tick = every_tick
        self._progress = progress
        self._channel: Any = None
        self._waiting: deque[str] = deque()
        self._known: set[str] = set()
        self._stuck: set[str] = set()  # confirmed, and cannot be removed
        self._in_flight: OrderedDict[int, tuple[str, int, int]] = OrderedDict()  # tag: name, size of file, size sent
        self._in_flight_bytes = 0
        self._returned: set[int] = set()
        self._tag = 0
        self._paused_until = 0.0
        self._confirmed_at = 0.0
        self._refused_since: float | None = None
        self._refusals = 0  # times that a connection was dropped for it
        self._listing = Listing(spool, once=once)
        self._house = House(spool)
        self._stop_by: float | None = None
        self._losses = 0
        self._urls = len(options.urls)

    @property
    def waiting(self) -> int:
        return len(self._known)

    def run(self) -> None:
        """Publish until stopped, the lock is lost, or (once) everything is confirmed."""
        self._spool.ledger.renew()  # the spool may be another than that of our last run
        self.link.loop.call_later(0, self._tick)
        self.link.run()

    def stop(self) -> None:
        """End soon: what is on its way may still be confirmed. A signal handler may call it."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + DRAIN_S

    def _tick(self) -> None:
        now = time.monotonic()
        if self._over(now):
            self.link.end()
            return
        self._scan()
        self._fill()
        self._look_for_a_stall(now)
        if not self._once and self._house.due(now):
            self._house.keep(time.time())
            self._give_up_old()
        self._every_tick(self)
        if self._progress is not None:
            done = sum(self.ends.values())
            self._progress(done, done + len(self._known))
        self.link.loop.call_later(TICK_S, self._tick)

    def _look_for_a_stall(self, now: float) -> None:
        """Another connection may get on where this one does not."""
        if self._in_flight and not self.link.blocked and now - self._confirmed_at > STALL_S:
            self.link.stalled = f"nothing was confirmed for {STALL_S:g} s"
        elif self._refused_since is not None and now - self._refused_since > STALL_S * 2 ** min(self._refusals, 4):
            # A full queue; or RabbitMQ 3.10's end of this channel, which can go on refusing after a change of leader.
            self._refusals += 1
            self.link.stalled = f"the queue refused all for {now - self._refused_since:.0f} s"
        else:
            return
        self.link.drop(self.link.stalled)

    def _over(self, now: float) -> bool:
        if not self._still_ours():
            return True
        if self._stop_by is not None:
            return not self._in_flight or self._channel is None or now >= self._stop_by
        if not self._once:
            return False
        return self._listing.done and (not self._known or self._losses >= self._urls or self.link.blocked)

    def _scan(self) -> None:
        new = [name for name in self._listing.look() if name not in self._known and name not in self._stuck]
        self._known.update(new)
        self._waiting.extend(new)

    def _ready(self, channel: Any) -> None:
        self._tag = 0
        self._confirmed_at = time.monotonic()
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(
            lambda frame: self._on_confirm(channel, frame), callback=lambda _: self._start(channel)
        )

    def _start(self, channel: Any) -> None:
        self._channel = channel
        self._fill()

    def _lost(self) -> None:
        """Whatever was not confirmed goes again, before the rest."""
        self._channel = None
        self._refused_since = None
        self._losses += 1
        self._waiting.extendleft(name for name, _, _ in reversed(self._in_flight.values()))
        self._in_flight.clear()
        self._returned.clear()
        self._in_flight_bytes = 0

    def _fill(self) -> None:
        """Publish while there is room on the way."""
        channel = self._channel
        if channel is None or self.link.blocked or self._stop_by is not None or time.monotonic() < self._paused_until:
            return
        for _ in range(FILL_AT_ONCE):
            if not self._waiting or len(self._in_flight) >= WINDOW or self._in_flight_bytes >= WINDOW_BYTES:
                return
            self._publish(channel, self._waiting.popleft())

    def _publish(self, channel: Any, name: str) -> None:
        data = self._spool.read(name)
        entry = parse_name(name)
        if data is None or entry is None:
            self._known.discard(name)  # somebody else took it
            if self._spool.is_waiting(name):
                self._spool.log_sparingly("read", "spool file %s cannot be read now: it waits", name)
                self._listing.again()
            return
        try:
            body = travel_form(data, self._send_secret)
        except (EnvelopeError, DsnError) as error:
            self._spool.log_sparingly("file", "spool file %s cannot be sent, a copy is in dead/: %s", name, error)
            if self._spool.bury(name, "discarded.internal_sdk_error", len(data)):
                self._end(name, "discarded.internal_sdk_error")
            return
        if not self._in_flight:
            self._confirmed_at = time.monotonic()
        self._tag += 1
        self._in_flight[self._tag] = (name, len(data), len(body))
        self._in_flight_bytes += len(body)
        channel.basic_publish(
            "",
            self._queue_name,
            body,
            pika.BasicProperties(
                content_type=CONTENT_TYPE,
                delivery_mode=2,
                message_id=entry.event_id,
                correlation_id=str(self._tag),
                app_id="heka-raven",
            ),
            mandatory=True,
        )

    def _on_return(self, channel: object, _method: object, properties: Any, _body: bytes) -> None:
        """The queue is gone: its confirmation, which follows, means nothing."""
        if channel is self._channel:
            self._returned.add(int(properties.correlation_id))

    def _on_confirm(self, channel: object, frame: Any) -> None:
        if channel is not self._channel:
            return  # of a connection that was given up: the same numbers mean other events now
        method = frame.method
        acked = isinstance(method, pika.spec.Basic.Ack)
        self._confirmed_at = time.monotonic()
        if acked:
            self.link.stalled = self._refused_since = None
            self._refusals = 0
        elif self._refused_since is None:
            self._refused_since = self._confirmed_at
        if method.multiple:
            tags = []
            for tag in self._in_flight:
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        else:
            tags = [method.delivery_tag] if method.delivery_tag in self._in_flight else []
        returned = False
        for tag in reversed(tags):  # so that those that go again keep their order
            name, size, sent = self._in_flight.pop(tag)
            self._in_flight_bytes -= sent
            if tag in self._returned:
                self._returned.discard(tag)
                self._waiting.appendleft(name)
                returned = True
            elif not acked:
                self._waiting.appendleft(name)
                self._paused_until = time.monotonic() + NACK_PAUSE_S
                self._losses += self._urls if self._once else 0
                self._spool.log_sparingly("nack", "the broker's queue %s takes no more: events wait", self._queue_name)
            elif self._spool.remove(name, "delivered", size):
                self._end(name, "delivered")
            else:
                self._known.discard(name)
                if self._spool.is_waiting(name):
                    self._stuck.add(name)
        if returned:
            self.link.drop(f"queue {self._queue_name} is gone")
        else:
            self._fill()

    def _end(self, name: str, counter: str) -> None:
        self._known.discard(name)
        self.ends[counter] = self.ends.get(counter, 0) + 1

    def _give_up_old(self) -> None:
        """Without a broker events grow too old, as they do for the sender without a server."""
        if self._channel is not None and not self.link.blocked:
            return
        oldest_ns = int((time.time() - self._max_age_s) * 1e9)
        for _ in range(len(self._waiting)):
            entry = parse_name(self._waiting[0])
            if entry is None or entry.timestamp_ns >= oldest_ns:
                break
            name = self._waiting.popleft()
            try:
                size = os.stat(os.path.join(self._spool.path, "new", name)).st_size
            except OSError:
                self._known.discard(name)
                continue
            if self._spool.remove(name, "discarded.network_error", size):
                self._end(name, "discarded.network_error")


def travel_form(data: bytes, send_secret: bool) -> bytes:
    """A spool file as it goes over the broker: without the DSN's secret unless that is wanted.

    How this host would reach the server stays here: a proxy's password is nobody's business, and its paths mean nothing
    elsewhere.

    Raises:
        EnvelopeError, DsnError: when it is no event of ours.
    """
    if len(data) > MAX_ENVELOPE_SIZE:
        raise EnvelopeError(f"{len(data)} bytes, relays take at most {MAX_ENVELOPE_SIZE}")
    header, offset = split_header(data)
    text = header.get("dsn")
    if not isinstance(text, str):
        raise EnvelopeError("its header has no dsn")
    dsn = parse_dsn(text)
    if not send_secret:
        header["dsn"] = dsn.without_secret()
    hk = header.pop("hk", None)
    if isinstance(hk, dict) and (kept := {key: value for key, value in hk.items() if key in HK_TAKEN}):
        header["hk"] = kept
    return orjson.dumps(header) + b"\n" + data[offset:]
