"""Timers: how long a block or a call took, sent as a message of type ``timer``."""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

from heka.losses import Losses

F = TypeVar("F", bound=Callable[..., Any])


class TimerClient(Protocol):
    """What a timer needs of a client: to send, and to count what it could not."""

    losses: Losses

    @property
    def timer_send(self) -> Callable[..., bool]:
        """``timer_send(name, elapsed_ms, logger=..., severity=..., fields=..., rate=...)``."""


class AnyTimer(Protocol):
    """What ``client.timer`` returns, sampled or not: one type, because mypy --strict takes no union for a decorator."""

    start: float | None
    result: int | None

    def __call__(self, fn: F) -> F:
        """Decorate *fn*."""

    def __enter__(self) -> "AnyTimer":
        """Begin."""

    def __exit__(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> Literal[False]:
        """End, and send what it took."""


class NoOpTimer:
    """What ``client.timer`` returns for a timer that is disabled or not sampled."""

    def __init__(self) -> None:
        self.start: float | None = None
        self.result: int | None = None

    def __call__(self, fn: F) -> F:
        return fn

    def __enter__(self) -> "NoOpTimer":
        return self

    def __exit__(self, typ: object, value: object, tb: object) -> Literal[False]:
        return False


class Timer(threading.local):
    """Context manager and decorator. ``result`` is the last time in ms, of the thread that asks.

    A ``threading.local``: every thread that uses the object has attributes of its own, made by ``__init__`` with the
    same arguments, so a decorated function works in any thread. Nested use of one object is a stack of starts.
    """

    def __init__(self, client: TimerClient, name: str, msg_data: Mapping[str, Any]) -> None:
        self.client = client
        self.name = name
        self.msg_data = msg_data
        self.start: float | None = None
        self.result: int | None = None
        self._starts: list[float] = []

    def __call__(self, fn: F) -> F:
        """Decorate *fn*; a coroutine function is timed until it is done."""
        if not callable(fn):
            raise ValueError("Timer objects can only wrap callable objects.")
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def timed_coroutine(*args: Any, **kwargs: Any) -> Any:
                start = time.perf_counter()
                try:
                    result = await fn(*args, **kwargs)
                except BaseException:
                    self._send(start, raising=True)
                    raise
                self._send(start, raising=False)
                return result

            return timed_coroutine  # type: ignore[return-value]

        @functools.wraps(fn)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return timed  # type: ignore[return-value]

    def __enter__(self) -> "Timer":
        self.result = None
        self.start = time.perf_counter()
        self._starts.append(self.start)
        return self

    def __exit__(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> Literal[False]:
        if self._starts:  # empty: entered in another thread, whose start is not this one's
            self._send(self._starts.pop(), raising=typ is not None)
        return False

    def _send(self, start: float, raising: bool) -> None:
        elapsed = round((time.perf_counter() - start) * 1000)
        self.result = elapsed
        try:
            self.client.timer_send(self.name, elapsed, **self.msg_data)
        except Exception as exc:
            if not raising:
                raise
            # The application's own exception is on its way; ours must not take its place.
            self.client.losses.add("bad_call", "timer %r: %s", self.name, exc)
