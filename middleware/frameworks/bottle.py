"""Bottle: an error that it caught becomes the ``exception`` of an ``HTTPError``."""

from __future__ import annotations

import functools
from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell


def hook(tell: Tell) -> None:
    """Look at each ``HTTPError`` with an exception."""
    import bottle

    init = vars(bottle.HTTPError).get("__init__")
    if init is None:
        raise NoHook("its HTTPError has no exception")
    if hasattr(init, "heka_raven"):
        return

    @functools.wraps(init)
    def watched(self: Any, *args: Any, **keywords: Any) -> None:
        init(self, *args, **keywords)
        error = getattr(self, "exception", None)
        if isinstance(error, BaseException):
            tell(error, ask=lambda body: bottle.response.status_code)

    watched.heka_raven = True  # type: ignore[attr-defined]
    bottle.HTTPError.__init__ = watched
