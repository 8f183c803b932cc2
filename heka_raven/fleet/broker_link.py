"""One connection to a broker and the queues on it, made again for as long as it takes.

Everything runs on one I/O loop in one thread. The nodes of a cluster are tried in turn. What goes wrong ends in one
place, `_lost`: the connection is thrown away and the next is tried after a pause.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.credentials import PlainCredentials

from heka.limited_log import SparseLog
from heka_raven.fleet.broker import BrokerOptions, BrokerUrl
from heka_raven.sender.policy import backoff_s

CONNECT_TIMEOUT_S = 10.0  # for TCP, TLS and the AMQP handshake each
READY_TIMEOUT_S = 30.0  # from the first byte to the queue being there; a node without its cluster hangs here
LOOK_EVERY_S = 10.0  # how often the depth of the queues is asked for
CLOSE_WAIT_S = 2.0
# Redeliveries before a message goes to the dead letters: one that kills its relay each time must not do so for ever. A
# relay whose spool is full is cut off by the broker every half an hour (consumer_timeout), which counts as one: so many
# last for two days, longer than events wait in its spool (max_age).
DELIVERY_LIMIT = 100

logger = logging.getLogger("heka_raven")


class Link:
    """A connection with a channel and the declared queues."""

    def __init__(
        self,
        options: BrokerOptions,
        on_ready: Callable[[Any], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Nothing is opened.

        Args:
            on_ready: called with the channel once the queues are there.
            on_lost: called when the channel is gone or could not be had, whatever the reason.
        """
        self.loop = IOLoop()
        self.state = "not connected"
        self.error: str | None = None
        self.stalled: str | None = None  # why the publisher dropped the last connection; it clears this
        self.depths: dict[str, int] = {}
        self.blocked = False
        self._options = options
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._next_url = 0
        self._failures = 0
        self._connection: Any = None
        self._channel: Any = None
        self._looker: Any = None
        self._timers: list[object] = []
        self._ending = False
        self._log = SparseLog(logger)

    @property
    def url(self) -> BrokerUrl:
        return self._options.urls[self._next_url % len(self._options.urls)]

    def facts(self) -> dict[str, Any]:
        """For the status: no password in it."""
        return {
            "url": str(self.url),
            "state": self.state,
            "error": self.error or self.stalled,
            "queues": dict(self.depths),
        }

    def run(self) -> None:
        """Keep connected until `end`."""
        self.loop.call_later(0, self._connect)
        try:
            self.loop.start()
        finally:
            self.loop.close()

    def end(self) -> None:
        """Close and leave `run`; on the loop's thread only."""
        self._ending = True
        self._cancel_timers()
        connection = self._connection
        if connection is None or not connection.is_open:  # one that is half open the library closes by an exception
            self.loop.stop()
            return
        self.loop.call_later(CLOSE_WAIT_S, self.loop.stop)
        try:
            connection.close()
        except Exception:
            self.loop.stop()

    def drop(self, why: str) -> None:
        """Give this connection up and make another."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._lost(why)
        try:
            if not (connection.is_closed or connection.is_closing):
                connection.close()
        except Exception:
            pass  # it was half open; nothing of it is used any more

    def _connect(self) -> None:
        if self._ending:
            return
        self._cancel_timers()
        self.state = "connecting"
        self.blocked = False
        try:
            connection = pika.SelectConnection(
                self._parameters(self.url),
                on_open_callback=self._on_open,
                on_open_error_callback=self._on_open_error,
                on_close_callback=self._on_close,
                custom_ioloop=self.loop,
            )
        except Exception as error:
            self._lost(_words(error))
            return
        self._connection = connection
        self._later(READY_TIMEOUT_S, self._check_ready)

    def _check_ready(self) -> None:
        if self.state == "connecting":
            self.drop("it does not get ready")

    def _parameters(self, url: BrokerUrl) -> pika.ConnectionParameters:
        tls = None
        if url.scheme == "amqps":
            context = ssl.create_default_context(cafile=self._options.ca_file)
            if self._options.cert_file is not None:
                context.load_cert_chain(self._options.cert_file)
            tls = pika.SSLOptions(context, url.host)
        return pika.ConnectionParameters(
            host=url.host,
            port=url.port,
            virtual_host=url.vhost,
            credentials=PlainCredentials(url.user, url.password),
            heartbeat=max(1, round(self._options.heartbeat_s)),
            ssl_options=tls,
            connection_attempts=1,
            socket_timeout=CONNECT_TIMEOUT_S,
            stack_timeout=CONNECT_TIMEOUT_S,
            client_properties={"connection_name": "heka-raven"},
        )

    def _on_open(self, connection: Any) -> None:
        if connection is not self._connection:
            return
        connection.add_on_connection_blocked_callback(lambda *_: self._set_blocked(True))
        connection.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(False))
        connection.channel(on_open_callback=self._on_channel)

    def _on_open_error(self, connection: Any, error: BaseException) -> None:
        if connection is self._connection or self._connection is None:
            self._connection = None
            self._lost(_words(error))

    def _on_close(self, connection: Any, error: BaseException) -> None:
        if self._ending:
            self.loop.stop()
        elif connection is self._connection:
            self._connection = None
            self._lost(_words(error))

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        self._channel = channel
        options = self._options
        quorum = {"x-queue-type": "quorum"}
        if not options.declare:
            channel.queue_declare(options.queue, passive=True, callback=self._declared)
            return
        channel.queue_declare(options.dead_queue, durable=True, arguments=quorum)
        channel.queue_declare(
            options.queue,
            durable=True,
            arguments={
                **quorum,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": options.dead_queue,
                # A dead letter is kept until the other queue has confirmed it; that strategy wants reject-publish, and
                # so do we: a full queue then leaves events in the publishers' spools.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-delivery-limit": DELIVERY_LIMIT,
            },
            callback=self._declared,
        )

    def _declared(self, _frame: object) -> None:
        self.state = "connected"
        self.error = None
        self._failures = 0
        logger.info("broker %s: connected, queue %s", self.url, self._options.queue)
        self._later(0.5, self._look)
        self._on_ready(self._channel)

    def _on_channel_closed(self, channel: Any, error: BaseException) -> None:
        if channel is self._channel and not self._ending:
            self.drop(_words(error))

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked
        self.state = "blocked by the broker (memory or disk alarm)" if blocked else "connected"
        logger.warning("broker %s: %s", self.url, self.state)

    def _look(self) -> None:
        """Ask for the depth of the queues, on a channel of its own: an error closes only that."""
        if self._looker is None and self._connection is not None and self._connection.is_open:
            self._looker = self._connection.channel(on_open_callback=self._ask)
            self._looker.add_on_close_callback(self._forget_looker)
        elif self._looker is not None and self._looker.is_open:
            self._ask(self._looker)
        self._later(LOOK_EVERY_S, self._look)

    def _ask(self, channel: Any) -> None:
        for name in (self._options.queue, self._options.dead_queue):
            channel.queue_declare(name, passive=True, callback=self._note_depth)

    def _note_depth(self, frame: Any) -> None:
        self.depths[frame.method.queue] = frame.method.message_count

    def _forget_looker(self, *_: object) -> None:
        self._looker = None

    def _lost(self, why: str) -> None:
        self._channel = self._looker = None
        self._cancel_timers()
        self._log.tell(why, logging.WARNING, "broker %s: %s", self.url, why)
        self.state, self.error, self.blocked = "not connected", why, False
        self._on_lost()
        if self._ending:
            self.loop.stop()
            return
        self._failures += 1
        self._next_url += 1
        rounds = self._failures // len(self._options.urls)  # each node is tried once before the pause grows
        delay = backoff_s(rounds, random.random()) if rounds else 0.1  # noqa: S311 - spreads a fleet, no secret
        self._later(delay, self._connect)

    def _later(self, delay: float, callback: Callable[[], object]) -> None:
        self._timers.append(self.loop.call_later(delay, callback))
        del self._timers[:-8]

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            self.loop.remove_timeout(timer)
        self._timers.clear()


def _words(error: BaseException) -> str:
    """An error of the library in words, at most 300 characters.

    It holds no password: hosts, codes and the broker's text. The library packs the cause of a failed connection into
    several exceptions, each in its own way.
    """
    for _ in range(8):
        inner = getattr(error, "exceptions", None) or getattr(error, "exception", None) or error.args[:1]
        cause = inner[-1] if isinstance(inner, (list, tuple)) and inner else inner
        if not isinstance(cause, BaseException):
            break
        error = cause
    text = " ".join(" ".join(str(part) for part in error.args if part).split())
    return (text or type(error).__name__)[:300]
