"""Tells the targets what is due, each in a thread of its own: a dead one holds up nobody, intake least of all."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from heka.limited_log import SparseLog
from heka_raven.inbox.alerts.message import Names, make_message
from heka_raven.inbox.alerts.targets import Outcome, Target
from heka_raven.inbox.store.alerting import Store, due_alerts, mark_sending, put_off, recover, settle
from heka_raven.inbox.store.rules import Due, Quiet

log = logging.getLogger("heka_raven.inbox")

POLL_S = 0.5
SPACING_S = 10.0  # between two messages to a target; what comes up meanwhile goes together
# After each failed try of a target in a row. An alert has failed after one try more than there are numbers here. None
# is shorter than the minute between two alerts of an issue.
RETRY_S = (60.0, 120.0, 300.0, 900.0, 1_800.0, 3_600.0)


class Notifier:
    """The threads; ``stop()`` ends them."""

    def __init__(
        self,
        store: Store,
        targets: Sequence[Target],
        names: Names,
        quiet: Quiet | None = None,
        *,
        clock: Callable[[], float] = time.time,
        retry_s: Sequence[float] = RETRY_S,
        spacing_s: float = SPACING_S,
    ) -> None:
        self._store = store
        self._targets = targets
        self._names = names
        self._quiet = quiet
        self._clock = clock
        self._retry_s = retry_s
        self._spacing_s = spacing_s
        self._not_before: dict[str, float] = {}
        self._failures: dict[str, int] = {}  # in a row
        self._log = SparseLog(log)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(target,), name="inbox-alerts", daemon=True) for target in targets
        ]

    def start(self) -> None:
        recover(self._store, tuple(target.name for target in self._targets))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """What is being sent now is sent again after a start, unless it is done within two seconds."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2)

    def _run(self, target: Target) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self.turn(target)
            except Exception:  # the disk may be full; the next round tries again
                self._log.tell(target.name, logging.ERROR, "alerts for %s failed", target.name, exc_info=True)

    def turn(self, target: Target) -> bool:
        """Tell a target all that is due now, in one message; returns whether there was something."""
        now = self._clock()
        if now < self._not_before.get(target.name, 0.0) or self.is_quiet(now):
            return False
        alerts = due_alerts(self._store, target.name, now)
        if not alerts:
            return False
        mark_sending(self._store, alerts)
        try:
            outcome = target.send(make_message(alerts, self._names))
        except Exception as error:
            # Never its text, which may quote a secret.
            outcome = Outcome(f"{type(error).__name__} in the inbox itself")
            self._log.tell(type(error).__name__, logging.ERROR, "an alert failed: %s", type(error).__name__)
        self._settle(target, alerts, outcome)
        return True

    def is_quiet(self, now: float) -> bool:
        local = time.localtime(now)
        return self._quiet is not None and self._quiet.covers(local.tm_hour * 60 + local.tm_min)

    def _settle(self, target: Target, alerts: list[Due], outcome: Outcome) -> None:
        now = self._clock()
        if not outcome.error:
            self._failures[target.name] = 0
            self._not_before[target.name] = now + self._spacing_s
            settle(self._store, alerts, now)
            return
        failures = self._failures.get(target.name, 0)
        self._failures[target.name] = failures + 1
        wait_s = max(self._retry_s[min(failures, len(self._retry_s) - 1)], outcome.retry_after_s)
        self._not_before[target.name] = now + wait_s
        over = [alert for alert in alerts if outcome.final or alert.tries >= len(self._retry_s)]
        left = [alert for alert in alerts if alert not in over]
        if over:
            put_off(self._store, over, now, outcome.error, None)
        if left:
            put_off(self._store, left, now, outcome.error, now + wait_s)
        then = f"next try in {wait_s:.0f} s" if left else "they are not sent"
        self._log.tell(
            f"{target.name} {outcome.error}",
            logging.WARNING,
            "%d alert%s for %s: %s; %s",
            len(alerts),
            "" if len(alerts) == 1 else "s",
            target.name,
            outcome.error,
            then,
        )
