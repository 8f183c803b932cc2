"""The base of the decorators: where the function, the arguments and the client come from."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from heka.client import HekaClient
from heka.holder import CLIENT_HOLDER
from heka.losses import Losses

_losses = Losses()  # of calls that found no client


class HekaDecorator:
    """Wraps a function, bare (``@timeit``) or called (``@timeit('name')``).

    A subclass implements :meth:`heka_call`. The client is looked up at each call; where there is none, the function
    runs as if it were not decorated, and one warning is logged.

    Args:
        client: the client to use.
        client_name: else, the name of one in ``CLIENT_HOLDER``; else the default client is used.
    """

    __name__: str

    def __init__(self, *args: Any, client: HekaClient | None = None, client_name: str = "", **kwargs: Any) -> None:
        self._client = client
        self.client_name = client_name
        self.args = args
        self.kwargs = kwargs
        self._fn: Any = None
        self._is_async = False
        self._fn_fq_name: str | None = None
        if len(args) == 1 and not kwargs and callable(args[0]):
            self.args = ()
            self.set_fn(args[0])

    @property
    def decorator_name(self) -> str:
        """The name of the class."""
        return self.__class__.__name__

    @property
    def client(self) -> HekaClient | None:
        """The client as of now, or None."""
        if self._client is not None:
            return self._client
        if self.client_name:
            return CLIENT_HOLDER.get_client(self.client_name)
        return CLIENT_HOLDER.default_client

    def predicate(self) -> bool:
        """Whether this call is decorated; asked at each call, only where there is a client."""
        return True

    def set_fn(self, fn: Callable[..., Any]) -> None:
        """Take the function to decorate, its name, documentation and signature."""
        self._fn = fn
        self._fn_fq_name = fn._fn_fq_name if isinstance(fn, HekaDecorator) else _full_name(fn)
        self.__name__ = _bare_name(fn)
        functools.update_wrapper(self, fn, updated=())
        self.kwargs.setdefault("name", self._fn_fq_name)
        self._is_async = fn._is_async if isinstance(fn, HekaDecorator) else inspect.iscoroutinefunction(fn)
        mark = getattr(inspect, "markcoroutinefunction", None)  # Python 3.12
        if self._is_async and mark is not None:
            mark(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._fn is None:
            self.set_fn(args[0])
            return self
        if self.client is None:
            _losses.add(
                "no_client", "@%s on %s does nothing: there is no client", self.decorator_name, self._fn_fq_name
            )
        elif self.predicate():
            return self.heka_call(*args, **kwargs)
        return self._invoke(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind to the instance a decorated method is called on."""
        return self if instance is None else functools.partial(self, instance)

    def _invoke(self, *args: Any, **kwargs: Any) -> Any:
        return self._fn(*args, **kwargs)

    def heka_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and do what the decorator is for."""
        raise NotImplementedError


def _bare_name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", None) or type(fn).__name__


def _full_name(fn: Callable[..., Any]) -> str:
    """``module.name``; without the class, as heka-py has it: the names on existing dashboards stay the same."""
    return f"{getattr(fn, '__module__', None) or type(fn).__module__}.{_bare_name(fn)}"
