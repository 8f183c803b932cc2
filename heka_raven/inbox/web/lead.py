"""What stands on top of an event's page, what need not be said again, and what tells an issue's events apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heka_raven.inbox.event.model import Error, Event, Pairs

if TYPE_CHECKING:
    from heka_raven.inbox.store.queries import Row

MAX_HEADING = 300  # characters; what is longer, or of several lines, is no heading
WORKER_TAGS = ("uwsgi.worker", "worker", "worker_id")


@dataclass(slots=True)
class Lead:
    """A heading, what was said, and the exception that both are of, if they are of one.

    The heading is empty where a message is too long to be one.
    """

    heading: str
    message: str
    also: str
    told: Error | None


def lead_of(event: Event, title: str) -> Lead:
    """An exception is named by its type; a message, or what the server noticed, by its sentence."""
    said = event.message.strip()
    error = event.errors[-1] if event.errors else None
    if error is not None and not (event.server_event and said):
        also = said if said not in ("", error.value, error.title, error.type) else ""
        return Lead(error.type, error.value or also, also if error.value else "", error)
    text = said or title
    told = error is not None and (not error.value or error.value in text or error.title in text)
    long = len(text) > MAX_HEADING or "\n" in text
    return Lead("" if long else text, text if long else "", "", error if told else None)


def about(event: Event, row: Row, project: str) -> list[tuple[str, str, str]]:
    """(name, value, key of a search for it or nothing): what neither the top of the page nor a tag says already."""
    tags = dict(event.tags)
    worker = "" if any(tags.get(key) == row["worker"] for key in WORKER_TAGS) else row["worker"]
    transaction = "" if row["transaction"] == row["culprit"] else row["transaction"]
    logger = "" if row["logger"] == row["culprit"] else row["logger"]
    found = [
        ("Event", row["event_id"], ""),
        ("Logger", logger, "logger"),
        ("Transaction", transaction, "transaction"),
        ("Server", row["server_name"], "host"),
        ("Worker", worker, "worker"),
        ("Release", row["release"], "release"),
        ("Environment", row["environment"], "environment"),
        ("Platform", row["platform"], "platform"),
        ("Client", event.sdk, ""),
        ("Project", project, ""),
        ("Trace", event.trace_id, ""),
    ]
    return [item for item in found if item[1]]


def tags_beside(event: Event, row: Row) -> Pairs:
    """The tags, without those that repeat a column which the page names anyhow."""
    columns = ("release", "environment", "server_name", "logger", "level", "transaction", "platform", "url")
    said = {"uwsgi.event": row["server_event"]} | {key: row[key] for key in columns}
    return [(key, value) for key, value in event.tags if said.get(key) != value]


# Of the table of an issue's events: what a column is called, and the columns of the row that it shows
COLUMNS = (
    ("Message", ("message",)),
    ("Request", ("method", "url")),
    ("Server", ("server_name",)),
    ("User", ("user",)),
    ("Release", ("release",)),
)


def columns_of(rows: list[Row]) -> list[tuple[str, list[str]]]:
    """The columns in which the events differ, each with its cells; of a single event, what it has."""
    found = []
    for name, keys in COLUMNS:
        if name == "Message":
            cells = [(row["message"] or row["title"]).partition("\n")[0] for row in rows]
        else:
            cells = [" ".join(row[key] for key in keys if row[key]) for row in rows]
        if len(set(cells)) > 1 or (len(rows) == 1 and cells[0]):
            found.append((name, cells))
    return found
