"""The framework web.py: its answer 500 is made while the error is handled."""

from __future__ import annotations

import functools
import sys
from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell


def hook(tell: Tell) -> None:
    """Look at each answer 500 that is made."""
    import web.webapi

    kind: Any = getattr(web.webapi, "_InternalError", None)
    init = vars(kind).get("__init__") if kind is not None else None
    if init is None:
        raise NoHook("it has no _InternalError")
    if hasattr(init, "heka_raven"):
        return

    @functools.wraps(init)
    def watched(self: Any, *args: Any, **keywords: Any) -> None:
        error = sys.exc_info()[1]
        init(self, *args, **keywords)
        if error is not None:
            tell(error, ask=lambda body: "500")

    watched.heka_raven = True  # type: ignore[attr-defined]
    kind.__init__ = watched
