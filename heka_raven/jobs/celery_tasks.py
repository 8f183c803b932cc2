"""Celery: tasks that fail, by Celery's own signals. Imported once ``celery.signals`` is."""

# A task that asks for another try (Retry), or fails as its `throws` expects, is no event; after the last try it is one.

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

from celery import signals

from heka_raven.jobs.job import Job, begin_job, end_job, flush, in_job, named_arguments, report_job, without_library

MAX_LOST = 1000  # tasks whose process was lost, that are remembered

_LOST: OrderedDict[tuple[Any, Any], None] = OrderedDict()
_LIBRARY = ("celery", "billiard", "kombu", "vine", "amqp")


def install() -> None:
    """Connect the signals."""
    for signal, receiver in (
        (signals.task_prerun, _begins),
        (signals.task_postrun, _ended),
        (signals.task_failure, _failed),
        (signals.task_internal_error, _failed),
        (signals.worker_process_shutdown, _leaves),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=f"heka_raven.{receiver.__name__}.{signal.name}")


def _begins(task: Any = None, task_id: Any = None, args: Any = None, kwargs: Any = None, **_: Any) -> None:
    begin_job(partial(_job_of, task, task_id, args, kwargs))


def _ended(**_: Any) -> None:
    end_job()


def _failed(
    sender: Any = None, task_id: Any = None, exception: Any = None, args: Any = None, kwargs: Any = None, **_: Any
) -> None:
    try:
        throws = getattr(sender, "throws", None) or ()
        if not isinstance(exception, BaseException) or isinstance(exception, throws):
            return
        job = _job_of(sender, task_id, args, kwargs)
    except Exception:
        return  # a task that cannot be described: Celery's own log has it
    if not in_job() and _is_known(job):
        return
    # The traceback that the signal brings is a text where the worker's parent tells of a lost process.
    report_job(job, exception, without_library(exception, _LIBRARY), kind="celery")


def _is_known(job: Job) -> bool:
    """Whether this try was told before: a hard time limit is told by its timer, and again as the process is gone."""
    key = (job.id, job.more.get("retries"))
    if key in _LOST:
        return True
    _LOST[key] = None
    while len(_LOST) > MAX_LOST:
        _LOST.popitem(last=False)
    return False


def _leaves(**_: Any) -> None:
    flush()  # a process of the pool ends without exit handlers


def _job_of(task: Any, task_id: Any, args: Any, kwargs: Any) -> Job:
    args, kwargs = args if isinstance(args, (list, tuple)) else (), kwargs if isinstance(kwargs, dict) else {}
    request = getattr(task, "request", None)
    delivery = getattr(request, "delivery_info", None)
    queue = delivery.get("routing_key") if isinstance(delivery, dict) else None
    more = {name: getattr(request, name, None) for name in ("retries", "hostname", "parent_id", "root_id")}
    return Job(
        "celery",
        _text(getattr(task, "name", None)) or "a task of Celery",
        _text(task_id),
        _text(queue),
        named_arguments(getattr(task, "run", None), args, kwargs),
        {name: value for name, value in more.items() if type(value) in (int, str)},
    )


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None
