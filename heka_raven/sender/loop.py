"""From new/ to the servers, for whoever holds the lock.

One thread (the caller of `run`) looks into new/ and keeps house; workers take names, read, send and put the end of
each event on record. Everything they share is guarded by one condition; no I/O to the network happens under it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from heka_raven.formats.dsn import Dsn
from heka_raven.sender.client_reports import Reports
from heka_raven.sender.housekeeping import House
from heka_raven.sender.http import HttpTransport
from heka_raven.sender.limits import Limits, load_limits, save_limits
from heka_raven.sender.listing import TICK_S, Listing
from heka_raven.sender.options import SenderOptions
from heka_raven.sender.policy import MAX_HOPS, Reply, decide, parse_pauses, words
from heka_raven.sender.request import Request, Way, build_report, build_request, try_request
from heka_raven.sender.schedule import Schedule
from heka_raven.sender.servers import Servers
from heka_raven.sender.udp import UdpTransport
from heka_raven.spool import ledger
from heka_raven.spool.spool import Spool, age_s

HIRE_BELOW = 1000.0  # tries per second of all workers: with more, the interpreter is what limits them
HIRE_AT_ONCE = 5
FINAL_REPORT_S = 1.0  # a report at the end must not hold the end up
FINAL_TICK_S = 0.05

logger = logging.getLogger("heka_raven")

_End: TypeAlias = tuple[Request | None, str, int, bool, str]  # what `_finish` is called with


class Sender:
    """Delivers one spool. The lock is the caller's business, given as `still_ours`."""

    def __init__(
        self,
        spool: Spool,
        options: SenderOptions,
        *,
        once: bool = False,
        options_win: bool = False,
        still_ours: Callable[[], bool] = lambda: True,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            once: one try per event of the first listing, then return.
            options_win: the options' proxy and certificates are for every event, whatever it says itself.
            progress: called with (events finished or tried, events known).
        """
        self._spool = spool
        self._options = options
        self._once = once
        self._options_win = options_win
        self._still_ours = still_ours
        self._progress = progress
        self._limits = Limits()
        self._schedule = Schedule(
            options.connections, self._limits, discard_limited=options.rate_limit == "discard", once=once
        )
        self._http = HttpTransport(
            connections=options.connections,
            connect_timeout_s=options.connect_timeout_s,
            proxy=options.proxy,
            ca_file=options.ca_file,
        )
        self._udp = UdpTransport()
        self._condition = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._active = 0  # workers with a name in hand
        self._seen = (0, 0.0)  # tries and tick at the last look at the workers
        self._stopping = False
        self._drain_until: float | None = None
        self._reporter: threading.Thread | None = None
        self._listing = Listing(spool, once=once)
        self._house = House(spool)
        self._servers = Servers(spool.path)
        self._alone = False  # no worker is to be had: `run` delivers
        self._stuck: dict[str, _End] = {}  # files that ended and could not be removed
        self.tried = 0
        self.ends: dict[str, int] = {}  # by counter, of this run

    def stop(self, drain_until: float | None = None) -> None:
        """End soon: what is in flight is finished, nothing new begun. Takes no lock: a signal handler may call it.

        Args:
            drain_until: monotonic; until then, whatever can go is sent as well.
        """
        self._drain_until = drain_until
        self._stopping = True

    def run(self) -> None:
        """Deliver until stopped, the lock is lost, or (once) everything was tried."""
        self._spool.ledger.renew()  # the spool may be another than that of our last run
        load_limits(self._spool.path, self._limits, time.time())
        self._reports = Reports(ledger.read_snapshot(self._spool.path), time.monotonic())
        try:
            while True:
                if self._stopping and (self._drain_until is None or time.monotonic() >= self._drain_until):
                    break
                if not self._still_ours():
                    break
                names = self._listing.look()
                with self._condition:
                    self._limits.follow_clock(time.time(), time.monotonic())
                    self._schedule.found(names)
                    self._staff()
                    if self._finished():
                        break
                    name = self._take() if self._alone else None
                    if name is None:
                        self._condition.wait(TICK_S)
                    else:
                        self._active += 1
                if name is not None:
                    self._handle(name)
                self._http.enforce_deadlines()
                if not self._once:
                    self._keep_house()
                self._tell_progress()
                self._tell_servers()
        finally:
            self._end_workers()
            self._remove_stuck()
            if self._once:
                self._keep_house()
            self._tell_progress()
            self._send_reports(final=True)
            save_limits(self._spool, self._limits, time.time())
            self._tell_servers(now=True)
            self._spool.ledger.write_missing()
            self._http.close()
            self._udp.close()

    def _tell_progress(self) -> None:
        if self._progress is not None:
            self._progress(self.tried, self.tried + self._schedule.waiting)

    def _tell_servers(self, now: bool = False) -> None:
        tick, clock = time.monotonic(), time.time()
        if now or self._servers.due(tick):
            with self._condition:
                self._servers.next_tries({k: clock + s for k, s in self._schedule.waits(clock, tick).items()})
                self._servers.write()

    def _finished(self) -> bool:
        if not self._once and not self._stopping:
            return False
        return self._active == 0 and not self._schedule.ready(time.time(), time.monotonic())

    def _staff(self) -> None:
        """Wake workers that have something to do, and hire while all are busy waiting.

        Workers share one interpreter: a second one beside a server that answers at once costs speed. So the first is
        alone until it is seen to be slow.
        """
        tick = time.monotonic()
        (tried, then), self._seen = self._seen, (self.tried, tick)
        rate = (self.tried - tried) / max(tick - then, TICK_S)
        if not self._schedule.ready(time.time(), tick):
            return
        if self._idle:
            self._condition.notify(self._idle)
        elif not self._workers or (rate < HIRE_BELOW and len(self._workers) < self._options.connections):
            for _ in range(min(HIRE_AT_ONCE if self._workers else 1, self._options.connections - len(self._workers))):
                worker = threading.Thread(target=self._work, name="heka-raven-send", daemon=True)
                try:
                    worker.start()
                except RuntimeError:  # the system's limit of threads; or Python 3.12, which starts none at exit
                    self._alone = not self._workers
                    return  # those that there are do the work
                self._alone = False
                self._workers.append(worker)

    def _work(self) -> None:
        while True:
            with self._condition:
                while (name := self._take()) is None:
                    if self._stopping:
                        return
                    self._idle += 1
                    self._condition.wait()
                    self._idle -= 1
                self._active += 1
            self._handle(name)

    def _handle(self, name: str) -> None:
        try:
            self._deliver(name)
        except Exception:
            self._spool.log_sparingly("failed", "the sender failed on an event, which is kept", exc_info=True)
        finally:
            with self._condition:
                self._active -= 1

    def _take(self) -> str | None:
        if self._stopping and (self._drain_until is None or time.monotonic() >= self._drain_until):
            return None
        return self._schedule.next(time.time(), time.monotonic())

    def _deliver(self, name: str) -> None:
        stuck = self._stuck.pop(name, None)
        if stuck is not None:
            with self._condition:
                self._finish(name, *stuck)
                self._schedule.gone(name)
            return
        data = self._spool.read(name)
        if data is None:
            with self._condition:
                self._schedule.gone(name)
            if self._spool.is_waiting(name):
                self._spool.log_sparingly("read", "spool file %s cannot be read now: it waits", name)
                self._listing.again()
            return
        try:
            request = build_request(data, time.time(), self._options.compress)
        except Exception as error:  # RequestError; or something nobody foresaw, which must not come round for ever
            self._spool.log_sparingly("file", "spool file %s cannot be sent, a copy is in dead/: %s", name, error)
            with self._condition:
                self._finish(name, None, "discarded.internal_sdk_error", len(data), dead=True, why=str(error))
                self._schedule.gone(name)
            return
        key = request.key
        with self._condition:
            now = time.time()
            if self._schedule.limited(key, now):
                self._finish(name, request, "discarded.ratelimit_backoff", len(data))
                self._schedule.gone(name)
                return
            began = self._schedule.begin(name, key, now, time.monotonic())
            if began is None:
                return
            request = self._settle_way(request)
        failed, finished = True, False
        try:
            failed, finished = self._try(name, request, len(data))
        finally:
            with self._condition:
                self.tried += 1
                self._schedule.end(
                    name,
                    key,
                    began,
                    time.monotonic(),
                    random.random(),  # noqa: S311 - spreads probes, no secret
                    failed=failed,
                    finished=finished,
                )

    def _try(self, name: str, request: Request, size: int) -> tuple[bool, bool]:
        """One try, redirects included; returns (no server answered, the event left the spool)."""
        url, hops = request.url, 0
        while True:
            reply = self.send(request, url)
            now = time.time()
            verdict = decide(
                reply,
                url,
                hops=hops,
                age_s=age_s(name, now),
                max_age_s=self._options.max_age_s,
                rate_limit=self._options.rate_limit,
            )
            if verdict.target is None:
                break
            url, hops = verdict.target, hops + 1
        if request.debug:
            logger.info(
                "heka-raven: %s to %s: %s", name, request.dsn, reply.status if reply.status is not None else reply.error
            )
        said = words(reply)
        with self._condition:
            self._heed_limits(request, reply, now)
            self._servers.answered(request.key, now, "" if verdict.action == "delivered" else said)
            if verdict.counter is not None:
                self._finish(name, request, verdict.counter, size, dead=verdict.dead, why=f"{request.dsn}: {said}")
        if verdict.action != "delivered":
            self._spool.log_sparingly(
                f"{verdict.action} {request.key}",
                "heka-raven: %s: %s: %s",
                request.dsn,
                _OUTCOMES[verdict.action],
                said,
            )
        return verdict.action == "retry" or verdict.counter == "discarded.network_error", verdict.counter is not None

    def _heed_limits(self, request: Request, reply: Reply, now: float) -> None:
        """Pause the DSN for as long as the server asks; under the lock."""
        if reply.status:
            pauses = parse_pauses(
                reply.status, reply.headers.get("x-sentry-rate-limits"), reply.headers.get("retry-after"), now
            )
            self._limits.pause(request.key, pauses, now)
            save_limits(self._spool, self._limits, now)

    def send(self, request: Request, url: str | None = None, timeout_s: float | None = None) -> Reply:
        """One request over the wire, nothing else."""
        if request.dsn.scheme == "udp":
            return self._udp.send(request.url, request.body)
        return self._http.send(
            url or request.url,
            request.headers,
            request.body,
            timeout_s=timeout_s or request.timeout_s or self._options.timeout_s,
            way=request.way,
        )

    def _settle_way(self, request: Request) -> Request:
        """The event's own way. What an operator said on the command line is for every event of the spool."""
        way, options = request.way, self._options
        if self._options_win:
            way = Way(way.no_verify, None if options.ca_file else way.ca_file, None if options.proxy else way.proxy)
        elif self._schedule.own_way(request.key):
            way = Way(way.no_verify, way.ca_file or None, way.proxy or None)
        return request if way == request.way else replace(request, way=way)

    def _finish(
        self, name: str, request: Request | None, counter: str, size: int, dead: bool = False, why: str = ""
    ) -> None:
        """Put the end of an event on record; under the lock, so that a kill costs the ledger one event at most."""
        removed = self._spool.bury(name, counter, size, why) if dead else self._spool.remove(name, counter, size)
        if not removed:
            if self._spool.is_waiting(name):  # a read-only disk, as a rule: remove it later, send it no more
                self._stuck[name] = request, counter, size, dead, why
                self._listing.again()
            return
        self.ends[counter] = self.ends.get(counter, 0) + 1
        if counter == "delivered":
            if request is not None:
                self._reports.delivered(request.dsn, request.key, request.takes_reports, request.way)
        else:
            self._reports.discarded(None if request is None else request.dsn, counter)

    def _remove_stuck(self) -> None:
        """A last try for files that ended: the next sender does not know, and would send them again."""
        for name in list(self._stuck):
            self._finish(name, *self._stuck.pop(name))

    def _keep_house(self) -> None:
        tick, now = time.monotonic(), time.time()
        if self._reports.due(tick) and not self._reporting():
            self._send_reports()
        if not self._house.due(tick):
            return
        oldest = f"{max(0, int((now - self._options.max_age_s) * 1e9)):020d}"
        with self._condition:
            for name, counter in list(self._schedule.expired(oldest, now, tick)):
                data = self._spool.read(name)
                if data is not None:
                    self._finish(name, try_request(data, now), counter, len(data))
        self._house.keep(now)
        self._listing.again()  # changed or not: a file may have come with an older mtime, or a disk hid it
        self._http.drop_closed()

    def _reporting(self) -> bool:
        return self._reporter is not None and self._reporter.is_alive()

    def _send_reports(self, final: bool = False) -> None:
        """Tell what is due, in a thread of its own: a server that is slow to take it must not hold up events."""
        if not self._options.client_reports:
            return
        with self._condition:
            self._reports.observe(ledger.read_snapshot(self._spool.path))
            due = self._reports.take(time.monotonic())
        if not due:
            return
        reporter = threading.Thread(target=self._report, args=(due, final), name="heka-raven-report", daemon=True)
        try:
            reporter.start()
        except RuntimeError:  # as for a worker
            self._report(due, final)
            return
        self._reporter = reporter
        while final and reporter.is_alive():
            reporter.join(FINAL_TICK_S)
            self._http.enforce_deadlines()

    def _report(self, due: list[tuple[Dsn, dict[str, int]]], final: bool) -> None:
        until = time.monotonic() + FINAL_REPORT_S
        for dsn, counts in due:
            try:
                over = time.monotonic() >= until if final else self._stopping
                if over or not self._tell(dsn, counts, FINAL_REPORT_S if final else None):
                    with self._condition:
                        self._reports.give_back(dsn, counts)
            except Exception:  # never through the app's excepthook
                self._spool.log_sparingly("report", "the sender failed on a report", exc_info=True)

    def _tell(self, dsn: Dsn, counts: dict[str, int], timeout_s: float | None) -> bool:
        now = time.time()
        if self._limits.seconds_left(dsn.key(), now) > 0:
            return False
        report = build_report(dsn, counts, now, self._options.compress, self._reports.way(dsn))
        reply = self.send(report, timeout_s=timeout_s)
        with self._condition:
            self._heed_limits(report, reply, now)
        return decide(reply, report.url, hops=MAX_HOPS).action not in ("retry", "hold")

    def _end_workers(self) -> None:
        """Let what is in flight finish, however the loop ended; each has its own timeout.

        Until then the lock is ours: another sender would send the same events beside us.
        """
        self.stop(self._drain_until)
        while True:
            with self._condition:
                self._condition.notify_all()
                busy = self._active
            if not busy and not self._reporting():
                break
            time.sleep(0.01)
            self._http.enforce_deadlines()


_OUTCOMES = {
    "hold": "it asks for quiet, events wait",
    "retry": "no server answers, events wait",
    "discard": "an event was discarded",
}
