"""What the events of an issue have in common, and what differs. Pure, bounded."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from heka_raven.inbox.event.bounded import mapping, pairs, sequence, values
from heka_raven.inbox.event.model import Pairs
from heka_raven.inbox.event.older_protocols import modernise
from heka_raven.inbox.event.shape import IN_FLIGHT_KEYS, read_event

MAX_NAMES = 60  # of one section of one event
MAX_VALUE = 300  # characters that are compared, and shown
MAX_VALUES = 3  # commonest values named of what differs
MAX_ROWS = 40  # names of one section on the page
# Of every request another: that they differ says nothing.
_VARYING = ("x-request-id", "x-correlation-id", "sentry-trace", "traceparent", "baggage", "date", "content-length")

# What differs of these is told with its shares, of more events
_SHARED = {("Event", "release"), ("Event", "environment"), ("Event", "server name"), ("Request", "URL")}

Fact = tuple[str, str]  # section and name


@dataclass(slots=True)
class Different:
    """A name whose value is not one in all events: the commonest with their counts, how many there are, in how many."""

    name: str
    values: list[tuple[str, int]]
    distinct: int
    count: int


@dataclass(slots=True)
class Section:
    """One kind of facts of all the events."""

    name: str
    same: Pairs = field(default_factory=list)
    different: list[Different] = field(default_factory=list)


def _failing_locals(event: dict[str, Any]) -> Any:
    """The locals of the newest exception's innermost frame of the app, as the client sent them."""
    errors = values(event.get("exception"))
    newest = mapping(errors[-1]) if errors else {}
    frames = [mapping(raw) for raw in sequence(mapping(newest.get("stacktrace")).get("frames"))]
    ours = (frame for frame in reversed(frames) if frame.get("in_app") is not False)
    return next(ours, frames[-1] if frames else {}).get("vars")


def _facts(raw: dict[str, Any]) -> Iterator[tuple[str, Pairs]]:
    event = read_event(raw, brief=True)
    raw = modernise(raw)
    named = ("release", "environment", "server_name", "transaction", "logger", "level", "platform", "sdk", "message")
    yield "Event", [(name.replace("_", " "), getattr(event, name)) for name in named if getattr(event, name)]
    yield "Tags", event.tags
    yield "User", event.user
    if event.request is not None:
        request = event.request
        yield "Request", [(name, value) for name, value in (("method", request.method), ("URL", request.url)) if value]
        yield "Query", request.query
        yield "Headers", [(name, value) for name, value in request.headers if name.lower() not in _VARYING]
    extra = {name: value for name, value in mapping(raw.get("extra")).items() if name not in IN_FLIGHT_KEYS}
    yield "Extra", pairs(extra, MAX_NAMES, MAX_VALUE)
    yield "Locals of the failing frame", pairs(_failing_locals(raw), MAX_NAMES, MAX_VALUE)
    for name, context in mapping(raw.get("contexts")).items():
        if name in ("runtime", "os", "browser", "device", "app"):
            shown = {key: value for key, value in mapping(context).items() if key != "type"}
            yield name, pairs(shown, MAX_NAMES, MAX_VALUE)


def facts_of(raw: dict[str, Any]) -> dict[Fact, str]:
    """What one event says, by section and name."""
    return {(section, name): value[:MAX_VALUE] for section, rows in _facts(raw) for name, value in rows[:MAX_NAMES]}


def merge(events: Iterable[dict[Fact, str]]) -> list[Section]:
    """Compare the facts of events: what is the same in all of them, what differs and how."""
    counters: dict[Fact, Counter[str]] = {}
    total = 0
    for facts in events:
        total += 1
        for fact, value in facts.items():
            counters.setdefault(fact, Counter())[value] += 1
    sections: dict[str, Section] = {}
    for (section, name), counter in counters.items():
        found = sections.setdefault(section, Section(section))
        (value, most), *_ = counter.most_common(1)
        if most == total and len(found.same) < MAX_ROWS:
            found.same.append((name, value))
        elif most != total and section != "Tags" and (section, name) not in _SHARED and len(found.different) < MAX_ROWS:
            said = counter.most_common(MAX_VALUES) if most > 1 or len(counter) <= MAX_VALUES else []
            found.different.append(Different(name, said, len(counter), sum(counter.values())))
    return list(sections.values())
