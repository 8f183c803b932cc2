"""`heka-raven relay`: options, start, stop."""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import sys
from typing import TYPE_CHECKING

from heka.convert import to_choice, to_int, to_seconds, to_size
from heka.exceptions import ConfigError
from heka_raven.cli.config_file import add_config, parse_with_config
from heka_raven.cli.options import add_sender, add_spool, open_as_owner, read_sender
from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, Parser
from heka_raven.fleet.address import parse_address
from heka_raven.fleet.allow import AllowList
from heka_raven.fleet.broker import add_broker, read_broker
from heka_raven.fleet.forward import Forwarder
from heka_raven.fleet.intake import Intake
from heka_raven.fleet.listener import MAX_CONNECTIONS, MAX_RECORD_S, Listener
from heka_raven.fleet.records import LEGACY
from heka_raven.fleet.signers import Signers, parse_signers, read_signer_file
from heka_raven.fleet.state import FleetState
from heka_raven.sender.thread import SenderThread
from heka_raven.spool.spool import DEFAULT_MAX_BYTES, DEFAULT_MAX_COUNT, DURABILITIES, Spool
from heka_raven.streams import MAX_CAP

if TYPE_CHECKING:
    from heka_raven.fleet.consumer import Consumer

SPARE_FILES = 128  # descriptors beside those of connections: the spool, the sender, the broker
logger = logging.getLogger("heka_raven")


def make_parser() -> argparse.ArgumentParser:
    """The options; each is also a key of the section ``[relay]``."""
    parser = Parser(
        prog="heka-raven relay",
        description="Take error events from a fleet, as Heka records or from an AMQP broker, into a spool, and deliver "
        "them. Runs until SIGTERM or SIGINT.",
    )
    add = parser.add_argument
    add_config(parser)
    add(
        "--listen",
        action="append",
        metavar="ADDRESS",
        help="udp://HOST:PORT, tcp://HOST:PORT or unix:///PATH; repeatable",
    )
    add(
        "--dsn",
        action="append",
        metavar="RULE",
        help="a DSN of the network that may be used: [SCHEME://][KEY@]HOST[:PORT]/PROJECT with * and ?, "
        "or RULE -> DSN to send such events elsewhere; repeatable, the first that matches decides",
    )
    add(
        "--signer",
        action="append",
        metavar="NAME_VERSION=KEY",
        help="a key of signed records; repeatable. Others can see it in ps",
    )
    add("--signer-file", metavar="FILE", help="the same, one a line")
    add(
        "--allow-unsigned",
        action=argparse.BooleanOptionalAction,
        help="take unsigned records although there are signers, or from other hosts",
    )
    add("--forward", metavar="ADDRESS", help="hand records of other types on to udp://, tcp:// or file:///PATH")
    add(
        "--legacy",
        metavar="|".join(LEGACY),
        help="what an event of protocol 3 becomes for http(s): event (default) or raven, for Sentry 5",
    )
    add("--max-connections", metavar="N", help=f"default {MAX_CONNECTIONS}")
    add("--max-record-time", metavar="S", help=f"seconds a record may take to come (default {MAX_RECORD_S:g})")
    add_spool(parser)
    add("--durability", metavar="|".join(DURABILITIES), help="power: fsync each event before it counts as taken")
    add("--max-bytes", metavar="SIZE", help="of the spool; K, M, G (default 256M)")
    add("--max-count", metavar="N", help=f"events in the spool (default {DEFAULT_MAX_COUNT})")
    add(
        "--sender",
        metavar="thread|off",
        help="off: `heka-raven send` delivers, in a process of its own (default thread)",
    )
    add_sender(parser)
    add(
        "--from",
        dest="from",
        action="append",
        metavar="URL",
        help="amqps://USER:PASSWORD@HOST[:PORT]/VHOST; repeatable: the nodes of one cluster",
    )
    add_broker(parser)
    add("--prefetch", metavar="N", help="messages taken from the broker and not yet acknowledged (default 100)")
    return parser


def main(argv: list[str]) -> int:
    arguments = parse_with_config(make_parser(), argv, "relay")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters of it is said in our own words
    addresses = [parse_address("listen", text) for text in arguments.listen or ()]
    urls = getattr(arguments, "from") or []
    if not addresses and not urls:
        raise ConfigError("listen: nothing to take events from: give --listen tcp://HOST:PORT or --from amqps://…")
    allowed = AllowList(arguments.dsn or ())
    signers = _signers(arguments)
    exposed = next((a for a in addresses if not a.is_local), None)
    if exposed is not None and not len(signers) and not arguments.allow_unsigned:
        raise ConfigError(
            f"listen: {exposed} can be reached by other hosts: give --signer-file FILE, or say --allow-unsigned"
        )
    legacy = to_choice("legacy", arguments.legacy or "event", choices=LEGACY)
    sender = to_choice("sender", arguments.sender or "thread", choices=("thread", "off"))
    options = read_sender(arguments)
    max_connections = to_int("max_connections", arguments.max_connections or MAX_CONNECTIONS, low=1, high=1_000_000)
    max_record_s = to_seconds("max_record_time", arguments.max_record_time or MAX_RECORD_S, low=0.1, high=3600)
    spool = Spool(
        open_as_owner(arguments.spool),
        max_bytes=to_size("max_bytes", arguments.max_bytes or DEFAULT_MAX_BYTES, low=1, high=MAX_CAP),
        max_count=to_int("max_count", arguments.max_count or DEFAULT_MAX_COUNT, low=1, high=MAX_CAP),
        durability=to_choice("durability", arguments.durability or "process", choices=DURABILITIES),
    )
    intake = Intake(spool, allowed, signers, legacy=legacy)
    forwarder = None
    if arguments.forward:
        forwarder = Forwarder(arguments.forward, intake.counts)
        intake.forward = forwarder.put
    state = FleetState(spool.path, "relay")
    consumer = _consumer(arguments, urls, intake) if urls else None
    listener = Listener(
        addresses,
        intake,
        max_connections=_raise_file_limit(max_connections),
        max_record_s=max_record_s,
        every_tick=lambda: _look_after(listener, intake, consumer, state),
    )
    thread = SenderThread(spool, options) if sender == "thread" else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: listener.stop())
    try:
        if thread is not None:
            thread.start()
        if consumer is not None:
            consumer.start()
        for address in listener.addresses:
            print(f"relay: {address}", flush=True)
        logger.info("relay: spool %s", spool.path)
        state.write(_facts(listener, intake, consumer), now=True)
        listener.run()
    finally:
        if consumer is not None:
            consumer.stop()
        if forwarder is not None:
            forwarder.stop()
        state.write(_facts(listener, intake, consumer), now=True)
        listener.close()
        if thread is not None:
            thread.stop(options.exit_wait_s)
        spool.ledger.write_missing()
    logger.info(
        "relay: stopped: %s", ", ".join(f"{n} {name}" for name, n in intake.counts.snapshot().items()) or "nothing came"
    )
    return EXIT_FAILED if consumer is not None and consumer.failed else EXIT_OK


def _look_after(listener: Listener, intake: Intake, consumer: Consumer | None, state: FleetState) -> None:
    state.write(_facts(listener, intake, consumer))
    intake.spool.ledger.write_missing()
    if consumer is not None and consumer.failed:
        listener.stop()


def _facts(listener: Listener, intake: Intake, consumer: Consumer | None) -> dict[str, object]:
    return {
        "listen": [str(address) for address in listener.addresses],
        "connections": listener.open_connections,
        "broker": None if consumer is None else consumer.facts(),
        "counts": intake.counts.snapshot(),
    }


def _signers(arguments: argparse.Namespace) -> Signers:
    keys = parse_signers(arguments.signer or (), "signer")
    if arguments.signer_file:
        keys.update(read_signer_file(arguments.signer_file))
    return Signers(keys, allow_unsigned=bool(arguments.allow_unsigned))


def _consumer(arguments: argparse.Namespace, urls: list[str], intake: Intake) -> Consumer:
    options = read_broker("from", urls, arguments)
    from heka_raven.fleet.consumer import DEFAULT_PREFETCH, Consumer  # needs the extra `amqp`

    prefetch = to_int("prefetch", arguments.prefetch or DEFAULT_PREFETCH, low=1, high=10_000)
    return Consumer(options, intake, prefetch)


def _raise_file_limit(connections: int) -> int:
    """Ask for as many descriptors as *connections* need; returns how many connections there can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    logger.warning("relay: %d files may be open, that is enough for %d connections", soft, max(1, soft - SPARE_FILES))
    return max(1, soft - SPARE_FILES)
