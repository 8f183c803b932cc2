"""Decorators that time and count calls."""

from typing import Any

from heka.decorators.base import HekaDecorator
from heka.timers import AnyTimer


class timeit(HekaDecorator):
    """Sends a ``timer`` message for each call. Arguments as for ``client.timer``; ``name`` has a default."""

    def predicate(self) -> bool:
        """False for a timer that is disabled, by the name it sends or by the function's bare name."""
        client = self.client
        disabled = client._disabled_timers if client is not None else set()
        if not disabled:
            return True
        return disabled.isdisjoint(("*", self.args[0] if self.args else self.kwargs["name"], self.__name__))

    def heka_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function inside a timer; a coroutine is timed until it is done."""
        client = self.client
        if client is None:
            return self._invoke(*args, **kwargs)
        timer = client.timer(*self.args, **_without_name(self))
        if self._is_async:
            return self._time_coroutine(timer, args, kwargs)
        with timer:
            return self._invoke(*args, **kwargs)

    async def _time_coroutine(self, timer: AnyTimer, args: Any, kwargs: Any) -> Any:
        with timer:
            return await self._invoke(*args, **kwargs)


class incr_count(HekaDecorator):
    """Sends a ``counter`` message after each call, also one that raises. Arguments as for ``client.incr``."""

    def heka_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, then count it; a coroutine is counted when it is done."""
        if self._is_async:
            return self._count_coroutine(*args, **kwargs)
        try:
            result = self._invoke(*args, **kwargs)
        except BaseException:
            self._count(raising=True)
            raise
        self._count(raising=False)
        return result

    async def _count_coroutine(self, *args: Any, **kwargs: Any) -> Any:
        try:
            result = await self._invoke(*args, **kwargs)
        except BaseException:
            self._count(raising=True)
            raise
        self._count(raising=False)
        return result

    def _count(self, raising: bool) -> None:
        client = self.client
        if client is None:
            return
        try:
            client.incr(*self.args, **_without_name(self))
        except Exception as exc:
            if not raising:
                raise
            # The application's own exception is on its way; ours must not take its place.
            client.losses.add("bad_call", "counter %s: %s", self._fn_fq_name, exc)


def _without_name(decorator: HekaDecorator) -> dict[str, Any]:
    """The keyword arguments; without ``name`` where it is given by position."""
    if not decorator.args:
        return decorator.kwargs
    return {key: value for key, value in decorator.kwargs.items() if key != "name"}
