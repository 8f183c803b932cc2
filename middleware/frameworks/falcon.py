"""Falcon: the method through which every error of a request goes.

Its ``set_error_reporter`` (4.4) takes one function only, which is the application's to set, and needs the application
object, which may be hidden behind others.
"""

from __future__ import annotations

import functools
from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell


def hook(tell: Tell) -> None:
    """Look at what each application of the process answers."""
    import falcon

    app: Any = falcon.App
    handle = getattr(app, "_handle_exception", None)
    if handle is None:
        raise NoHook("falcon.App has no _handle_exception")
    if hasattr(handle, "heka_raven"):
        return

    @functools.wraps(handle)
    def watched(self: Any, req: Any, resp: Any, ex: Any, params: Any) -> Any:
        found = handle(self, req, resp, ex, params)
        if found and _code(resp) >= 500:
            tell(ex, environ=getattr(req, "env", None), ask=lambda body: _code(resp))
        return found

    watched.heka_raven = True  # type: ignore[attr-defined]
    app._handle_exception = watched


def _code(resp: Any) -> int:
    """Falcon takes ``503``, ``"503"``, ``"503 Service Unavailable"`` and members of ``http.HTTPStatus``."""
    status = getattr(resp, "status", None)
    digits = str(getattr(status, "value", status))[:3]
    return int(digits) if digits.isdigit() else 500
