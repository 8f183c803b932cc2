"""What Python calls when nobody caught an exception: in the program, a thread, a finalizer, a task of asyncio."""

# Rule 1: the hook that stood there before is always called, whatever happens here.
# Rule 2: installed once in a process, however often init() is called.

from __future__ import annotations

import functools
import sys
import threading
from types import ModuleType, TracebackType
from typing import Any

from heka_raven.capture.exceptions import traceback_of
from heka_raven.jobs.imports import when_imported
from heka_raven.jobs.job import report_job
from heka_raven.jobs.program import note_for_run, this_program

MAX_ENTRIES = 1000  # of a traceback that are looked through

_MANAGEMENT = "django.core.management"
_ASYNCIO = "asyncio.base_events"
_installed: set[str] = set()


def install(*, excepthook: bool, threads: bool, unraisable: bool, asyncio: bool) -> None:
    """Put the hooks in place, each in front of what is there."""
    wanted = {"excepthook": excepthook, "threads": threads, "unraisable": unraisable, "asyncio": asyncio}
    for name, put in _HOOKS.items():
        if wanted[name] and name not in _installed:
            _installed.add(name)
            put()


def _hook_program() -> None:
    previous = sys.excepthook

    @functools.wraps(previous)
    def excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        try:
            # Somebody who types into an interpreter sees the error; Ctrl-C is none.
            if not hasattr(sys, "ps1") and not issubclass(kind, KeyboardInterrupt):
                shown = _without_management(traceback)
                event_id = report_job(this_program(), error, shown, kind="excepthook", level="fatal")
                if event_id is not None:
                    note_for_run(event_id, 1)
        finally:
            previous(kind, error, traceback)

    sys.excepthook = excepthook


def _without_management(traceback: TracebackType | None) -> TracebackType | None:
    """*traceback* without the frames that read the command line for a command of Django, if it has such.

    They hold the value of a private option by its position. The entries after them are the same objects.
    """
    entries: list[TracebackType] = []
    last = -1
    rest = traceback
    while rest is not None and len(entries) < MAX_ENTRIES:
        name = dict.get(rest.tb_frame.f_globals, "__name__")
        if type(name) is str and name.startswith(_MANAGEMENT):
            last = len(entries)
        entries.append(rest)
        rest = rest.tb_next
    if last < 0 or last + 1 >= len(entries):
        return traceback
    made = entries[last + 1]
    for entry in reversed(entries[:last]):
        if not str(dict.get(entry.tb_frame.f_globals, "__name__")).startswith(_MANAGEMENT):
            made = TracebackType(made, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return made


def _hook_threads() -> None:
    previous = threading.excepthook

    @functools.wraps(previous)
    def excepthook(args: Any) -> None:
        try:
            error = args.exc_value
            if error is not None and not issubclass(args.exc_type, SystemExit):
                name = getattr(args.thread, "_name", None)
                extra = {"thread": name} if type(name) is str else {}
                report_job(this_program(), error, args.exc_traceback, kind="threading", extra=extra)
        finally:
            previous(args)

    threading.excepthook = excepthook


def _hook_unraisable() -> None:
    previous = sys.unraisablehook

    @functools.wraps(previous)
    def unraisablehook(args: Any) -> None:
        try:
            if args.exc_value is not None:
                extra = {"unraisable": args.err_msg or "Exception ignored", "object": args.object}
                report_job(this_program(), args.exc_value, args.exc_traceback, kind="unraisable", extra=extra)
        finally:
            previous(args)

    sys.unraisablehook = unraisablehook


def _hook_asyncio() -> None:
    when_imported(_ASYNCIO, _wrap_loop)


def _wrap_loop(module: ModuleType) -> None:
    """A loop without a handler of the application's own asks this one."""
    loop: Any = module.BaseEventLoop
    previous = loop.default_exception_handler

    @functools.wraps(previous)
    def default_exception_handler(self: Any, context: Any) -> Any:
        try:
            _report_task(context)
        finally:
            previous(self, context)

    loop.default_exception_handler = default_exception_handler


def _report_task(context: Any) -> None:
    if type(context) is not dict:
        return
    error = context.get("exception")
    if not isinstance(error, Exception):
        return
    extra: dict[str, Any] = {"asyncio": context.get("message")}
    task: Any = context.get("task") or context.get("future")
    if type(task) is sys.modules["asyncio"].Task:
        extra["task"] = task.get_name()
    report_job(this_program(), error, traceback_of(error), kind="asyncio", extra=extra)


_HOOKS = {
    "excepthook": _hook_program,
    "threads": _hook_threads,
    "unraisable": _hook_unraisable,
    "asyncio": _hook_asyncio,
}
