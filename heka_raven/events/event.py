"""Assembles the version 7 event, so that Sentry's normaliser has nothing to remark.

Pure: ids, the time and captured exceptions are passed in. Nothing is masked here; scrub.py runs over the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from heka_raven.capture.classes import is_one_of, plain_dict
from heka_raven.capture.values import Walker
from heka_raven.capture.written import label
from heka_raven.events.request import shown_request
from heka_raven.formats.text import clean, cut
from heka_raven.scope import RequestFacts

MAX_MESSAGE = 8192
MAX_TAG = 200
MAX_CULPRIT = 200
MAX_BREADCRUMBS = 100
MAX_FINGERPRINT = 50  # items

LEVELS = ("fatal", "fatal", "fatal", "error", "warning", "info", "info", "debug")  # by heka severity
_LEVEL_NAMES = {
    "fatal": "fatal", "critical": "fatal", "error": "error", "exception": "error", "warning": "warning",
    "warn": "warning", "info": "info", "log": "info", "notice": "info", "debug": "debug",
}  # fmt: skip

_TAG_KEY = re.compile(r"[^a-zA-Z0-9_.:-]+")
_USER_KEYS = ("id", "email", "ip_address", "username", "name")
# Sentry keeps these for itself.
_RESERVED_TAGS = frozenset({"release", "dist", "user", "filename", "function"})


def level_name(level: Any, severity: int = 3) -> str:
    """Sentry's level for a name, a number of the logging module, or else a heka severity."""
    if type(level) is str:
        return _LEVEL_NAMES.get(level.lower(), "error")
    if type(level) is int:
        return (
            "fatal"
            if level >= 50
            else "error"
            if level >= 40
            else "warning"
            if level >= 30
            else ("info" if level >= 20 else "debug")
        )
    return LEVELS[severity] if 0 <= severity < len(LEVELS) else "error"


def timestamp_text(now: float) -> str:
    """RFC 3339 in UTC, with microseconds."""
    return datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="microseconds")[:26] + "Z"


def culprit_of(exceptions: list[dict[str, Any]]) -> str:
    """``module in function`` of the innermost frame of the application, or of the innermost frame."""
    if not exceptions:
        return ""
    frames = exceptions[-1].get("stacktrace", {}).get("frames") or ()
    if not frames:
        return ""
    chosen = next((frame for frame in reversed(frames) if frame.get("in_app")), frames[-1])
    return cut(f"{chosen.get('module') or '?'} in {chosen.get('function') or '?'}", MAX_CULPRIT)


def build_event(
    *,
    event_id: str,
    now: float,
    level: str,
    logger: str,
    static: Mapping[str, Any],
    walker: Walker,
    exceptions: list[dict[str, Any]] | None = None,
    logentry: dict[str, Any] | None = None,
    facts: RequestFacts | None = None,
    tags: Any = None,
    extra: Mapping[str, Any] | None = None,
    user: Any = None,
    fingerprint: Any = None,
    contexts: Mapping[str, Any] | None = None,
    breadcrumbs: Any = None,
    culprit: str | None = None,
    transaction: str | None = None,
) -> dict[str, Any]:
    """One event.

    Args:
        static: what all events of a client share: platform, server_name, release, environment, sdk, modules,
            ``contexts`` and ``tags``.
        facts: the request, if there is one; what the call says wins over it.
    """
    event: dict[str, Any] = {"event_id": event_id, "timestamp": timestamp_text(now), "level": level}
    if logger:
        event["logger"] = cut(clean(logger), 64)
    event.update(static)
    event["contexts"] = dict(static["contexts"])
    if exceptions:
        event["exception"] = {"values": exceptions}
    if logentry:
        event["logentry"] = logentry
    elif not exceptions:
        event["logentry"] = {"formatted": "<no message>"}
    merged_tags = dict(static.get("tags") or {})
    merged_extra: dict[str, Any] = {}
    if facts is not None:
        _add_facts(event, facts, walker)
        _merge(merged_tags, facts.tags)
        _merge(merged_extra, facts.extra)
        user = _merge_user(facts.user, user)
        fingerprint = facts.fingerprint if fingerprint is None else fingerprint
    if transaction and "transaction" not in event:
        event["transaction"] = cut(clean(transaction), MAX_CULPRIT)
    _merge(merged_tags, tags)
    _merge(merged_extra, extra)
    event["culprit"] = cut(culprit or event.get("transaction") or culprit_of(exceptions or []), MAX_CULPRIT)
    event["tags"] = shown_tags(merged_tags, walker)
    if merged_extra:
        event["extra"] = walker.show_names(merged_extra.items())
    if user is not None and (known := shown_user(user, walker)):
        event["user"] = known
    if fingerprint is not None and (texts := shown_fingerprint(fingerprint, walker)):
        event["fingerprint"] = texts
    _add_contexts(event, contexts, walker)
    if breadcrumbs:
        shown = [_breadcrumb(crumb, walker) for crumb in list(breadcrumbs)[-MAX_BREADCRUMBS:]]
        event["breadcrumbs"] = {"values": [crumb for crumb in shown if crumb]}
    return event


def _merge(into: dict[str, Any], more: Any) -> None:
    """Add a dict, or a list of pairs."""
    if is_one_of(more, list, tuple):
        pairs = [pair for pair in more if is_one_of(pair, list, tuple) and len(pair) == 2]
    else:
        pairs = list(plain_dict(more).items())
    for name, value in pairs:
        if is_one_of(name, str, int, bytes):
            into[str(name)] = value
        elif issubclass(type(name), str):
            into[str.__getitem__(name, slice(None))] = value  # an Enum's, or any other kind of text


def _merge_user(under: dict[str, Any] | None, over: Any) -> Any:
    if over is None:
        return under
    return {**(under or {}), **plain_dict(over)} if issubclass(type(over), dict) else over


def _add_facts(event: dict[str, Any], facts: RequestFacts, walker: Walker) -> None:
    if facts.transaction:
        event["transaction"] = cut(clean(facts.transaction), MAX_CULPRIT)
    if request := shown_request(plain_dict(facts.request), walker):
        event["request"] = request
    if facts.trace:
        event["contexts"]["trace"] = {name: cut(value, 64) for name, value in facts.trace.items() if type(value) is str}
    _add_contexts(event, facts.contexts, walker)


def _add_contexts(event: dict[str, Any], contexts: Any, walker: Walker) -> None:
    for name, value in walker.show_names(plain_dict(contexts).items()).items():
        if type(value) is dict:
            event["contexts"][name] = value


def _text(value: Any) -> str:
    return value if type(value) is str else "" if value is None else str(value)


def _label(value: Any, walker: Walker) -> str:
    """*value* as one word, or, if it is no such thing, as it is shown elsewhere."""
    text = label(value, walker.guard)
    return _text(walker.show(value)) if text is None else text


def shown_tags(tags: Mapping[str, Any], walker: Walker) -> dict[str, str]:
    """Tags as Sentry takes them: keys of ``[a-zA-Z0-9_.:-]``, values on one line, neither empty."""
    shown = {}
    for name, value in tags.items():
        key = _TAG_KEY.sub("_", name)[:MAX_TAG]
        text = " ".join(_label(value, walker).split())
        if key and text and key not in _RESERVED_TAGS:
            shown[key] = cut(clean(text), MAX_TAG)
    return shown


def shown_user(user: Any, walker: Walker) -> dict[str, Any]:
    """Sentry's user interface: known keys as text, the rest under ``data``."""
    if not issubclass(type(user), dict):
        return {"id": cut(_label(user, walker), MAX_TAG)}
    shown: dict[str, Any] = {}
    data: dict[str, Any] = {}
    given = plain_dict(user)
    for name, value in walker.show_names(given.items()).items():
        if value is None or value == "":
            continue
        if name == "remote_user":  # what the server says who it was, not the application
            if walker.guard.send_pii:
                shown.setdefault("id", _text(value))
        elif name in _USER_KEYS:
            shown[name] = _text(value) if type(value) is str else _label(given.get(name), walker)
        elif name == "data" and type(value) is dict:
            data.update(value)
        else:
            data[name] = value
    if data:
        shown["data"] = data
    return shown


def shown_fingerprint(fingerprint: Any, walker: Walker) -> list[str]:
    """A list of texts."""
    items = fingerprint if is_one_of(fingerprint, list, tuple) else [fingerprint]
    return [cut(clean(_label(item, walker)), MAX_TAG) for item in items[:MAX_FINGERPRINT]]


def _breadcrumb(crumb: Any, walker: Walker) -> dict[str, Any]:
    if type(crumb) is not dict:
        return {}
    shown: dict[str, Any] = {}
    for name in ("timestamp", "type", "category", "level", "message", "data"):
        value = crumb.get(name)
        if value is None:
            continue
        if name == "level":
            shown[name] = level_name(value)
        elif name == "data":
            data = walker.show(value) if type(value) is dict and value else None
            if type(data) is dict:  # not when the budget is used up
                shown[name] = data
        elif name == "timestamp":
            shown[name] = value if is_one_of(value, int, float) else _text(walker.show(value))
        elif type(value) is str:
            shown[name] = cut(clean(value), 1024)
    return shown


def skeleton(event: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """What may be said of an event that could not be scrubbed: where it happened, and no value of anything.

    Args:
        event: the event as far as it was built.
        reason: what failed, in our own words.
    """
    kept: dict[str, Any] = {
        name: event[name]
        for name in ("event_id", "timestamp", "platform", "level", "server_name", "release", "environment", "sdk")
        if name in event
    }
    values = []
    for value in (event.get("exception") or {}).get("values") or ():
        frames = [
            {name: frame[name] for name in ("filename", "module", "function", "lineno", "in_app") if name in frame}
            for frame in (value.get("stacktrace") or {}).get("frames") or ()
        ]
        shown: dict[str, Any] = {"type": value.get("type"), "module": value.get("module"), "value": ""}
        if frames:
            shown["stacktrace"] = {"frames": frames}
        values.append(shown)
    if values:
        kept["exception"] = {"values": values}
        kept["culprit"] = culprit_of(values)
    kept["logentry"] = {"formatted": f"heka-raven: {reason}; values are left out"}
    return kept
