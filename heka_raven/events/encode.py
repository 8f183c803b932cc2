"""Events to bytes within a limit.

Pure. What is cut when an event is too big, in this order: local variables, from the outermost frame inwards; old
breadcrumbs, modules, source context, the request's body, extra, the innermost locals, frames from the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from heka_raven.formats.text import clean, cut

MAX_EVENT_SIZE = 1024 * 1024  # bytes; Sentry refuses more with 413

_REQUESTS = ("request", "sentry.interfaces.Http")
CUT_VARS = {"…": "<cut: the event was too big>"}
_CUT_SIZE = 40  # bytes of its JSON


class EncodeError(ValueError):
    """The event cannot be encoded, or not within its limit."""


def encode_json(event: dict[str, Any]) -> bytes:
    """JSON, without any limit.

    Raises:
        EncodeError: if the event holds what JSON has no form for.
    """
    try:
        return orjson.dumps(event)
    except TypeError:
        try:
            return orjson.dumps(_mended(event, 0))
        except EncodeError:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise EncodeError(f"the event cannot be encoded: {type(error).__name__}") from None


def _mended(node: Any, depth: int) -> Any:
    """A copy of *node* that is sure to encode: for what a before_send or a caller put into an event."""
    kind = type(node)
    if depth > 100:
        raise EncodeError("the event is nested more than 100 deep")
    if kind is str:
        return clean(node)
    if kind is dict:
        return {clean(k) if type(k) is str else str(k) if type(k) in (int, float) else "?": _mended(v, depth + 1)
                for k, v in node.items()}  # fmt: skip
    if kind in (list, tuple):
        return [_mended(item, depth + 1) for item in node]
    if kind is int and not -(2**63) < node < 2**63:
        return str(node) if node.bit_length() < 4096 else "<int>"
    if kind in (int, float, bool, type(None)):
        return node
    raise EncodeError(f"a {kind.__name__} has no form in JSON")


def encode_event(event: dict[str, Any], limit: int = MAX_EVENT_SIZE) -> bytes:
    """*event* in at most *limit* bytes; an event that is too big is trimmed, in place.

    Raises:
        EncodeError: if it does not fit however much is cut.
    """
    data = encode_json(event)
    if len(data) <= limit:
        return data
    _cut_vars(event, len(data) - limit)
    data = encode_json(event)
    if len(data) <= limit:
        return data
    for step in _trims(event):
        step()
        data = encode_json(event)
        if len(data) <= limit:
            return data
    raise EncodeError(f"the event has {len(data):,} bytes after all cuts; the limit is {limit:,}")


def _cut_vars(event: dict[str, Any], excess: int) -> None:
    """Cut local variables of at least *excess* bytes, the outermost frames' first; those of the last frame stay."""
    with_vars = [frame for frames in _frames(event) for frame in frames if frame.get("vars")]
    for frame in with_vars[:-1]:
        if excess <= 0:
            return
        saved = len(encode_json(frame["vars"])) - _CUT_SIZE
        if saved > 0:
            frame["vars"] = CUT_VARS
            excess -= saved


def _frames(event: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The frames of each stack trace of the event; the reported exception's last."""
    found = []
    for value in (event.get("exception") or {}).get("values") or ():
        found.append((value.get("stacktrace") or {}).get("frames") or [])
    for name in ("stacktrace", "sentry.interfaces.Stacktrace"):
        found.append((event.get(name) or {}).get("frames") or [])
    return [frames for frames in found if frames]


def _trims(event: dict[str, Any]) -> Iterator[Callable[[], Any]]:
    """Cuts after local variables, the least painful first."""
    with_vars = [frame for frames in _frames(event) for frame in frames if frame.get("vars")]
    yield lambda: _thin_breadcrumbs(event)
    yield lambda: _keep(event, "modules", None)
    yield lambda: _drop_context(event)
    for name in _REQUESTS:
        yield lambda name=name: _keep(event.get(name) or {}, "data", "<cut: the event was too big>")  # type: ignore[misc]
    yield lambda: _keep(event, "extra", CUT_VARS)
    yield lambda: _set_all(with_vars[-1:], "vars", CUT_VARS)
    for name in _REQUESTS:
        yield lambda name=name: _keep(event.get(name) or {}, "env", {})  # type: ignore[misc]
    yield lambda: _cut_texts(event, 1024)
    for keep in (50, 10):
        yield lambda keep=keep: _cut_middle(event, keep)  # type: ignore[misc]
    for name in ("breadcrumbs", *_REQUESTS, "contexts", "tags", "user"):
        yield lambda name=name: event.pop(name, None)  # type: ignore[misc]
    yield lambda: _cut_texts(event, 100)
    yield lambda: _last_exceptions(event, 1)
    yield lambda: _bare(event)


def _set_all(frames: list[dict[str, Any]], name: str, value: Any) -> None:
    for frame in frames:
        frame[name] = value


def _keep(node: dict[str, Any], name: str, value: Any) -> None:
    if name in node:
        if value is None:
            del node[name]
        else:
            node[name] = value


def _thin_breadcrumbs(event: dict[str, Any]) -> None:
    crumbs = (event.get("breadcrumbs") or {}).get("values")
    if crumbs:
        event["breadcrumbs"] = {"values": crumbs[-10:]}


def _drop_context(event: dict[str, Any]) -> None:
    for frames in _frames(event):
        for frame in frames[:-1]:
            frame.pop("pre_context", None)
            frame.pop("post_context", None)


def _cut_middle(event: dict[str, Any], keep: int) -> None:
    for frames in _frames(event):
        if len(frames) > keep:
            del frames[keep // 4 : len(frames) - (keep - keep // 4)]
    for value in (event.get("exception") or {}).get("values") or ():
        # The ranges name frames by their place, which is gone.
        (value.get("mechanism") or {}).pop("data", None)


def _cut_texts(event: dict[str, Any], limit: int) -> None:
    for value in (event.get("exception") or {}).get("values") or ():
        _cut_values(value, ("value",), limit)
    _cut_values(event, ("message",), limit)
    _cut_values(event.get("sentry.interfaces.Exception") or {}, ("value",), limit)
    for name in ("logentry", "sentry.interfaces.Message"):
        logentry = event.get(name) or {}
        logentry.pop("params", None)
        _cut_values(logentry, ("message", "formatted"), limit)


def _cut_values(node: dict[str, Any], names: tuple[str, ...], limit: int) -> None:
    for name in names:
        text = node.get(name)
        if type(text) is str:
            node[name] = cut(text, limit)


def _last_exceptions(event: dict[str, Any], count: int) -> None:
    values = (event.get("exception") or {}).get("values")
    if values:
        event["exception"] = {"values": values[-count:]}


def _bare(event: dict[str, Any]) -> None:
    """The least that is still of use: what it was and where."""
    _cut_middle(event, 1)
    for frames in _frames(event):
        for name in ("vars", "pre_context", "context_line", "post_context"):
            frames[-1].pop(name, None)
    event.pop("extra", None)
