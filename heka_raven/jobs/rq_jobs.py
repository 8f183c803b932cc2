"""RQ: jobs that fail, and work-horses that are killed. Imported once ``rq`` is.

RQ has no signals that hold for every worker, its hooks are arguments of each: the methods that call them are wrapped.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import rq.worker

from heka_raven.jobs.job import Job, begin_job, end_job, flush, in_job, named_arguments, report_job, without_library

_DOTTED = re.compile(r"[A-Za-z_][\w.]{0,199}")


def install() -> None:
    """Wrap what every worker calls, in the class that has it."""
    for name, wrapper in (
        ("perform_job", _performing),
        ("handle_exception", _failing),
        ("handle_work_horse_killed", _killed),
    ):
        for owner in rq.worker.Worker.__mro__:
            if name in vars(owner):
                setattr(owner, name, wrapper(vars(owner)[name]))
                break


def _performing(previous: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(previous)
    def perform_job(self: Any, job: Any, *rest: Any, **named: Any) -> Any:
        begin_job(partial(_job_of, job))
        try:
            return previous(self, job, *rest, **named)
        finally:
            end_job()
            _flush_horse(self)

    return perform_job


def _failing(previous: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(previous)
    def handle_exception(self: Any, job: Any, *exc_info: Any) -> Any:
        # Where the job's own module called init(), perform_job was begun before it was wrapped.
        begun = in_job()
        try:
            if len(exc_info) == 3 and isinstance(exc_info[1], BaseException):
                traceback = without_library(exc_info[1], ("rq",))
                report_job(_job_of(job), exc_info[1], traceback, kind="rq")
            if not begun:
                begin_job(partial(_job_of, job))
            return previous(self, job, *exc_info)
        finally:
            if not begun:
                end_job()
                _flush_horse(self)

    return handle_exception


def _killed(previous: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(previous)
    def handle_work_horse_killed(self: Any, job: Any, pid: Any, status: Any, usage: Any) -> Any:
        try:
            how = _how(status)
            job_of = _job_of(job, whole=False)
            job_of.more["status"] = how
            if usage is not None:
                job_of.more["max_rss_kib"] = getattr(usage, "ru_maxrss", None)
            text = (f"the process of {job_of.name} {how}", None, None)
            report_job(job_of, None, kind="rq", logentry=text, fingerprint=["rq", job_of.name, how], level="fatal")
        finally:
            previous(self, job, pid, status, usage)

    return handle_work_horse_killed


def _how(status: Any) -> str:
    if type(status) is not int:
        return "ended"
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def _flush_horse(worker: Any) -> None:
    if getattr(worker, "_is_horse", False):
        flush()  # it ends with os._exit()


def _job_of(job: Any, whole: bool = True) -> Job:
    """What is known of *job*; its arguments only in the process that runs it: to read them runs the job's own code."""
    name, arguments = None, None
    if whole:
        try:
            name = job.func_name
            arguments = named_arguments(_function_of(job), job.args, job.kwargs)
        except Exception:
            name = None  # a job that cannot be read: that is its error
    if type(name) is not str:
        # The beginning of `package.function(arguments)`; a description in words of one's own is left out.
        words = str(getattr(job, "description", "") or "").partition("(")[0]
        name = words if _DOTTED.fullmatch(words) else "a job of RQ"
    return Job("rq", name, _text(getattr(job, "id", None)), _text(getattr(job, "origin", None)), arguments)


def _function_of(job: Any) -> Any:
    try:
        return job.func
    except Exception:
        return None  # it cannot be imported, which is the error


def _text(value: Any) -> str | None:
    return value if type(value) is str and value else None
