"""What the store indexes of an event: its title, where it happened, and which issue it belongs to. Pure."""

import hashlib
import math
import re
from dataclasses import dataclass

from heka_raven.inbox.event.model import Event, Frame, Pairs

DEFAULT_FINGERPRINT = re.compile(r"\{\{\s*default\s*\}\}")
PEOPLE = "\x1f"  # begins the names of a user in the text that is searched; no text of an event has it
USER_KEYS = ("id", "username", "email", "name", "ip_address")
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}|\d+(?:\.\d+)?")


@dataclass(slots=True, frozen=True)
class Summary:
    """The columns of one stored event."""

    event_id: str
    happened: float | None
    level: str
    type: str
    message: str
    culprit: str
    place: str
    logger: str
    transaction: str
    method: str
    url: str
    release: str
    environment: str
    server_name: str
    server_event: str
    worker: str
    platform: str
    grouping: str
    tags: Pairs
    links: list[str]
    user: str
    search: str

    @property
    def title(self) -> str:
        """One line: the type and what it says."""
        message = self.message.partition("\n")[0]
        own = self.server_event and self.type in (self.server_event, f"gunicorn {self.server_event}")
        if message and (own or (self.type and message.lower().startswith(f"{self.type.lower()}:"))):
            return message[:300]  # a watch's sentence: its kind is a badge of its own
        if self.type and message:
            return f"{self.type}: {message}"[:300]
        return (self.type or message)[:300] or "(no message)"


def innermost_frame(event: Event) -> Frame | None:
    """The newest frame of the app in the newest exception that has one; else the newest frame at all."""
    stacks = [error.frames for error in reversed(event.errors)] + [frames for _, frames in event.threads]
    for frames in stacks:
        for frame in reversed(frames):
            if frame.in_app:
                return frame
    return next((frames[-1] for frames in stacks if frames), None)


def _grouping(event: Event, culprit: str) -> str:
    """The key of an issue: Sentry's ``fingerprint`` wins, then type and place, then the message's fixed part."""
    frame = innermost_frame(event)
    parts = [event.server_event]
    if event.errors:
        parts += [error.type for error in event.errors[-5:]]
        # No line number: an edit above the line would make a new issue of it.
        parts += [frame.module or frame.filename, frame.function] if frame else [culprit]
        if not frame:
            parts.append(_VARYING.sub("#", event.errors[-1].value))
    else:
        parts += [event.logger, culprit, event.template or _VARYING.sub("#", event.message)]
    default = "\x1f".join(parts)
    if event.fingerprint:
        default = "\x1e".join(DEFAULT_FINGERPRINT.sub(lambda _: default, part) for part in event.fingerprint)
    return hashlib.sha256(default.encode()).hexdigest()[:40]


def _culprit(event: Event) -> str:
    if event.culprit or event.transaction:
        return event.culprit or event.transaction
    frame = innermost_frame(event)
    if frame is None:
        return ""
    place = frame.module or frame.filename or re.split(r"[/\\]", frame.package)[-1]
    return f"{place} in {frame.function or frame.address}" if place else frame.name


def place_of(frame: Frame | None) -> str:
    """``shop/totals.py in convert``: tells two functions of one name apart."""
    if frame is None:
        return ""
    return f"{frame.place} in {frame.function}"[:500] if frame.function else frame.place


def _user(event: Event) -> str:
    """Who it happened to, in the word that tells people apart best."""
    known = dict(event.user)
    return next((known[key][:200] for key in USER_KEYS if known.get(key) and known[key] != "[Filtered]"), "")


def _links(event: Event) -> list[str]:
    """The names that this event shares with others of the same request or trace.

    A server event names its suspect's trace, and the event that the suspect had reported before.
    """
    suspects = [item for item in event.in_flight if item.role == "suspect"]
    links = [f"request:{name}" for name in event.request_ids]
    links += [f"trace:{name}" for name in (event.trace_id, *(item.trace_id for item in suspects)) if name]
    for item in suspects:
        if event.timestamp is not None and item.age_s is not None and item.pid:
            # A slow request and the harakiri that ended it began at one moment, in one process and core. Buckets of
            # a second that overlap by half: what is told half a second apart shares at least one of them.
            began = event.timestamp - item.age_s
            place = f"{event.server_name}/{item.pid}/{item.core}"
            links += [f"began:{place}/{math.floor(began)}", f"began:{place}/{math.floor(began + 0.5)}+"]
    links += [f"event:{name}" for name in (event.event_id, *(item.event_id for item in suspects)) if name]
    return list(dict.fromkeys(links))


def summarise(event: Event) -> Summary:
    """Index an event. The newest exception names it; without one, its message does."""
    error = event.errors[-1] if event.errors else None
    culprit = _culprit(event)
    method, url = (event.request.method, event.request.url) if event.request else ("", "")
    kind, message = (error.type, error.value) if error else ("", event.message)
    if error and not message:
        message = event.message
    frame = innermost_frame(event)
    place = place_of(frame)
    called = f"{frame.module} {frame.function}" if frame else ""
    # As the title shows the two, so that a title can be pasted into the search.
    named = ": ".join(part for part in (kind, message[:1_000]) if part)
    people = " ".join(value for key, value in event.user if key in USER_KEYS)
    people = PEOPLE + people[:300] if people else ""
    searched = (
        named,
        event.message[:1_000],
        culprit,
        event.transaction,
        url,
        event.logger,
        called,
        place,
        people,
    )
    return Summary(
        event_id=event.event_id,
        happened=event.timestamp,
        level=event.level,
        type=kind,
        message=message[:1_000],
        culprit=culprit or event.logger,
        place=place,
        logger=event.logger,
        transaction=event.transaction,
        method=method,
        url=url,
        release=event.release,
        environment=event.environment,
        server_name=event.server_name,
        server_event=event.server_event[:60],
        worker=event.worker[:20],
        platform=event.platform,
        grouping=_grouping(event, culprit),
        tags=event.tags,
        links=_links(event),
        user=_user(event),
        search="\n".join(dict.fromkeys(part for part in searched if part)).casefold(),
    )
