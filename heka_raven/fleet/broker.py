"""Which broker, which queue, and how: shared by the publisher and the consumer.

Imports no AMQP library, so that --help and error messages need none.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from heka.convert import to_file, to_seconds
from heka.exceptions import ConfigError
from heka_raven.fleet.address import Address

DEFAULT_QUEUE = "heka-raven"
DEFAULT_HEARTBEAT_S = 30.0
DEAD_SUFFIX = ".dead"
MAX_QUEUE_NAME = 255 - len(DEAD_SUFFIX)  # bytes; an AMQP short string
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}

logger = logging.getLogger("heka_raven")


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """One node of a broker. Its text form has no password."""

    scheme: str
    host: str
    port: int
    vhost: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"<BrokerUrl {self}>"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + ("" if self.vhost == "/" else f"/{self.vhost}")


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to reach the queue."""

    urls: tuple[BrokerUrl, ...]  # tried in turn
    queue: str = DEFAULT_QUEUE
    declare: bool = True
    heartbeat_s: float = DEFAULT_HEARTBEAT_S
    ca_file: str | None = None
    cert_file: str | None = None

    @property
    def dead_queue(self) -> str:
        return self.queue + DEAD_SUFFIX


def parse_url(key: str, text: str) -> BrokerUrl:
    """Read ``amqp[s]://[USER[:PASSWORD]@]HOST[:PORT][/VHOST]``; user, password and vhost may be percent-encoded.

    Raises:
        ConfigError: naming the key and the rule; it never quotes the text, which holds a password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ConfigError(f"{key}: the host or the port of the broker's URL is not valid") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ConfigError(f"{key}: a broker's URL is amqps://USER:PASSWORD@HOST[:PORT][/VHOST]")
    if parts.query or parts.fragment:
        raise ConfigError(f"{key}: a broker's URL takes no query; set options where they belong")
    vhost = unquote(parts.path[1:]) or "/"
    if "/" in parts.path[1:]:
        raise ConfigError(f"{key}: a slash within the vhost is written %2F")
    return BrokerUrl(
        parts.scheme,
        parts.hostname,
        port or DEFAULT_PORTS[parts.scheme],
        vhost,
        unquote(parts.username or "guest"),
        unquote(parts.password or "guest"),
    )


def add_broker(parser: argparse.ArgumentParser) -> None:
    """The options that the consumer and the publisher share."""
    add = parser.add_argument
    add(
        "--queue", metavar="NAME", help=f"of the broker; dead letters go to NAME{DEAD_SUFFIX} (default {DEFAULT_QUEUE})"
    )
    add(
        "--declare",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="make the queues where they are missing (default: yes)",
    )
    add(
        "--heartbeat", metavar="S", help=f"a broker silent for twice this is given up (default {DEFAULT_HEARTBEAT_S:g})"
    )
    add("--amqp-ca-file", metavar="FILE", help="certificates of brokers to trust in place of the system's")
    add("--amqp-cert-file", metavar="FILE", help="our own certificate with its key, for a broker that asks for one")


def read_broker(key: str, urls: list[str], arguments: argparse.Namespace) -> BrokerOptions:
    """Check what `add_broker` read.

    Args:
        key: ``to`` or ``from``: what the URLs are an option of.

    Raises:
        ConfigError: naming the option, its value and what is allowed; also when the AMQP library is missing.
    """
    queue = arguments.queue or DEFAULT_QUEUE
    if len(queue.encode("utf-8")) > MAX_QUEUE_NAME or queue.startswith("amq."):
        raise ConfigError(f"queue: {queue!r} is longer than {MAX_QUEUE_NAME} bytes or begins with amq.")
    options = BrokerOptions(
        tuple(parse_url(key, text) for text in urls),
        queue,
        arguments.declare is not False,
        to_seconds("heartbeat", arguments.heartbeat or DEFAULT_HEARTBEAT_S, low=1, high=3600),
        to_file("amqp_ca_file", arguments.amqp_ca_file),
        to_file("amqp_cert_file", arguments.amqp_cert_file),
    )
    try:
        import pika  # noqa: F401
    except ImportError:
        raise ConfigError(f"{key}: AMQP needs pika; install it with: pip install 'heka-raven[amqp]'") from None
    for url in options.urls:
        if url.scheme == "amqp" and not Address("tcp", url.host, url.port).is_local:
            logger.warning("%s: %s: events cross the network in the clear; amqps:// encrypts", key, url)
    return options
