"""Django, and what is built on it: its signal ``got_request_exception``."""

from __future__ import annotations

import sys
from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell


def hook(tell: Tell) -> None:
    """Listen to the signal, in whatever thread it is sent."""
    from django.core import signals

    signal: Any = getattr(signals, "got_request_exception", None)

    def told(sender: Any, request: Any = None, **more: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            # A test client's request has an environ as well; one of ASGI has none.
            tell(error, environ=getattr(request, "environ", None), ask=_status)

    try:
        signal.connect(told, weak=False, dispatch_uid="heka_raven.middleware")
    except AttributeError:
        raise NoHook("it has no signal got_request_exception") from None


def _status(response: Any) -> Any:
    return response.status_code
