"""Flask, and what is built on it: its signal ``got_request_exception``."""

from __future__ import annotations

from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell
from heka_raven.uwsgi_bridge import in_uwsgi

_listening: list[Any] = []


def hook(tell: Tell) -> None:
    """Listen to the signal, whichever of the process's applications sends it."""
    if _listening:
        return
    import flask

    signal: Any = getattr(flask, "got_request_exception", None)

    def told(sender: Any, exception: BaseException, **more: Any) -> None:
        if not in_uwsgi():
            tell(exception)
            return
        status = []

        def note(response: Any) -> Any:
            status.append(response.status_code)
            return response

        flask.after_this_request(note)
        tell(exception, ask=lambda body: status[-1])

    try:
        signal.connect(told, weak=False)
    except (AttributeError, RuntimeError):
        raise NoHook("it has no signal got_request_exception, or blinker is missing") from None
    _listening.append(told)
