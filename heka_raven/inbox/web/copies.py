"""One event as text to paste elsewhere: JSON, Markdown for a ticket. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from heka_raven.inbox.event.model import Error, Event
from heka_raven.inbox.web.traceback import HEAD, last_lines, stack_lines
from heka_raven.inbox.web.wording import iso

if TYPE_CHECKING:
    from heka_raven.inbox.store.queries import Row

MAX_MARKDOWN_FRAMES = 30


def as_json(body: bytes) -> bytes:
    """The event's JSON, indented where that is possible (orjson writes at most 254 levels)."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    except (orjson.JSONEncodeError, orjson.JSONDecodeError):
        return body


def _one_line(text: str) -> str:
    """A pasted newline would run what follows it."""
    return text.replace("\r", " ").replace("\n", " ")


def _code(text: str) -> str:
    """Text as inline code, whatever backticks it has."""
    text = _one_line(text)
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _fenced(text: str, language: str = "") -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{language}", text, fence]


def _shortened(error: Error) -> str:
    """One exception the way Python prints it, its newest frames only: a ticket is read by people."""
    lines = [HEAD] if error.frames else []
    left_out = len(error.frames) - MAX_MARKDOWN_FRAMES
    if left_out > 0:
        lines.append(f"  ... {left_out} more")
    return "\n".join([*lines, *stack_lines(error.frames[-MAX_MARKDOWN_FRAMES:]), *last_lines(error)])


def as_markdown(event: Event, row: Row) -> str:
    """A ticket's text: title, facts, traceback, request."""
    lines = [f"## {_code(row['title'])}", ""]
    facts = [
        ("When", iso(row["happened"])),
        ("Event", event.event_id or row["event_id"]),
        ("Level", event.level),
        ("Where", row["culprit"]),
        ("Release", event.release),
        ("Environment", event.environment),
        ("Server", event.server_name),
        ("Server event", event.server_event),
    ]
    lines += [f"- **{name}**: {_code(value)}" for name, value in facts if value]
    if event.message and (event.errors or event.message != row["title"]):
        lines += ["", *_fenced(event.message)]
    for error in event.errors:
        lines += ["", *_fenced(_shortened(error), "pytb")]
    for name, frames in event.threads:
        stack = "\n".join(stack_lines(frames[-MAX_MARKDOWN_FRAMES:]))
        lines += ["", f"**{name}**" if name == "Stack" else f"**Thread** {_code(name)}", "", *_fenced(stack, "pytb")]
    if event.request is not None and event.request.url:
        lines += ["", f"Request: {_code(f'{event.request.method} {event.request.url}'.strip())}"]
    if event.tags:
        lines += ["", "| tag | value |", "|---|---|"]
        lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in event.tags]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return _code(text).replace("|", "\\|")
