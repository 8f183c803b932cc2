"""Pyramid: what an exception view answers, by the event ``NewResponse``. What none answers Pyramid raises."""

from __future__ import annotations

from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell


def hook(tell: Tell) -> None:
    """Subscribe to the event in each application of the process."""
    try:
        from pyramid.config import global_registries
        from pyramid.events import NewResponse
    except ImportError:
        raise NoHook("it has no global_registries, or no event NewResponse") from None

    def told(event: Any) -> None:
        request = event.request
        error = getattr(request, "exception", None)
        response = event.response
        if error is not None and response.status_int >= 500:
            exc_info = getattr(request, "exc_info", None)
            traceback = exc_info[2] if exc_info else None
            tell(error, traceback, getattr(request, "environ", None), lambda body: response.status_int)

    told.heka_raven = True  # type: ignore[attr-defined]
    for registry in list(global_registries):
        if not any(hasattr(known.handler, "heka_raven") for known in registry.registeredHandlers()):
            registry.registerHandler(told, (NewResponse,))
