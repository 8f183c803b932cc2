"""The requests in flight, for `heka-raven top`: told only while somebody asks (spool/in_flight.py)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from heka_raven.events.server import path_name
from heka_raven.eyes.slots import InFlight, Row
from heka_raven.gunicorn.event import SERVER, request_of
from heka_raven.spool.directory import SpoolError, make_spool
from heka_raven.spool.in_flight import is_asked, stop_telling, tell

EVERY_S = 1.0
MAX_REQUESTS = 256


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
        self._stack: tuple[int, str] = (0, "")

    def look(self, workers: Iterable[tuple[Row, list[InFlight]]], stack_of: Callable[[int], str]) -> None:
        """One look, at most once a second.

        Args:
            workers: each with its requests.
            stack_of: the Python stack of the worker of a number.
        """
        now = time.time()
        if now < self._due_s:
            return
        self._due_s = now + EVERY_S
        asked, worker = is_asked(self._path, now)
        if not asked:
            if self._tells:
                stop_telling(self._path)
            self._tells = False
            self._stack = (0, "")
            return
        self._tells = True
        if worker != self._stack[0]:
            self._stack = (worker, stack_of(worker) if worker else "")
        now_ns = time.monotonic_ns()
        requests = [self._shown(row, request, now_ns) for row, found in workers for request in found]
        told: dict[str, Any] = {
            "format": 1,
            "server": SERVER,
            "pid": self._arbiter,
            "at_us": int(now * 1e6),
            "requests": requests[:MAX_REQUESTS],
        }
        if worker:
            told["stack"] = {"worker": worker, "text": self._stack[1]}
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
                "core": 0,
                "pid": row.pid,
            },
            "tid": request.tid,
            "thread": request.thread,
        }
