"""Flask, and what is built on it: its signal ``got_request_exception``."""

from __future__ import annotations

from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell

_listening: list[Any] = []


def hook(tell: Tell) -> None:
    """Listen to the signal, whichever of the process's applications sends it."""
    if _listening:
        return
    import flask

    signal: Any = getattr(flask, "got_request_exception", None)

    def told(sender: Any, exception: BaseException, **more: Any) -> None:
        tell(exception)

    try:
        signal.connect(told, weak=False)
    except (AttributeError, RuntimeError):
        raise NoHook("it has no signal got_request_exception, or blinker is missing") from None
    _listening.append(told)
