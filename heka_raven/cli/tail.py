"""`heka-raven tail`: a line an event, as they come, from an inbox or from a spool."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson

from heka.exceptions import ConfigError
from heka_raven.cli.options import existing_spool
from heka_raven.cli.parser import EXIT_OK, Parser
from heka_raven.formats.envelope import EnvelopeError, parse_envelope
from heka_raven.formats.raven_payload import decode_raven
from heka_raven.formats.text import printable
from heka_raven.spool.directory import read_file
from heka_raven.spool.spool import parse_name

DEFAULT_INBOX = "http://127.0.0.1:9000"
INBOX_EVERY_S = 1.0
SPOOL_EVERY_S = 0.05  # what is delivered at once is in the spool for milliseconds
LEVELS = ("debug", "info", "warning", "error", "fatal")
COLOURS = {"fatal": "35;1", "error": "31", "warning": "33", "info": "34", "debug": "2"}
MAX_ENVELOPE = 16 * 1024 * 1024  # bytes
FIRST = 10  # events that were there already


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven tail",
        description="A line an event, as they come: from an inbox, or, with --spool, from a spool on its way to a "
        "server. Ctrl-C ends it.",
    )
    parser.add_argument("inbox", nargs="?", default=DEFAULT_INBOX, metavar="URL", help=f"default: {DEFAULT_INBOX}")
    parser.add_argument("--spool", metavar="DIR", nargs="?", const="", help="of this directory, or of the usual one")
    parser.add_argument("--token", help="the inbox's; better $HEKA_RAVEN_INBOX_TOKEN, which others cannot read")
    parser.add_argument("--json", action="store_true", help="a line of JSON an event")
    parser.add_argument("--level", choices=LEVELS, default="debug", help="this level and those above it")
    parser.add_argument("--grep", metavar="TEXT", help="events whose line has this regular expression, in any case")
    parser.add_argument("--once", action="store_true", help="what is there, and exit")
    arguments = parser.parse_args(argv)
    try:
        wanted = re.compile(arguments.grep or "", re.IGNORECASE)
    except re.error as error:
        raise ConfigError(f"--grep: {error}") from None
    if arguments.spool is not None:
        rows = _of_spool(existing_spool(arguments.spool or None)[0], arguments.once)
    else:
        token = arguments.token or os.environ.get("HEKA_RAVEN_INBOX_TOKEN")
        rows = _of_inbox(arguments.inbox.rstrip("/"), token, arguments.once)
    colour = sys.stdout.isatty()
    for row in rows:
        if LEVELS.index(row["level"]) < LEVELS.index(arguments.level) or not wanted.search(line_of(row)):
            continue
        sys.stdout.write((orjson.dumps(row).decode() if arguments.json else line_of(row, colour=colour)) + "\n")
        sys.stdout.flush()
    return EXIT_OK


def line_of(row: dict[str, Any], *, colour: bool = False) -> str:
    """``12:30:01 error   KeyError: 'GBP' — shop.pay in pay  http://…``, in which no event moves the cursor."""
    level = row["level"]
    shown = f"\x1b[{COLOURS[level]}m{level:<7}\x1b[0m" if colour else f"{level:<7}"
    parts = [time.strftime("%H:%M:%S", time.localtime(row["happened"])), shown, printable(row["title"])]
    if row["culprit"] and row["culprit"] not in row["title"]:
        parts.append(f"— {printable(row['culprit'])}")
    if row["link"]:
        parts.append(row["link"])
    return " ".join(parts)


def row_of(found: dict[str, Any], link: str) -> dict[str, Any]:
    level = found.get("level")
    happened = found.get("happened")
    names = ("event_id", "title", "culprit", "project", "server_name", "release", "environment", "server_event")
    return {
        **{name: str(found.get(name) or "") for name in names},
        "level": level if level in LEVELS else "error",
        "happened": happened if isinstance(happened, (int, float)) else time.time(),
        "link": link,
    }


def _of_inbox(url: str, token: str | None, once: bool) -> Iterator[dict[str, Any]]:
    import urllib3

    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{printable(url)}: the inbox's address begins with http:// or https://")
    pool = urllib3.PoolManager(headers={"Authorization": f"Bearer {token}"} if token else None, retries=False)
    since: int | None = None
    while True:
        try:
            limit = FIRST if since is None else 1_000
            answer = pool.request("GET", f"{url}/api/events?since={since or 0}&limit={limit}", timeout=10.0)
            events = orjson.loads(answer.data) if answer.status == 200 else None
        except urllib3.exceptions.HTTPError:
            if since is not None and not once:  # it is being restarted, as a rule
                time.sleep(INBOX_EVERY_S)
                continue
            raise ConfigError(f"{url}: no inbox answers there; `heka-raven inbox` starts one") from None
        except orjson.JSONDecodeError:
            events = None
        if not isinstance(events, list):
            hint = "; it wants --token" if answer.status in (401, 403) else ""
            raise ConfigError(f"{url}: no inbox of heka-raven: status {answer.status}{hint}")
        for event in reversed(events):
            since = int(event["id"])
            yield row_of(event, f"{url}/event/{event['event_id']}")
        since = since or 0
        if once:
            return
        time.sleep(INBOX_EVERY_S)


def _of_spool(path: str, once: bool) -> Iterator[dict[str, Any]]:
    new = os.path.join(path, "new")
    seen: set[str] = set()
    while True:
        try:
            names = sorted(name for name in os.listdir(new) if parse_name(name))
        except OSError:
            names = []  # the spool was deleted; the next event makes it anew
        for name in names:
            if name not in seen:
                found = _event_of(read_file(os.path.join(new, name), MAX_ENVELOPE))
                if found is not None:
                    yield row_of(found, "")
        seen = set(names)
        if once:
            return
        time.sleep(SPOOL_EVERY_S)


def _event_of(data: bytes | None) -> dict[str, Any] | None:
    """The columns of the event in a spool file, as an inbox would show them."""
    from heka_raven.inbox.event.shape import read_event
    from heka_raven.inbox.event.summary import summarise

    try:
        header, items = parse_envelope(data or b"")
        item = next(item for item in items if item.type in ("event", "raven"))
        document = decode_raven(item.payload) if item.type == "raven" else orjson.loads(item.payload)
        if not isinstance(document, dict):
            return None
    except (EnvelopeError, StopIteration, ValueError):
        return None
    summary = summarise(read_event(document, brief=True))
    names = ("level", "title", "culprit", "happened", "server_name", "release", "environment", "server_event")
    return {**{name: getattr(summary, name) for name in names}, "event_id": summary.event_id or header.get("event_id")}
