# amqp/command.py: `heka-raven send --to amqps://…`: publish the spool in place of delivering it.

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable

from heka_raven.amqp.options import BrokerOptions
from heka_raven.cli import EXIT_LEFT, EXIT_LOCKED, EXIT_OK
from heka_raven.fleet_state import FleetState
from heka_raven.sender.lock import SenderLock, holder_pid
from heka_raven.spool import Spool

LOCK_EVERY_S = 1.0
logger = logging.getLogger("heka_raven")


def send_to(
    options: BrokerOptions,
    spool: Spool,
    *,
    once: bool,
    send_secret: bool,
    max_age_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Publish until SIGTERM or SIGINT, or (*once*) what is there; returns the exit code of `send`."""
    from heka_raven.amqp.publisher import Publisher  # needs the extra `amqp`, which reading the options has looked for

    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what matters of it is said in our own words
    lock = SenderLock(spool.path)
    stopping = threading.Event()
    current: list[Publisher] = []

    def stop(*_: object) -> None:
        stopping.set()
        for publisher in current:
            publisher.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    state = FleetState(spool.path, "send")
    told = False
    while not stopping.is_set():
        if not lock.acquire():
            if once:
                print(
                    f"heka-raven send: another sender holds the lock of {spool.path}: pid {holder_pid(spool.path)}",
                    file=sys.stderr,
                )
                return EXIT_LOCKED
            if not told:
                logger.info("spool %s: waiting, the sender is pid %s", spool.path, holder_pid(spool.path))
                told = True
            stopping.wait(LOCK_EVERY_S)
            continue
        told = False
        publisher = Publisher(
            options,
            spool,
            once=once,
            send_secret=send_secret,
            max_age_s=max_age_s,
            still_ours=lock.held,
            every_tick=lambda it: state.write({"broker": it.link.facts(), "counts": it.ends}),
            progress=progress,
        )
        current[:] = [publisher]
        if not stopping.is_set():
            logger.info("spool %s: publishing to queue %s", spool.path, options.queue)
            publisher.run()
        state.write({"broker": publisher.link.facts(), "counts": publisher.ends}, now=True)
        lock.release()
        if once:
            left = len(spool.names())
            print(f"{publisher.ends.get('delivered', 0)} published, {left} left in {spool.path}")
            return EXIT_LEFT if left else EXIT_OK
        stopping.wait(0 if stopping.is_set() else LOCK_EVERY_S)
    logger.info("spool %s: stopped, %d events wait", spool.path, len(spool.names()))
    return EXIT_OK
