# inflight.py: the requests that a server event names: the suspect, and the bystanders that ran beside it. Pure.
#
# Read from the context "uwsgi" (or from "extra"): suspect {method url age_s worker core pid transaction user event_id
# trace_id …}, bystanders [{…}, …].

from typing import Any

import orjson

from heka_raven.inbox.bounded import mapping, number, pretty, sequence, text
from heka_raven.inbox.model import InFlight

MAX_BYSTANDERS = 64
MAX_PARSED = 65_536  # characters of a text read as JSON
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


def in_flight(event: dict[str, Any]) -> list[InFlight]:
    """The suspect first, then the bystanders, oldest request first."""
    sources = [mapping(mapping(event.get("contexts")).get(name)) for name in ("uwsgi", "watch")]
    sources.append(mapping(event.get("extra")))
    for source in sources:
        suspect = _read("suspect", source.get("suspect"))
        others = [_read("bystander", raw) for raw in sequence(_parsed(source.get("bystanders")))[:MAX_BYSTANDERS]]
        found = sorted((item for item in others if item), key=lambda item: -(item.age_s or 0))
        if suspect is not None or found:
            return [suspect, *found] if suspect is not None else found
    return []
