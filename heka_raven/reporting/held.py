"""An event that is made and waits until it is known whether it is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from heka_raven.reporting.report import Count
from heka_raven.scope import RequestFacts


class Held:
    """Made by ``Reporter.hold``. It holds no exception and no frame: whoever keeps it makes no cycle.

    Attributes:
        event_id: of the event.
        ask: tells what became of it; for who keeps the event.
    """

    __slots__ = ("_count", "_event", "_facts", "_hand_over", "ask", "event_id")

    def __init__(
        self, hand_over: Callable[..., bool], event: dict[str, Any], facts: RequestFacts | None, count: Count
    ) -> None:
        self._hand_over = hand_over
        self._event = event
        self._facts = facts
        self._count = count
        self.ask: Callable[[Any], Any] | None = None
        self.event_id: str = event["event_id"]

    def send(self, status: int | None) -> None:
        """The request was answered with *status*: hand the event over. Never raises."""
        try:
            if status is not None:
                contexts = self._event.setdefault("contexts", {})
                contexts.setdefault("response", {})["status_code"] = status
                if self._facts is not None:
                    self._facts.fields["status"] = status
            self._hand_over(self._event, self._facts, self._count)
        except Exception:
            self._count("discarded.internal_sdk_error")

    def drop(self) -> None:
        """It was no error after all."""
        self._count("discarded.event_processor")
