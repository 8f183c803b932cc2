"""Events of protocol 2 to 6 (raven and the first sentry clients) in the words of version 7.

Flat keys "sentry.interfaces.X" become "x"; numbers become level names; a stack beside an exception moves into it.
"""

from typing import Any

from heka_raven.inbox.event.bounded import mapping, sequence, values

PREFIX = "sentry.interfaces."
NAMES = {
    "Exception": "exception",
    "Stacktrace": "stacktrace",
    "Http": "request",
    "User": "user",
    "Message": "logentry",
    "Query": "query",
    "Template": "template",
    "Breadcrumbs": "breadcrumbs",
}
LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "fatal"}
LEVEL_NAMES = {"debug", "info", "warning", "error", "fatal"}
SYNONYMS = {"warn": "warning", "critical": "fatal", "exception": "error", "log": "info", "notset": "error"}


def level_name(value: Any) -> str:
    """One of Sentry's five levels; what is unknown counts as an error, as Sentry does it."""
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            value = int(value[:9])
        else:
            name = value.strip().lower()
            return name if name in LEVEL_NAMES else SYNONYMS.get(name, "error")
    if isinstance(value, int) and not isinstance(value, bool):
        return LEVELS.get(max(10, min(50, value // 10 * 10)), "error")
    return "error"


def _bare_key(key: Any) -> Any:
    """raven sent the repr of each local's name: ``"'user'"``."""
    if isinstance(key, str) and len(key) > 2 and key[0] == key[-1] == "'":
        return key[1:-1]
    return key


def _with_bare_locals(stacktrace: dict[str, Any]) -> dict[str, Any]:
    frames = []
    for frame in sequence(stacktrace.get("frames")):
        variables = mapping(mapping(frame).get("vars"))
        if any(isinstance(key, str) and key[:1] == "'" for key in variables):
            frame = {**frame, "vars": {_bare_key(key): value for key, value in variables.items()}}
        frames.append(frame)
    return {**stacktrace, "frames": frames}


def modernise(event: dict[str, Any]) -> dict[str, Any]:
    """The event with version 7's keys; the given one is not changed."""
    out: dict[str, Any] = {}
    for key, value in event.items():
        name = NAMES.get(key[len(PREFIX) :]) if key.startswith(PREFIX) else None
        if name is None:
            out.setdefault(key, value)
        else:
            out[name] = value
    stacktrace = mapping(out.get("stacktrace"))
    if stacktrace:
        stacktrace = _with_bare_locals(stacktrace)
        errors = [dict(mapping(error)) for error in values(out.get("exception"))]
        if errors and not any(error.get("stacktrace") for error in errors):
            errors[-1]["stacktrace"] = stacktrace
            out["exception"] = {"values": errors}
            del out["stacktrace"]
        else:
            out["stacktrace"] = stacktrace
    return out
