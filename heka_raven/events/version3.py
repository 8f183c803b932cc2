"""The version 3 event of Sentry 5.1 to 5.4, as heka-py-raven sent it.

Pure. Its shape is that of tests/data/raven_payloads.json: flat interfaces, numbers for levels, values of variables as
raven 3.4 showed them (the walker quotes them), '********' for what is masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heka_raven.scrub.scrubber import FILTERED, MASK_LEGACY

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "fatal": 50}
_FRAME_KEYS = (
    "abs_path", "filename", "module", "function", "lineno", "pre_context", "context_line", "post_context", "vars",
)  # fmt: skip
_NO_CONTEXT = {"pre_context": [], "context_line": "", "post_context": [], "vars": {}}


def legacy_event(
    event: Mapping[str, Any], project: str, logger: str | None, severity: int, argv0: str
) -> dict[str, Any]:
    """The version 3 form of a finished, scrubbed version 7 event whose values a legacy walker showed."""
    extra = _masked(dict(event.get("extra") or {}))
    shown: dict[str, Any] = {
        "event_id": event["event_id"],
        "project": project,
        "timestamp": event["timestamp"].partition(".")[0].rstrip("Z") + "Z",
        "platform": "python",
        "level": _LEVELS.get(event["level"], 40),
        "culprit": event.get("culprit") or "",
        "server_name": event.get("server_name"),
        "modules": dict(event.get("modules") or {}),
        "tags": dict(event.get("tags") or {}),
        "time_spent": None,
        "extra": {
            "msg": "''",
            **extra,
            "logger": None if logger is None else repr(logger),
            "severity": severity,
            "sys.argv": [repr(argv0)],
        },
    }
    values = (event.get("exception") or {}).get("values") or []
    if values:
        last = values[-1]
        shown["message"] = f"{last['type']}: {last['value']}" if last.get("value") else str(last["type"])
        shown["sentry.interfaces.Exception"] = {name: last.get(name) for name in ("type", "value", "module")}
        frames = (last.get("stacktrace") or {}).get("frames") or []
        shown["sentry.interfaces.Stacktrace"] = {"frames": [_frame(frame) for frame in frames]}
    else:
        logentry = event.get("logentry") or {}
        shown["message"] = logentry.get("formatted") or logentry.get("message") or "<no message>"
        shown["sentry.interfaces.Message"] = {
            "message": logentry.get("message") or shown["message"],
            "params": logentry.get("params") or [],
        }
    if event.get("logger"):
        shown["logger"] = event["logger"]
    if event.get("request"):
        shown["sentry.interfaces.Http"] = _http(event["request"])
    if event.get("user"):
        user = event["user"]
        known = bool(user.get("id") or user.get("username"))
        shown["sentry.interfaces.User"] = _masked({**user, "is_authenticated": known})
    for name in ("release", "environment"):
        if event.get(name):
            shown["tags"].setdefault(name, event[name])
    return shown


def _frame(frame: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: frame[name] for name in _FRAME_KEYS if name in frame}
    shown["vars"] = _masked(shown.get("vars") or {})
    return {**_NO_CONTEXT, **shown}


def _http(request: Mapping[str, Any]) -> dict[str, Any]:
    query = request.get("query_string")
    return {
        "url": request.get("url") or "",
        "method": request.get("method"),
        "query_string": query if isinstance(query, str) else "",
        "data": _masked(request.get("data")),
        "cookies": _masked(request.get("cookies") or {}),
        "headers": _masked(request.get("headers") or {}),
        "env": _masked(request.get("env") or {}),
    }


def _masked(node: Any) -> Any:
    """*node* with version 3's mask in the place of version 7's."""
    if type(node) is dict:
        return {name: _masked(value) for name, value in node.items()}
    if type(node) is list:
        return [_masked(value) for value in node]
    if type(node) is str and FILTERED in node:
        return node.replace(FILTERED, MASK_LEGACY)
    return node
