# body.py: response bodies that are watched while the server iterates and closes them.
#
# Rule 1: what the server can see of a body (len, close, fileno, being its file_wrapper) is what the application made.
# Rule 2: the request's scope is set for each step of the body, in whatever thread the server takes it, and reset after.
"""Watching a response body without changing it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from heka_raven.scope import CURRENT

if TYPE_CHECKING:
    from heka_raven.middleware.wsgi import Environ, RavenMiddleware

_set = CURRENT.set
_reset = CURRENT.reset


def watch(body: Any, middleware: RavenMiddleware, environ: Environ, state: list[str | None]) -> Iterable[bytes]:
    """What to give the server for *body*, which is no plain list or tuple."""
    if type(body) is GeneratorType:
        return watch_generator(body, middleware, environ, state)
    kind = type(body)
    if kind in PLAIN or is_file(body, environ):
        return body  # type: ignore[no-any-return]
    sized = hasattr(kind, "__len__")
    if hasattr(kind, "__next__"):
        return (SizedIterator if sized else WatchedIterator)(body, middleware, environ, state)
    return (SizedIterable if sized else WatchedIterable)(body, middleware, environ, state)


PLAIN = frozenset({list, tuple, bytes, str, dict, set, frozenset, type(None), type(iter([])), type(iter(()))})
"""Types whose iteration runs no code of the application."""


def is_file(body: Any, environ: Environ) -> bool:
    """Whether *body* may be what the server's own file_wrapper made: then it must reach the server as it is."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type):
        return issubclass(type(body), wrapper)
    # uWSGI's is a function that gives back the file itself and remembers it; any object with read() may be one.
    return hasattr(body, "read")


def watch_generator(
    body: Generator[bytes, None, Any], middleware: RavenMiddleware, environ: Environ, state: list[str | None]
) -> Generator[bytes, None, Any]:
    """A generator for a generator: its close() and its end are those of *body*."""
    current = (middleware.describe, environ)
    token = _set(current)
    try:
        for chunk in body:
            _reset(token)
            token = None  # type: ignore[assignment]
            yield chunk
            token = _set(current)
        return None
    except GeneratorExit as error:
        if token is not None:  # the application's own
            raise
        closing = error
    except BaseException as error:
        middleware.failed(environ, error, state[0])
        raise
    finally:
        if token is not None:
            _reset(token)
    del closing
    token = _set(current)
    try:
        return body.close()
    except BaseException as error:
        middleware.failed(environ, error, state[0])
        raise
    finally:
        _reset(token)


class WatchedIterable:
    """A body that is no generator: an iterable that may have a length, a close() and anything else."""

    __slots__ = ("_body", "_environ", "_middleware", "_state")

    def __init__(self, body: Any, middleware: RavenMiddleware, environ: Environ, state: list[str | None]) -> None:
        self._body = body
        self._middleware = middleware
        self._environ = environ
        self._state = state

    def _run(self, function: Any, *args: Any) -> Any:
        token = _set((self._middleware.describe, self._environ))
        try:
            return function(*args)
        except BaseException as error:
            self._middleware.failed(self._environ, error, self._state[0])
            raise
        finally:
            _reset(token)

    def __iter__(self) -> Iterator[bytes]:
        return WatchedIterator(self._run(iter, self._body), self._middleware, self._environ, self._state)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._body, name)
        if name == "close":
            return lambda: self._run(found)
        return found


class WatchedIterator(WatchedIterable):
    """A body that is its own iterator."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = _set((self._middleware.describe, self._environ))
        try:
            return next(self._body)  # type: ignore[no-any-return]
        except StopIteration:
            raise
        except BaseException as error:
            self._middleware.failed(self._environ, error, self._state[0])
            raise
        finally:
            _reset(token)


class SizedIterable(WatchedIterable):
    """One with a length: servers that know it can send a Content-Length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


class SizedIterator(WatchedIterator):
    """An iterator with a length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)
