"""`heka-raven send` and `heka-raven retry-dead`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

from heka_raven.cli.config_file import add_config, parse_with_config
from heka_raven.cli.options import add_sender, add_spool, existing_spool, open_as_owner, read_sender
from heka_raven.cli.parser import EXIT_FAILED, EXIT_LEFT, EXIT_LOCKED, EXIT_OK, Parser
from heka_raven.fleet.broker import BrokerOptions, add_broker, read_broker
from heka_raven.fleet.state import FleetState
from heka_raven.formats.text import printable
from heka_raven.sender.lock import SenderLock, holder_pid
from heka_raven.sender.loop import Sender
from heka_raven.sender.options import SenderOptions
from heka_raven.sender.turns import Turns, name_holder
from heka_raven.spool.spool import Spool, parse_name

logger = logging.getLogger("heka_raven")


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven send",
        description="Deliver from the spool. Runs until SIGTERM or SIGINT: the requests in flight are finished first. "
        "As root it becomes the owner of the spool. Exit codes of --once: 0 all delivered, 1 something was refused, 3 "
        "something left, 4 another sender holds the lock.",
    )
    add_spool(parser)
    parser.add_argument("--once", action="store_true", help="one try per event, then exit")
    add_sender(parser)
    add_config(parser)
    parser.add_argument(
        "--to",
        action="append",
        metavar="URL",
        help="publish to this AMQP broker in place of delivering: amqps://USER:PASSWORD@HOST[:PORT]/VHOST; repeatable: "
        "the nodes of one cluster",
    )
    add_broker(parser)
    parser.add_argument("--send-secret", action="store_true", help="publish DSNs with their secret")
    arguments = parse_with_config(parser, argv, "send")
    options = read_sender(arguments)
    handler = _Handler()
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    broker = read_broker("to", arguments.to, arguments) if arguments.to else None
    spool = Spool(open_as_owner(arguments.spool))
    if broker is not None:
        with _progress() if arguments.once else contextlib.nullcontext() as progress:
            return _publish(
                broker,
                spool,
                once=arguments.once,
                send_secret=arguments.send_secret,
                max_age_s=options.max_age_s,
                progress=progress,
            )
    lock = SenderLock(spool.path)
    if arguments.once:
        return _once(spool, lock, options)
    turns = Turns(spool.path, lock)
    while turns.take():
        logger.info("spool %s: sending", spool.path)
        sender = turns.current = Sender(spool, options, options_win=True, still_ours=lock.held)
        if not turns.over:
            sender.run()
        lock.release()
        if not os.path.isdir(spool.path):
            turns.wait()
    logger.info("spool %s: stopped, %d events wait", spool.path, len(spool.names()))
    return EXIT_OK


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # no generic before Python 3.11


class _Handler(_StreamHandler):
    """To what stderr is at that moment: while the bar is shown, rich puts lines above it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _once(spool: Spool, lock: SenderLock, options: SenderOptions) -> int:
    if not lock.acquire_soon():
        return _tell_locked(lock, spool.path)
    with _progress() as progress:
        sender = Sender(spool, options, once=True, options_win=True, still_ours=lock.held, progress=progress)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sender.stop())
        sender.run()
    lock.release()
    left = len(spool.names())
    gone = ", ".join(f"{n} {name.rpartition('.')[2]}" for name, n in sorted(sender.ends.items())) or "nothing delivered"
    print(f"{gone}, {left} left in {spool.path}")
    refused = sum(sender.ends.get(f"discarded.{name}", 0) for name in ("send_error", "internal_sdk_error"))
    if refused:
        print(f"heka-raven send: {refused} refused; heka-raven retry-dead --list says why", file=sys.stderr)
    return EXIT_LEFT if left else EXIT_FAILED if refused else EXIT_OK


def _publish(
    options: BrokerOptions,
    spool: Spool,
    *,
    once: bool,
    send_secret: bool,
    max_age_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Publish until SIGTERM or SIGINT, or (*once*) what is there; returns the exit code of `send`."""
    from heka_raven.fleet.publisher import Publisher  # needs the extra `amqp`, which reading the options has looked for

    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters of it is said in our own words
    lock = SenderLock(spool.path)
    turns = Turns(spool.path, lock)
    state = FleetState(spool.path, "send")
    if once and not lock.acquire_soon():
        return _tell_locked(lock, spool.path)
    while turns.take():
        publisher = turns.current = Publisher(
            options,
            spool,
            once=once,
            send_secret=send_secret,
            max_age_s=max_age_s,
            still_ours=lock.held,
            every_tick=lambda it: state.write({"broker": it.link.facts(), "counts": it.ends}),
            progress=progress,
        )
        if not turns.over:
            logger.info("spool %s: publishing to queue %s", spool.path, options.queue)
            publisher.run()
        state.write({"broker": publisher.link.facts(), "counts": publisher.ends}, now=True)
        spool.ledger.write_missing()
        lock.release()
        if once:
            left = len(spool.names())
            print(f"{publisher.ends.get('delivered', 0)} published, {left} left in {spool.path}")
            return EXIT_LEFT if left else EXIT_OK
        turns.wait()
    logger.info("spool %s: stopped, %d events wait", spool.path, len(spool.names()))
    return EXIT_OK


def _tell_locked(lock: SenderLock, spool_path: str) -> int:
    """Say why the lock could not be had; the exit code of `send --once`."""
    if lock.trouble is not None:
        print(f"heka-raven send: the lock cannot be had: {lock.trouble}", file=sys.stderr)
        return EXIT_FAILED
    holder = name_holder(holder_pid(spool_path))
    print(f"heka-raven send: another sender holds the lock of {spool_path}: {holder}", file=sys.stderr)
    return EXIT_LOCKED


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:  # the extra `cli` is not installed
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sending")
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1))


def retry_dead(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven retry-dead",
        description="Put the events that servers refused (dead/) back into the spool; they count as captured anew.",
    )
    add_spool(parser)
    parser.add_argument("--list", action="store_true", help="only show what is there, and why it was refused")
    arguments = parser.parse_args(argv)
    existing_spool(arguments.spool)
    spool = Spool(open_as_owner(arguments.spool))
    names = spool.dead_names()
    if arguments.list:
        for name in names:
            entry = parse_name(name)
            at = "" if entry is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.timestamp_ns / 1e9))
            event_id = "" if entry is None else entry.event_id
            print(f"{at} {event_id} {printable(spool.why_dead(name) or 'no reason was kept')}")
        return EXIT_OK
    back = sum(spool.retry_dead(name) for name in names)
    print(f"{back} of {len(names)} put back into {spool.path}")
    if back < len(names):
        left = len(spool.dead_names())
        print(f"heka-raven retry-dead: {left} stay in dead/, the spool takes no more: let it empty", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK
