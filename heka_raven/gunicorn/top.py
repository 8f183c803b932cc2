"""The requests in flight, for `heka-raven top`: told only while somebody asks (spool/in_flight.py)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from heka_raven.events.server import path_name
from heka_raven.eyes.slots import InFlight, Row
from heka_raven.gunicorn.event import SERVER, request_of
from heka_raven.gunicorn.kinds import Frame
from heka_raven.spool.directory import SpoolError, make_spool
from heka_raven.spool.in_flight import Wanted, is_asked, pid_namespace, stop_telling, tell

EVERY_S = 1.0
MAX_REQUESTS = 256


class Shown(NamedTuple):
    """The stack of one request."""

    began_ns: int
    text: str  # faulthandler's
    frames: list[Frame]  # with their values
    values: str | None  # where they are from, or why there are none


class Top:
    """What one watcher tells."""

    def __init__(self, spool_path: str, scrubber: Any, arbiter: int) -> None:
        self._path = spool_path
        with contextlib.suppress(SpoolError):  # said where an event is written
            make_spool(spool_path)
        self._scrubber = scrubber
        self._arbiter = arbiter
        self._due_s = 0.0
        self._tells = False
        self._wanted: Wanted | None = None
        self._stack: dict[str, Any] | None = None

    def look(self, workers: Iterable[tuple[Row, list[InFlight]]], stack_of: Callable[[int, int], Shown | None]) -> None:
        """One look, at most once a second.

        Args:
            workers: each with its requests.
            stack_of: the stack of a request, by worker and slot, with its values.
        """
        now = time.time()
        if now < self._due_s:
            return
        self._due_s = now + EVERY_S
        asked, wanted = is_asked(self._path, now)
        if not asked:
            if self._tells:
                stop_telling(self._path)
            self._tells = False
            self._wanted = self._stack = None
            return
        self._tells = True
        if wanted is not None and wanted[2:] != (self._arbiter, pid_namespace()):
            wanted = None  # another server's that shares the spool
        if wanted != self._wanted:
            self._wanted = wanted
            self._stack = _stack(wanted, stack_of(wanted.worker, wanted.core)) if wanted else None
        now_ns = time.monotonic_ns()
        requests = [self._shown(row, request, now_ns) for row, found in workers for request in found]
        told: dict[str, Any] = {
            "format": 1,
            "server": SERVER,
            "pid": self._arbiter,
            "pid_namespace": pid_namespace(),
            "at_us": int(now * 1e6),
            "requests": requests[:MAX_REQUESTS],
        }
        if self._stack is not None:
            told["stack"] = self._stack
        tell(self._path, told)

    def close(self) -> None:
        if self._tells:
            stop_telling(self._path)

    def _shown(self, row: Row, request: InFlight, now_ns: int) -> dict[str, Any]:
        known = request_of(request, now_ns)
        shown = {"method": known["method"], "url": f"{known['host']}{known['path']}", "query_string": known["query"]}
        self._scrubber.scrub_request(shown)
        return {
            "request": {
                **shown,
                "transaction": self._scrubber.clean_url(f"{known['method']} {path_name(known['path'])}"),
                "remote_addr": known["remote_addr"],
                "age_ms": known["age_ms"],
                "worker": row.worker,
                "core": request.slot,
                "pid": row.pid,
            },
            "start": request.began_ns,
            "tid": request.tid,
            "thread": request.thread,
        }


def _stack(wanted: Wanted, shown: Shown | None) -> dict[str, Any]:
    """As watch/top.c says it."""
    told: dict[str, Any] = {"worker": wanted.worker, "core": wanted.core, "start": 0}
    if shown is None:
        return told  # that request has ended
    told |= {"start": shown.began_ns, "values": shown.values or "none: this worker tells none", "text": shown.text}
    if shown.frames:
        told["frames"] = [
            {"abs_path": frame.file, "lineno": frame.line, "function": frame.function, "vars": frame.values or {}}
            for frame in shown.frames
        ]
    return told
