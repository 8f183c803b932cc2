# amqp/command.py: `heka-raven send --to amqps://…`: publish the spool in place of delivering it.

from __future__ import annotations

import logging
from collections.abc import Callable

from heka_raven.amqp.options import BrokerOptions
from heka_raven.cli import EXIT_LEFT, EXIT_OK
from heka_raven.cli_turns import Turns, tell_locked
from heka_raven.fleet_state import FleetState
from heka_raven.sender.lock import SenderLock
from heka_raven.spool import Spool

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
    turns = Turns(spool.path, lock)
    state = FleetState(spool.path, "send")
    if once and not lock.acquire_soon():
        return tell_locked(lock, spool.path)
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
        lock.release()
        if once:
            left = len(spool.names())
            print(f"{publisher.ends.get('delivered', 0)} published, {left} left in {spool.path}")
            return EXIT_LEFT if left else EXIT_OK
        turns.wait()
    logger.info("spool %s: stopped, %d events wait", spool.path, len(spool.names()))
    return EXIT_OK
