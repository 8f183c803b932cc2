"""The requests that a server event names: the suspect, and the bystanders that ran beside it. Pure.

As the plugin's watch writes them: the event's own request is the suspect, with worker, core, pid and request_age_ms
in "extra"; "extra.other_requests" has the others, one a line. Others may send objects, in the context "uwsgi" or in
"extra": suspect {method url age_s worker core pid transaction user event_id trace_id …}, bystanders [{…}, …].
"""

import re
from typing import Any

import orjson

from heka_raven.inbox.event.bounded import mapping, number, pretty, sequence, text
from heka_raven.inbox.event.model import InFlight

MAX_BYSTANDERS = 64
MAX_PARSED = 65_536  # characters of a text read as JSON
_LINE = re.compile(
    r"(?P<method>[A-Z]{1,20}|\([^)]{1,60}\)) (?P<url>.{0,600}) for (?P<age_ms>\d{1,12}) ms"
    r" on worker (?P<worker>\d{1,6}) core (?P<core>\d{1,6})"
)
_DIGITS = re.compile(r"[0-9]{1,12}")
_AGES = ("age_s", "age", "seconds")
_KNOWN = {"method", "url", "uri", "path", "worker", "core", "pid", "transaction", "event_id", "trace_id", *_AGES}


def _parsed(value: Any) -> Any:
    """The plugin's ``extra`` holds texts only: one that looks like JSON is read."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= MAX_PARSED:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    return value


def _read(role: str, raw: Any) -> InFlight | None:
    raw = mapping(_parsed(raw))
    if not raw:
        return None
    age_ms = number(raw.get("age_ms"))
    age = next((found for key in _AGES if (found := number(raw.get(key))) is not None), None)
    return InFlight(
        role=role,
        method=text(raw.get("method"), 20),
        url=text(raw.get("url") or raw.get("uri") or raw.get("path"), 2_000),
        age_s=age_ms / 1000 if age is None and age_ms is not None else age,
        worker=text(raw.get("worker"), 20),
        core=text(raw.get("core"), 20),
        pid=text(raw.get("pid"), 20),
        transaction=text(raw.get("transaction"), 300),
        event_id=text(raw.get("event_id"), 64).replace("-", "").lower(),
        trace_id=text(raw.get("trace_id"), 64).replace("-", "").lower(),
        facts=[
            (text(key, 100), pretty(value, 300))
            for key, value in list(raw.items())[:40]
            if key not in _KNOWN and key != "age_ms" and value not in (None, "", [], {})
        ],
    )


def _lines(text_: Any) -> list[InFlight]:
    """The plugin's list of other requests: ``GET /p/1 for 400 ms on worker 1 core 0``, one a line."""
    found = []
    for line in text(text_).splitlines()[:MAX_BYSTANDERS]:
        parts = _LINE.fullmatch(line.strip())
        if parts is not None:
            fields = {**parts.groupdict(), "age_ms": int(parts["age_ms"])}
            item = _read("bystander", fields)
            if item is not None:
                found.append(item)
    return found


def _own_request(event: dict[str, Any], extra: dict[str, Any]) -> InFlight | None:
    """A server event's own request is the suspect; its worker, core and age stand in ``extra``."""
    request = mapping(event.get("request"))
    age_ms = _age_ms(extra)
    if not request or age_ms is None:
        return None
    known = {key: extra.get(key) for key in ("worker", "core", "pid")}
    own = {"method": request.get("method"), "url": request.get("url"), "transaction": event.get("transaction")}
    return _read("suspect", {**known, **own, "age_ms": age_ms})


def _age_ms(extra: dict[str, Any]) -> float | None:
    """How long the suspect had run, in ms: the plugin writes numbers as texts."""
    value = extra.get("request_age_ms")
    return float(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else number(value)


def in_flight(event: dict[str, Any]) -> list[InFlight]:
    """The suspect first, then the bystanders, oldest request first."""
    contexts, extra = mapping(event.get("contexts")), mapping(event.get("extra"))
    sources = [mapping(contexts.get(name)) for name in ("uwsgi", "gunicorn", "watch")] + [extra]
    suspect: InFlight | None = None
    others: list[InFlight | None] = []
    for source in sources:
        suspect = suspect or _read("suspect", source.get("suspect"))
        others = others or [
            _read("bystander", raw) for raw in sequence(_parsed(source.get("bystanders")))[:MAX_BYSTANDERS]
        ]
    suspect = suspect or _own_request(event, extra)
    found = [item for item in others if item] or _lines(extra.get("other_requests"))
    found.sort(key=lambda item: -(item.age_s or 0))
    return [suspect, *found] if suspect is not None else found
