"""Jobs in flight, told to `heka-raven watch`: name, id, queue and arguments, masked."""

# Rule 1: what goes wrong in here is not seen by the job; it is then not told.

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from heka.limited_log import TROUBLES
from heka_raven.capture.values import Walker
from heka_raven.eyes.own import Process, begin_row, listen
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import MAX_TEXT
from heka_raven.reporting.clients import reporter_of, rules_of

if TYPE_CHECKING:
    from heka_raven.jobs.job import Job

BUDGET_S = 0.015  # of the processor's time, for the arguments
MAX_NAME = 200


class Watched:
    """Whether jobs are told, and where."""

    spool_path = ""


def watch(client: Any, wanted: bool) -> None:
    """From now on jobs are told in the spool of *client*, or they are not."""
    spool = getattr(getattr(client, "stream", None), "spool", None)
    Watched.spool_path = spool.path if wanted and spool is not None else ""
    if not wanted:
        return
    if spool is None:
        TROUBLES.tell("watch", logging.WARNING, "watch: nothing is told: the client writes into no spool")
        return
    reporter = reporter_of(client)
    if reporter is not None:
        EYES.add(rules_of(reporter.options))
    listen()


def begin(describe: Callable[[], Job]) -> int | None:
    """A job begins; what :func:`end` wants. Never raises."""
    try:
        job = describe()
        own = Process.own or begin_row(Watched.spool_path, job.library)
        known: dict[str, Any] = {"transaction": job.name[:MAX_NAME], "tags": job.tags(), "extra": job.extra()}
        return own.begin(b"\n" + _encode(known))
    except Exception:
        return None


def end(at: int | None) -> None:
    """The job that began at *at* is over. Never raises."""
    try:
        if at is not None and Process.own is not None:
            Process.own.end(at)
    except Exception:
        return


def leave() -> None:
    """This process ends without exit handlers."""
    if Process.own is not None:
        Process.own.leave()


def _encode(known: dict[str, Any]) -> bytes:
    """Masked, in one slot: without the arguments where they are too long."""
    walker = Walker(time.thread_time, EYES.scrubber(), budget_s=BUDGET_S)
    job = known["extra"]["job"]
    if type(job.get("arguments")) is dict:
        job["arguments"] = walker.show_names(list(job["arguments"].items()))
    whole = orjson.dumps(EYES.mask_known(known))
    if len(whole) >= MAX_TEXT:
        job["arguments"] = "too long for the watch"
        whole = orjson.dumps(EYES.mask_known(known))
    return whole
