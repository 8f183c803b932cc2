"""Frameworks that answer an error with a 500 of their own: how each of them tells of it.

A new one is a file here with ``hook(tell)``, and a row of ``FRAMEWORKS``.
"""

# Rule 1: a framework's file is imported only if the framework is; looking costs the first request, and no other.
# Rule 2: what a framework answers stays what it was: it is listened to, by its own means, once in a process.
# Rule 3: whose request it is says the context; so several middlewares, each with its own client, do not mix.

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

from heka.limited_log import TROUBLES
from heka_raven.middleware.kept import Ask, keep
from heka_raven.middleware.state import RequestState, enter, leave
from heka_raven.scope import current_request

if TYPE_CHECKING:
    from heka_raven.middleware.wsgi import RavenMiddleware

# The file here that listens to it, and the module without which the framework is not in use.
FRAMEWORKS = {
    "bottle": "bottle",
    "cherrypy": "cherrypy",
    "django": "django.core.handlers.base",
    "falcon": "falcon.app",
    "flask": "flask.app",
    "pyramid": "pyramid.router",
    "webpy": "web.application",
}

Tell = Callable[..., None]
"""``tell(error, traceback=None, environ=None, ask=None)``: the framework is going to answer *error*."""


class NoHook(Exception):
    """This version of a framework does not tell of its errors."""


_lock = threading.Lock()
_told: set[str] = set()
_first: weakref.ref[Any] | None = None  # for errors of a request that no middleware saw


def look(middleware: RavenMiddleware) -> None:
    """Listen to each framework that is imported by now and is wanted. Never raises; it may be asked again."""
    global _first
    with _lock:
        if _first is None or _first() is None:
            _first = weakref.ref(middleware)
        for name, needed in FRAMEWORKS.items():
            if name in middleware.options.frameworks and needed in sys.modules:
                _listen(name)


def _listen(name: str) -> None:
    try:
        import_module(f"{__name__}.{name}").hook(partial(told, name))
    except Exception as error:
        if name not in _told:
            _told.add(name)
            why = str(error) if isinstance(error, NoHook) else f"{type(error).__name__} while it was looked for"
            text = "RavenMiddleware: errors that %s %s answers by itself are not seen (%s); those that it lets out are"
            TROUBLES.tell(f"framework {name}", logging.WARNING, text, name, version_of(name), why)


def version_of(name: str) -> str:
    """The version of the framework that is imported."""
    module = sys.modules.get(FRAMEWORKS[name].partition(".")[0])
    found = getattr(module, "__version__", None)
    if type(found) is not str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version({"webpy": "web.py"}.get(name, name))
        except PackageNotFoundError:
            found = "of an unknown version"
    return found


def told(
    name: str,
    error: BaseException,
    traceback: TracebackType | None = None,
    environ: dict[str, Any] | None = None,
    ask: Ask | None = None,
) -> None:
    """The framework *name* is going to answer *error*. Never raises.

    Args:
        name: of the framework.
        error: that it caught.
        traceback: if it is not the one that *error* has.
        environ: of its request, where the framework knows it: in a thread of its own, or under its test client, no
            request is the current one.
        ask: gives the status of its answer, of the body that it returned, where ``start_response`` is not looked at
            (uWSGI).
    """
    state = current_request()
    if type(state) is RequestState:
        if name in state.middleware.options.frameworks:
            keep(state, name, error, traceback, ask)
        return
    middleware = None if _first is None else _first()
    if middleware is None or environ is None or name not in middleware.options.frameworks:
        return
    state = RequestState()
    state.environ = environ
    state.middleware = middleware
    state.status = "500"  # nobody will tell: the event is not to wait
    state.tee = state.failure = state.kept = None
    token = enter(weakref.ref(state))
    try:
        keep(state, name, error, traceback)
    finally:
        leave(token)
