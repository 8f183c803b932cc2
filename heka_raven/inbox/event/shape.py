"""Reads a parsed event of any protocol version into the model. Pure, bounded, never raises."""

import re
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import orjson

from heka_raven.inbox.event.bounded import (
    integer,
    mapping,
    moment,
    pairs,
    pretty,
    sequence,
    text,
    values,
)
from heka_raven.inbox.event.inflight import in_flight
from heka_raven.inbox.event.model import Crumb, Error, Event, Frame, Image, Pairs, Request
from heka_raven.inbox.event.nodes import Room, nodes
from heka_raven.inbox.event.older_protocols import level_name, modernise

MAX_ERRORS = 50  # exceptions of one event; a group can hold thousands
MAX_FRAMES = 250  # frames of one stack, as our own capture keeps
MAX_LOCALS = 60  # locals of one frame
MAX_CRUMBS = 100  # Sentry keeps as many
MAX_LINE = 400  # characters of a source line: minified scripts have one of a megabyte
MAX_TAGS = 50  # tags of one event
MAX_CONTEXTS = 20
MAX_IMAGES = 200  # loaded libraries of a native event
MAX_BODY = 10_000  # characters of a request's body

_HEX_ID = re.compile(r"[0-9a-fA-F]{32}")
_PLACE = re.compile(r"%(?:\((?P<name>\w{1,100})\))?[-#0 +]{0,5}\d{0,12}(?:\.\d{1,12})?(?P<kind>[srdiuxfgeac%])")
REQUEST_ID_TAGS = ("request_id", "request.id", "uwsgi.request_id")
IN_FLIGHT_KEYS = ("suspect", "bystanders", "other_requests")  # shown as a table of their own
WORKER_TAGS = ("uwsgi.worker", "worker", "worker_id")
REQUEST_ID_HEADERS = ("x-request-id", "x-correlation-id")
# Where systems keep their libraries: native frames of clients that do not say in_app
_SYSTEM = re.compile(r"/(usr/)?lib|/system/|/System/|[A-Za-z]:\\Windows\\", re.ASCII)


def event_id_of(value: Any) -> str:
    """A Sentry event id (32 hex digits) from any form of a UUID; empty if it is none."""
    found = text(value, 64).replace("-", "").strip()
    return found.lower() if _HEX_ID.fullmatch(found) else ""


def _lines(value: Any) -> list[str]:
    return [text(line, MAX_LINE) for line in sequence(value)[:20]]


def _is_ours(raw: dict[str, Any]) -> bool:
    """Whether a frame is of the app: as the client says, else by the library that native code is in."""
    said = raw.get("in_app")
    return said if isinstance(said, bool) else not _SYSTEM.match(text(raw.get("package"), 300))


def _frame(index: int, raw: Any, brief: bool, room: Room) -> Frame:
    raw = mapping(raw)
    return Frame(
        index=index,
        filename=text(raw.get("filename"), 500),
        abs_path=text(raw.get("abs_path"), 500),
        function=text(raw.get("function"), 300),
        module=text(raw.get("module"), 300),
        lineno=integer(raw.get("lineno")),
        colno=integer(raw.get("colno")),
        in_app=_is_ours(raw),
        context_line="" if brief else text(raw.get("context_line"), MAX_LINE),
        pre_context=[] if brief else _lines(raw.get("pre_context")),
        post_context=[] if brief else _lines(raw.get("post_context")),
        locals=[] if brief else nodes(raw.get("vars"), MAX_LOCALS, room),
        address=text(raw.get("instruction_addr"), 40),
        package=text(raw.get("package"), 300),
    )


def _frames(stacktrace: Any, brief: bool, room: Room) -> tuple[list[Frame], str]:
    """The frames, outermost first, and a note on those left out."""
    stacktrace = mapping(stacktrace)
    raw = sequence(stacktrace.get("frames"))
    total = len(raw)
    if brief:  # an index needs the innermost frame of the app, and where there is none the innermost at all
        ours = (at for at in range(total - 1, -1, -1) if _is_ours(mapping(raw[at])))
        raw = raw[next(ours, total - 1) :] if raw else raw
        return [_frame(index, item, brief, room) for index, item in enumerate(raw[:MAX_FRAMES])], ""
    kept = list(enumerate(raw))
    notes = []
    if total > MAX_FRAMES:
        kept = kept[:50] + kept[50 - MAX_FRAMES :]
        notes.append(f"{total - MAX_FRAMES:,} of {total:,} frames are not shown (50 to {total - MAX_FRAMES + 50})")
    omitted = sequence(stacktrace.get("frames_omitted"))
    if len(omitted) == 2:
        notes.append(f"the client left out frames {text(omitted[0], 10)} to {text(omitted[1], 10)}")
    # The newest first: room for what is inside of locals may run out.
    frames = [_frame(index, item, brief, room) for index, item in reversed(kept)]
    return frames[::-1], "; ".join(notes)


def _underline(frames: list[Frame], data: dict[str, Any]) -> None:
    """Set the failing columns from ``mechanism.data.carets``, else from the frame's own column."""
    by_index = {frame.index: frame for frame in frames}
    for caret in sequence(data.get("carets"))[: MAX_FRAMES * 2]:
        numbers = [integer(item) for item in sequence(caret)]
        if len(numbers) != 5 or None in numbers:
            continue
        # Columns are 1-based and the end is excluded; a range over several lines is shown on its first one.
        index, lineno, column, end_lineno, end_column = (int(item or 0) for item in numbers)
        frame = by_index.get(index)
        if frame is None or frame.lineno not in (None, lineno) or column < 1:
            continue
        end = end_column if end_lineno == lineno else len(frame.context_line) + 1
        if column < end:
            frame.carets = (column - 1, min(end - 1, len(frame.context_line)))
    for frame in frames:
        if frame.carets is None and frame.colno is not None and 0 < frame.colno <= len(frame.context_line):
            frame.carets = (frame.colno - 1, frame.colno)


def _thread_of(event: dict[str, Any], ident: Any) -> str:
    """What the event says of the thread that an exception was in: its name and states."""
    for raw in map(mapping, values(event.get("threads"))[:200]):
        if ident is not None and raw.get("id") == ident and raw.get("name"):
            states = [text(raw.get("state"), 40)] + ["crashed"] * (raw.get("crashed") is True)
            known = ", ".join(filter(None, states))
            return text(raw.get("name"), 100) + (f" ({known})" if known else "")
    return ""


def _signal(meta: dict[str, Any]) -> str:
    """``SIGSEGV 11 SEGV_MAPERR``, ``EXC_CRASH SIGABRT 6``: what the system said of a native crash."""
    signal, mach = mapping(meta.get("signal")), mapping(meta.get("mach_exception"))
    parts = [mach.get("name"), signal.get("name"), signal.get("number"), signal.get("code_name")]
    return " ".join(filter(None, (text(part, 40) for part in parts)))


def _error(index: int, raw: Any, event: dict[str, Any], brief: bool, room: Room) -> Error:
    raw = mapping(raw)
    mechanism = mapping(raw.get("mechanism"))
    data = mapping(mechanism.get("data"))
    frames, omitted = _frames(raw.get("stacktrace"), brief, room)
    if not brief:
        _underline(frames, data)
    handled = mechanism.get("handled")
    notes = [text(note, 1_000) for note in sequence(data.get("notes"))[:20]]
    shown = ((key, value) for key, value in data.items() if key not in ("carets", "notes"))
    facts = [(text(key, 100), pretty(value, 300)) for key, value in islice(shown, 30)]
    told = {"signal": _signal(mapping(mechanism.get("meta"))), "thread": _thread_of(event, raw.get("thread_id"))}
    facts[:0] = [(key, value) for key, value in told.items() if value]
    return Error(
        index=index,
        type=text(raw.get("type"), 300) or "Error",
        value=text(raw.get("value")),
        module=text(raw.get("module"), 300),
        mechanism=text(mechanism.get("type"), 100),
        handled=handled if isinstance(handled, bool) else None,
        frames=frames,
        omitted=omitted,
        exception_id=integer(mechanism.get("exception_id")),
        parent_id=integer(mechanism.get("parent_id")),
        source=text(mechanism.get("source"), 100),
        is_group=mechanism.get("is_exception_group") is True,
        notes=notes,
        facts=facts,
    )


def _errors(event: dict[str, Any], brief: bool, room: Room) -> list[Error]:
    """Oldest first; read newest first, for what has only so much room."""
    raws = list(enumerate(values(event.get("exception"))[-MAX_ERRORS:]))
    return [_error(index, raw, event, brief, room) for index, raw in reversed(raws)][::-1]


def _query(value: Any) -> Pairs:
    if isinstance(value, str):
        try:
            return pairs([list(item) for item in parse_qsl(value[:8_192], keep_blank_values=True)])
        except ValueError:
            return [("query", text(value))]
    return pairs(value)


def _cookies(value: Any) -> Pairs:
    if isinstance(value, str):
        parts = [part.strip().partition("=") for part in value[:8_192].split(";") if part.strip()]
        return pairs([[name, item] for name, _, item in parts])
    return pairs(value)


def _body(value: Any) -> str:
    """A body as text; one that the client took apart as JSON that can be pasted and parsed."""
    if isinstance(value, dict | list):
        try:
            return text(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), MAX_BODY)
        except TypeError:  # nested deeper than orjson writes
            return pretty(value, MAX_BODY)
    return text(value, MAX_BODY)


def _request(raw: dict[str, Any]) -> Request | None:
    if not raw:
        return None
    return Request(
        method=text(raw.get("method"), 20),
        url=text(raw.get("url"), 2_000),
        query=_query(raw.get("query_string")),
        headers=pairs(raw.get("headers")),
        cookies=_cookies(raw.get("cookies")),
        env=pairs(raw.get("env")),
        data=_body(raw.get("data")),
    )


def _crumb(raw: Any) -> Crumb:
    raw = mapping(raw)
    message = text(raw.get("message"), 1_000)
    data = pretty(raw["data"], 500) if raw.get("data") else ""
    return Crumb(
        timestamp=moment(raw.get("timestamp")),
        category=text(raw.get("category") or raw.get("type"), 100),
        level=level_name(raw.get("level", "info")),
        message=" ".join(part for part in (message, data) if part),
    )


def _fill(template: str, params: Any) -> str:
    """``template % params`` without the operator: that one would follow a width or a repetition into gigabytes."""
    by_position = iter(sequence(params)[:100])
    by_name = mapping(params)

    def value(place: re.Match[str]) -> str:
        if place["kind"] == "%":
            return "%"
        found = by_name.get(place["name"], place) if place["name"] else next(by_position, place)
        return place.group() if found is place else pretty(found, 500)

    return text(_PLACE.sub(value, template))


def _message(event: dict[str, Any]) -> tuple[str, str]:
    """What the event says, and the template it was made from."""
    entry = event.get("logentry")
    if isinstance(entry, str):
        return text(entry), ""
    entry = mapping(entry)
    template = text(entry.get("message"))
    formatted = text(entry.get("formatted"))
    if not formatted and "%" in template:
        formatted = _fill(template, entry.get("params"))
    top = event.get("message")
    if isinstance(top, dict):
        top = top.get("formatted") or top.get("message")
    return formatted or template or text(top), template


def _threads(event: dict[str, Any], brief: bool, room: Room) -> list[tuple[str, list[Frame]]]:
    """Stacks beside the exceptions: the event's own, and those of threads."""
    found = []
    template = mapping(event.get("template"))  # raven's: where a template failed
    if template:
        found.append(("Template", [_frame(0, {**template, "in_app": True}, brief, room)]))
    alone, _ = _frames(event.get("stacktrace"), brief, room)
    if alone:
        found.append(("Stack", alone))
    for raw in values(event.get("threads"))[:20]:
        raw = mapping(raw)
        frames, _ = _frames(raw.get("stacktrace"), brief, room)
        if frames:
            name = text(raw.get("name") or raw.get("id"), 100)
            crashed = " (crashed)" if raw.get("crashed") is True else ""
            found.append((f"Thread {name}{crashed}", frames))
    return found


def _images(event: dict[str, Any]) -> list[Image]:
    found = []
    for raw in sequence(mapping(event.get("debug_meta")).get("images"))[:MAX_IMAGES]:
        raw = mapping(raw)
        found.append(
            Image(
                name=text(raw.get("code_file") or raw.get("debug_file") or raw.get("name"), 300),
                kind=text(raw.get("type"), 40),
                ident=text(raw.get("debug_id") or raw.get("code_id") or raw.get("uuid"), 100),
                address=text(raw.get("image_addr"), 40),
                size=integer(raw.get("image_size")),
            )
        )
    return found


def _contexts(raw: dict[str, Any]) -> list[tuple[str, Pairs]]:
    found = []
    for name, value in list(raw.items())[:MAX_CONTEXTS]:
        rows = pairs(
            {key: item for key, item in mapping(value).items() if key != "type" and key not in IN_FLIGHT_KEYS}, 50
        )
        if rows:
            found.append((text(name, 100), rows))
    return found


def _request_ids(event: dict[str, Any], request: Request | None, tags: Pairs) -> list[str]:
    """The names under which other events may speak of the same request."""
    found = [value for key, value in tags if key in REQUEST_ID_TAGS]
    if request is not None:
        found += [value for key, value in request.headers if key.lower() in REQUEST_ID_HEADERS]
    return [value[:200] for value in dict.fromkeys(found) if value and value != "[Filtered]"][:5]


def _worker(event: dict[str, Any], tags: Pairs) -> str:
    """The number of the worker that the event speaks of."""
    found = next((value for key, value in tags if key in WORKER_TAGS), "")
    for server in ("uwsgi", "gunicorn"):
        found = found or text(mapping(mapping(event.get("contexts")).get(server)).get("worker"), 20)
    if not found and any(key == "uwsgi.event" for key, _ in tags):
        found = text(mapping(event.get("extra")).get("worker"), 20)
    return found


def _propagated_trace(request: Request | None) -> str:
    """The trace that the request came in with: ``sentry-trace`` or the standard's ``traceparent``."""
    headers = {name.lower(): value for name, value in request.headers} if request is not None else {}
    found = event_id_of(headers.get("sentry-trace", "").partition("-")[0])
    return found or event_id_of(headers.get("traceparent", "").partition("-")[2].partition("-")[0])


def read_event(event: dict[str, Any], brief: bool = False) -> Event:
    """Read a parsed event of any protocol version.

    Args:
        event: the parsed JSON; it is not changed.
        brief: leave out what an index does not need (source lines, locals, extra, …): 8 times faster.
    """
    event = modernise(event)
    contexts = mapping(event.get("contexts"))
    trace = mapping(contexts.get("trace"))
    request = _request(mapping(event.get("request")))
    # A list of pairs may name a key twice; the last one counts, as in a mapping.
    tags = list({key: value[:200] for key, value in pairs(event.get("tags"), MAX_TAGS) if value}.items())
    if event.get("dist") and not any(key == "dist" for key, _ in tags):  # which build of a release: Sentry's tag, too
        tags.append(("dist", text(event["dist"], 200)))
    message, template = _message(event)
    sdk = mapping(event.get("sdk"))
    room = Room()
    return Event(
        event_id=event_id_of(event.get("event_id")),
        timestamp=moment(event.get("timestamp")),
        level=level_name(event.get("level", "error")),
        platform=text(event.get("platform"), 60),
        logger=text(event.get("logger"), 200),
        transaction=text(event.get("transaction"), 300),
        culprit=text(event.get("culprit"), 300),
        server_name=text(event.get("server_name"), 200),
        release=text(event.get("release"), 200),
        environment=text(event.get("environment"), 100),
        message=message,
        template=template,
        errors=_errors(event, brief, room),
        threads=_threads(event, brief, room),
        request=request,
        user=pairs(mapping(event.get("user")), 30),
        tags=tags,
        extra=[]
        if brief
        else pairs({key: value for key, value in mapping(event.get("extra")).items() if key not in IN_FLIGHT_KEYS}),
        contexts=[] if brief else _contexts(contexts),
        breadcrumbs=[] if brief else [_crumb(raw) for raw in values(event.get("breadcrumbs"))[-MAX_CRUMBS:]],
        fingerprint=[text(part, 300) for part in sequence(event.get("fingerprint"))[:20]],
        sdk=f"{text(sdk.get('name'), 100)} {text(sdk.get('version'), 50)}".strip(),
        modules=[] if brief else pairs(mapping(event.get("modules")), 500, 100),
        images=[] if brief else _images(event),
        trace_id=event_id_of(trace.get("trace_id")) or _propagated_trace(request),
        span_id=text(trace.get("span_id"), 32),
        request_ids=_request_ids(event, request, tags),
        in_flight=in_flight(event),
        worker=_worker(event, tags),
    )
