"""Dramatiq: messages that fail, by a middleware of its broker. Imported once ``dramatiq`` is."""

# Each failing try is an event of one issue: Dramatiq tries for days before it gives up.

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import dramatiq
import dramatiq.broker
from dramatiq.middleware import Middleware

from heka_raven.jobs.job import Job, begin_job, end_job, named_arguments, report_job, without_library

_NO_ERRORS = ("Retry", "RateLimitExceeded", "Shutdown")  # of dramatiq: another try is asked for


class RavenMiddleware(Middleware):  # type: ignore[misc]
    """Reports what a message's actor raises."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        begin_job(partial(_job_of, broker, message))

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        try:
            if isinstance(exception, BaseException) and not _is_expected(broker, message, exception):
                traceback = without_library(exception, ("dramatiq",))
                report_job(_job_of(broker, message), exception, traceback, kind="dramatiq")
        finally:
            end_job()

    def after_skip_message(self, broker: Any, message: Any) -> None:
        end_job()


def install() -> None:
    """Add the middleware to the broker that is there, and to each that is made."""
    broker_class: Any = dramatiq.broker.Broker
    previous = broker_class.__init__

    @functools.wraps(previous)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        previous(self, *args, **kwargs)
        _add_to(self)

    broker_class.__init__ = __init__
    if dramatiq.broker.global_broker is not None:
        _add_to(dramatiq.broker.global_broker)


def _add_to(broker: Any) -> None:
    if not any(isinstance(each, RavenMiddleware) for each in broker.middleware):
        broker.add_middleware(RavenMiddleware())


def _is_expected(broker: Any, message: Any, error: BaseException) -> bool:
    if type(error).__module__.startswith("dramatiq.") and type(error).__name__ in _NO_ERRORS:
        return True
    throws = message.options.get("throws")
    if not throws:
        actor = broker.actors.get(message.actor_name)
        throws = actor.options.get("throws") if actor is not None else None
    return bool(throws) and isinstance(error, throws)


def _job_of(broker: Any, message: Any) -> Job:
    actor = broker.actors.get(message.actor_name)
    function = getattr(actor, "fn", None)
    arguments = named_arguments(function, message.args, message.kwargs)
    retries = message.options.get("retries")
    more = {"retries": retries} if type(retries) is int else {}
    return Job("dramatiq", message.actor_name, message.message_id, message.queue_name, arguments, more)
