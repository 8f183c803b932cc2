"""Response bodies that are watched while the server iterates and closes them."""

# Rule 1: what the server can see of a body (len, close, fileno, being its file_wrapper) is what the application made.
# Rule 2: the request is the current one for each step of the body, in whatever thread the server takes it, and not
#         between two steps.
# Rule 3: a generator stays a generator: per chunk it costs one look and two stores.
# Rule 4: whoever holds a body holds its request; nothing else does (the context's reference is weak).

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from types import GeneratorType
from typing import Any
from weakref import ref

from heka_raven.middleware.kept import settle
from heka_raven.middleware.object_proxy import StandIns
from heka_raven.middleware.state import Entered, RequestState, enter
from heka_raven.scope import CURRENT, Environ

_get = CURRENT.get
_reset = CURRENT.reset

_PLAIN = frozenset(
    {tuple, bytes, str, dict, set, frozenset, type(None), type(iter([])), type(iter(())), type(iter(b""))}
)
"""Beside list: types whose iteration runs no code of the application."""

_EMPTY = b""  # Python keeps a single one

# What any file, and any server's file_wrapper (wsgiref, gunicorn, Paste; waitress; uWSGI), has at least one of.
_FILE_ATTRIBUTES = ("read", "filelike", "getfile")


def watch(body: Any, state: RequestState, environ: Environ, whole: Any = None) -> Iterable[bytes]:
    """What the server gets for *body*, which is no plain list; or for an iterator of the *whole* body."""
    kind = type(body)
    if kind is GeneratorType:
        return _watch_generator(body, state, environ, body if whole is None else whole)
    watched = _known.get(kind)
    if watched is None and (kind in _PLAIN or _is_plain_sequence(body, kind)):
        return body  # type: ignore[no-any-return]
    if _is_file(body, kind, environ):
        return body  # type: ignore[no-any-return]
    return (watched or _STAND_INS.class_for(kind))(body, state, environ, whole)  # type: ignore[no-any-return]


def _is_plain_sequence(body: Any, kind: type) -> bool:
    """Whether *body* is of a list or tuple class that runs no code of its own while it is iterated and closed."""
    for base in (list, tuple):
        if issubclass(kind, base):
            return kind.__iter__ is base.__iter__ and not _has(body, "close")
    return False


def _is_file(body: Any, kind: type, environ: Environ) -> bool:
    """Whether *body* may be what the server's own file_wrapper made: then it must reach the server as it is."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type):
        return issubclass(kind, wrapper)
    # uWSGI's is a function that gives back the file itself and remembers it: any object with read() may be one.
    # If there is none, the application may have taken it out of its environ.
    return any(_has(body, name) for name in (_FILE_ATTRIBUTES if wrapper is None else ("read",)))


def _has(body: Any, name: str) -> bool:
    try:
        return hasattr(body, name)
    except Exception:
        return False  # its __getattr__ fails: that is for whoever asks it next, not for us to raise


def _watch_generator(
    body: Generator[bytes, Any, Any], state: RequestState, environ: Environ, whole: Any
) -> Generator[bytes, None, Any]:
    """A generator for a generator: it ends, fails and closes as *body* does, and closes nothing that has not begun."""
    reference = ref(state)
    token: Entered | None = None
    page: Iterable[bytes] | None = None
    begun = False
    try:
        if _get() is not reference:
            token = enter(reference)
        state.environ = environ
        for chunk in body:
            state.environ = None
            if token is not None:
                _reset(token)
                token = None
            if chunk is not _EMPTY:  # with which no server has to send the headers
                begun = True
            yield chunk
            if _get() is not reference:
                token = enter(reference)
            state.environ = environ
        return None
    except GeneratorExit:
        if state.environ is not None:
            raise  # the application's own; the server's comes while this one waits in its yield
    except BaseException as error:
        if state.environ is not None:
            page = state.middleware.failed(state, error, begun, whole)
        if page is None:
            raise
    finally:
        state.environ = None
        if token is not None:
            _reset(token)
        if state.kept is not None:
            settle(state, environ, True)
    if page is not None:
        return (yield from page)
    return _run(whole, state, environ, True, body.close)


def _run(
    body: Any, state: RequestState, environ: Environ, begun: bool, function: Callable[..., Any], *args: Any
) -> Any:
    """One call into the application's *body*, with its request as the current one; or the error page's chunks."""
    reference = ref(state)
    token = None if _get() is reference else enter(reference)
    state.environ = environ
    try:
        return function(*args)
    except BaseException as error:
        page = state.middleware.failed(state, error, begun, body)
        if page is None:
            raise
        return iter(page)
    finally:
        state.environ = None
        if token is not None:
            _reset(token)
        if state.kept is not None:
            settle(state, environ, begun)


_END = object()


class Watched:
    """A body that is no generator. Subclasses have those of the methods in ``_SPECIAL`` that the body's class has."""

    __slots__ = ("_begun", "_body", "_environ", "_reference", "_source", "_state", "_whole")

    def __init__(self, body: Any, state: RequestState, environ: Environ, whole: Any = None) -> None:
        self._body = body
        self._whole = body if whole is None else whole
        self._source = body  # of the next chunk; or the error page that took its place
        self._state = state
        self._reference = ref(state)
        self._environ = environ
        self._begun = False

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What isinstance() around us is to see: the application's class."""
        found: type = self._body.__class__
        return found

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._body, name)
        return self._watched_close(found) if name == "close" else found

    def _closing(self) -> Any:
        return self._watched_close(self._body.close)

    def _watched_close(self, close: Any) -> Any:
        return partial(_run, self._whole, self._state, self._environ, True, close) if callable(close) else close

    def _iter(self) -> Iterator[bytes]:
        found: Any = _run(self._whole, self._state, self._environ, False, iter, self._body)
        if found is self._body:
            return self
        if type(found) is GeneratorType:
            # The body may hold it and go on with it at its next iter(): what stands for it must not close it when it is
            # dropped, as a generator of ours would.
            return _STAND_INS.class_for(GeneratorType)(found, self._state, self._environ, self._whole)  # type: ignore[no-any-return]
        return iter(watch(found, self._state, self._environ, self._whole))

    def _step(self) -> bytes:
        state = self._state
        token = None if _get() is self._reference else enter(self._reference)
        state.environ = self._environ
        try:
            chunk: Any = next(self._source, _END)
        except BaseException as error:
            page = state.middleware.failed(state, error, self._begun, self._whole)
            if page is None:
                raise
            self._source = iter(page)
            chunk = next(self._source, _END)
        finally:
            state.environ = None
            if token is not None:
                _reset(token)
        if chunk is _END:
            if state.kept is not None:
                settle(state, self._environ, True)
            raise StopIteration
        if chunk is not _EMPTY:
            self._begun = True
        return chunk  # type: ignore[no-any-return]

    def _item(self, key: Any) -> Any:
        """What iteration asks of a class without ``__iter__``; an IndexError is its end."""
        state = self._state
        token = enter(self._reference)
        state.environ = self._environ
        try:
            return self._body[key]
        except (IndexError, StopIteration):
            raise
        except BaseException as error:
            self._state.middleware.failed(self._state, error, True)
            raise
        finally:
            state.environ = None
            if token is not None:
                _reset(token)


_SPECIAL: dict[str, Any] = {
    "__iter__": Watched._iter,
    "__next__": Watched._step,
    "__getitem__": Watched._item,
    "__len__": lambda self: len(self._body),
    "__bool__": lambda self: bool(self._body),
    "__contains__": lambda self, item: item in self._body,
    "__length_hint__": lambda self: self._body.__length_hint__(),
    "close": property(Watched._closing),  # not __getattr__: that is slow, and nearly every framework has a close()
}
_STAND_INS = StandIns(Watched, _SPECIAL)
_known = _STAND_INS.known
