"""What an alert says, as JSON and as text. Pure.

It says what the pages show of an issue and its event, and less: no request, no user, no variables. Titles were written
by programs and their visitors: in chats they must neither call everybody nor hide where a link leads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from heka_raven.inbox.store.rules import AGAIN, NEW, Due

VERSION = 1  # of the JSON
MAX_LISTED = 20  # alerts told in full in one message
MAX_TITLE = 300  # characters
_CALLS = re.compile(r"@(?=channel|here|all|everyone)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """One message for one target."""

    text: str
    subject: str
    body: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """What issues are called and where they are found."""

    inbox: str  # its address, without a slash at the end
    projects: Mapping[str, str]
    often: str = ""  # "10 events in 5 min"


def make_message(alerts: list[Due], names: Names) -> Message:
    """All that is due for a target, in one message; an issue once."""
    issues = list({alert.issue: alert for alert in alerts}.values())
    listed = issues[:MAX_LISTED]
    documents = [_document(alert, names) for alert in listed]
    more = len(issues) - len(listed)
    lines = [line for alert, found in zip(listed, documents, strict=True) for line in _lines(alert, found)]
    rest = [f"and {more} more: {names.inbox}/"] if more else []
    first = f"{documents[0]['why'].capitalize()}: {documents[0]['title']}"
    others = len(issues) - 1
    return Message(
        text=_for_chats("\n".join(lines)) + ("\n" + rest[0] if rest else ""),
        subject=f"[heka-raven] {first[:150]}" + (f" and {others} more" if others else ""),
        body="\n\n".join([_paragraph(found) for found in documents] + rest) + "\n",
        document={"version": VERSION, "text": "", "inbox": f"{names.inbox}/", "alerts": documents, "more": more},
    )


def as_json(message: Message) -> dict[str, Any]:
    """What a webhook gets as its body and a command on its standard input."""
    return {**message.document, "text": message.text}


def make_test(names: Names) -> Message:
    """What ``--notify-test`` sends."""
    text = f"A test of the alerts of the inbox at {names.inbox}/"
    document = {"version": VERSION, "inbox": f"{names.inbox}/", "alerts": [], "more": 0}
    return Message(text, "[heka-raven] A test of the alerts", f"{text}\n", document)


def _document(alert: Due, names: Names) -> dict[str, Any]:
    link = f"{names.inbox}/event/{alert.event_id}" if alert.event_id else f"{names.inbox}/issue/{alert.issue}"
    return {
        "reason": alert.reason,
        "why": _why(alert, names),
        "issue": alert.issue,
        "event_id": alert.event_id,
        "link": link,
        "title": _line(alert.title, MAX_TITLE),
        "culprit": _line(alert.culprit, 200),
        "level": alert.level,
        "project": names.projects.get(alert.project, alert.project),
        "count": alert.count,
        "first_seen": _iso(alert.first_seen),
        "last_seen": _iso(alert.last_seen),
        "release": _line(alert.release, 200),
        "environment": _line(alert.environment, 200),
        "server_name": _line(alert.server_name, 200),
    }


def _why(alert: Due, names: Names) -> str:
    if alert.reason == NEW:
        return "new"
    if alert.reason == AGAIN:
        return f"again, in {_line(alert.again_release, 100)}" if alert.again_release else "again"
    return names.often or "often"


def _lines(alert: Due, found: dict[str, Any]) -> list[str]:
    place = f" — {found['culprit']}" if found["culprit"] and found["culprit"] not in found["title"] else ""
    return [f"{found['why'].capitalize()}: {found['title']}{place} ({_facts(found)})", found["link"]]


def _facts(found: dict[str, Any]) -> str:
    known = [found["level"], found["environment"], found["release"], found["server_name"]]
    count = f"{found['count']:,} event{'' if found['count'] == 1 else 's'}"
    return ", ".join([part for part in known if part] + [count])


def _paragraph(found: dict[str, Any]) -> str:
    rows = [
        ("level", found["level"]),
        ("where", found["culprit"]),
        ("project", found["project"]),
        ("environment", found["environment"]),
        ("release", found["release"]),
        ("host", found["server_name"]),
        ("events", f"{found['count']:,}, the first {found['first_seen']}, the last {found['last_seen']}"),
        ("page", found["link"]),
    ]
    told = [f"  {name + ':':13}{value}" for name, value in rows if value]
    return "\n".join([f"{found['why'].capitalize()}: {found['title']}", *told])


def _for_chats(text: str) -> str:
    """Slack reads ``<…>`` as a link or a call to everybody and wants three characters escaped; others read @channel."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLS.sub("@\N{ZERO WIDTH SPACE}", escaped)


def _line(text: str, limit: int) -> str:
    return " ".join(text.split())[:limit]


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
