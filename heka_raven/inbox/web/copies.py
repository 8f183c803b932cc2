"""One event as text to paste elsewhere: JSON, Markdown for a ticket. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from heka_raven.inbox.event.model import Error, Event, Frame
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


def _frame_lines(frame: Frame) -> list[str]:
    lines = [f'  File "{frame.abs_path or frame.place}", line {frame.lineno or "?"}, in {frame.name}']
    if frame.context_line:
        source = frame.context_line.strip()
        lines.append(f"    {source}")
        if frame.carets:
            shift = len(frame.context_line) - len(frame.context_line.lstrip())
            start, end = max(0, frame.carets[0] - shift), max(0, frame.carets[1] - shift)
            if end > start and (start, end) != (0, len(source)):
                lines.append("    " + " " * start + "^" * (end - start))
    return lines


def traceback_text(error: Error) -> str:
    """One exception the way Python prints it."""
    lines = ["Traceback (most recent call last):"] if error.frames else []
    frames = error.frames
    if len(frames) > MAX_MARKDOWN_FRAMES:
        lines.append(f"  ... {len(frames) - MAX_MARKDOWN_FRAMES} more")
        frames = frames[-MAX_MARKDOWN_FRAMES:]
    for frame in frames:
        lines += _frame_lines(frame)
    name = f"{error.module}.{error.type}" if error.module and error.module != "builtins" else error.type
    lines.append(f"{name}: {error.value}" if error.value else name)
    return "\n".join([*lines, *error.notes])


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
        lines += ["", *_fenced(traceback_text(error), "pytb")]
    for name, frames in event.threads:
        stack = "\n".join(line for frame in frames[-MAX_MARKDOWN_FRAMES:] for line in _frame_lines(frame))
        lines += ["", f"**{name}**" if name == "Stack" else f"**Thread** {_code(name)}", "", *_fenced(stack, "pytb")]
    if event.request is not None and event.request.url:
        lines += ["", f"Request: {_code(f'{event.request.method} {event.request.url}'.strip())}"]
    if event.tags:
        lines += ["", "| tag | value |", "|---|---|"]
        lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in event.tags]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return _code(text).replace("|", "\\|")
