"""`heka-raven status`: what waits, what is limited, where every event ended. Looks, changes nothing."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import orjson

from heka.convert import to_seconds
from heka_raven.cli.options import add_spool, existing_spool
from heka_raven.cli.parser import EXIT_OK, Parser
from heka_raven.cli.words import plural, size, span
from heka_raven.fleet.state import read_states
from heka_raven.fleet.state import rows as fleet_rows
from heka_raven.formats.dsn import DsnError, parse_dsn
from heka_raven.formats.envelope import MAX_ENVELOPE_SIZE, EnvelopeError, split_header
from heka_raven.formats.text import printable
from heka_raven.sender.limits import Limits, load_limits
from heka_raven.sender.lock import holder_pid
from heka_raven.sender.servers import read_servers
from heka_raven.spool.directory import read_file
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import parse_name, read_backlog

MAX_READ = 5_000  # waiting files that are looked into, for whom they are
_TOLD = ("success_at", "error_at", "error", "next_try")
REASONS = {
    "queue_overflow": "the app made more than could be written",
    "cache_overflow": "the spool was full",
    "ratelimit_backoff": "the server asked for quiet",
    "network_error": "no server answered for too long",
    "sample_rate": "left out by sample_rate",
    "before_send": "left out by before_send",
    "event_processor": "left out by ignore or a filter",
    "send_error": "refused by the server; heka-raven retry-dead --list says why",
    "internal_sdk_error": "a fault of ours; the log says more",
    "throttled": "more of one kind than max_per_fingerprint",
    "client_disconnect": "the visitor had gone",
}
CLEAR = "\x1b[H\x1b[2J"


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven status", description="What waits in a spool, what is limited, and where every event ended."
    )
    add_spool(parser)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument(
        "--watch", nargs="?", const="2", metavar="S", help="again every S seconds (default 2) until Ctrl-C"
    )
    arguments = parser.parse_args(argv)
    every_s = None if arguments.watch is None else to_seconds("--watch", arguments.watch, low=0.1, high=3600)
    path, reason = existing_spool(arguments.spool)
    if every_s is None:
        _show(collect(path, reason), arguments.json)
        return EXIT_OK
    while True:
        found = collect(path, reason)
        if sys.stdout.isatty() and not arguments.json:
            sys.stdout.write(CLEAR)
        _show(found, arguments.json)
        time.sleep(every_s)


def collect(path: str, reason: str) -> dict[str, Any]:
    """Everything there is to know, ready for JSON."""
    now = time.time()
    backlog = read_backlog(path)
    oldest = backlog.oldest
    snapshot = read_snapshot(path)
    return {
        "spool": path,
        "reason": reason,
        "sender_pid": holder_pid(path),
        "waiting": backlog.count,
        "waiting_bytes": backlog.size,
        "oldest_s": None if oldest is None else round(max(0.0, now - oldest.timestamp_ns / 1e9), 3),
        "dead": _count(os.path.join(path, "dead")),
        "limits": _limits(path, now),
        "servers": _servers(path),
        "fleet": read_states(path),
        "ledger": {
            "captured": snapshot["captured"],
            "delivered": snapshot["delivered"],
            "pending": snapshot.pending,
            "discarded": snapshot.discarded,
            "missing": snapshot.missing,
            "scrub_failed": snapshot["scrub_failed"],
            "write_failed": snapshot["write_failed"],
        },
    }


def _limits(path: str, now: float) -> list[dict[str, Any]]:
    limits = Limits()
    load_limits(path, limits, now)
    alive: Any = limits.to_state(now)["limits"]
    return [
        {"dsn": key, "category": category or "all", "seconds_left": round(until - now, 1)}
        for key, mine in sorted(alive.items())
        for category, until in sorted(mine.items())
    ]


def _servers(path: str) -> list[dict[str, Any]]:
    """A line a server: what waits for it, and how it has been answering."""
    told = read_servers(path)
    waiting: dict[str, int] = {}
    for name in _waiting_names(path)[:MAX_READ]:
        key = _dsn_of(os.path.join(path, "new", name))
        waiting[key] = waiting.get(key, 0) + 1
    return [
        {"dsn": key, "waiting": waiting.get(key, 0), **{name: told.get(key, {}).get(name) for name in _TOLD}}
        for key in sorted({*told, *waiting})
    ]


def _waiting_names(path: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(os.path.join(path, "new")) if parse_name(name))
    except OSError:
        return []


def _dsn_of(path: str) -> str:
    """For whom a file is, without its secret; a word where that cannot be read."""
    data = read_file(path, MAX_ENVELOPE_SIZE)
    try:
        found = parse_dsn(str(split_header(data or b"")[0].get("dsn"))).key()
    except (EnvelopeError, DsnError):
        found = "a file without a readable DSN"
    return found


def _shown_dsn(key: str) -> str:
    """Without its key: who has it can send events."""
    try:
        return str(parse_dsn(key))
    except DsnError:
        return key.rpartition("@")[2]


def _count(directory: str) -> int:
    try:
        return sum(parse_name(name) is not None for name in os.listdir(directory))
    except OSError:
        return 0


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(found).decode() + "\n")
    elif sys.stdout.isatty():
        _show_table(found)
    else:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in rows(found)))
    sys.stdout.flush()


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What people read, one name and value a line."""
    pid = found["sender_pid"]
    oldest = found["oldest_s"]
    now = time.time()
    told = [
        ("spool", f"{found['spool']} ({found['reason']})"),
        ("sender", "none holds the lock" if pid is None else f"pid {pid}" if pid else "one that wrote no pid"),
        ("waiting", f"{plural(found['waiting'], 'event')}, {size(found['waiting_bytes'])}"),
        ("oldest", "-" if oldest is None else span(oldest)),
        ("dead", f"{found['dead']} (heka-raven retry-dead --list says why)" if found["dead"] else "0"),
    ]
    told += [(f"server {_shown_dsn(server['dsn'])}", _server(server, now)) for server in found["servers"]]
    told += [
        (f"limit {_shown_dsn(limit['dsn'])}", f"{limit['category']}: quiet for {span(limit['seconds_left'])}")
        for limit in found["limits"]
    ]
    ledger = found["ledger"]
    told += [(name, str(ledger[name])) for name in ("captured", "delivered", "pending")]
    told += [(f"discarded {reason}", f"{n} ({REASONS[reason]})") for reason, n in ledger["discarded"].items() if n]
    told += [(name.replace("_", " "), str(ledger[name])) for name in ("scrub_failed", "write_failed") if ledger[name]]
    if ledger["missing"]:
        told.append(("unaccounted", f"{ledger['missing']} (at most one per killed process)"))
    told += fleet_rows(found["fleet"])
    # Names of servers and whatever a fleet's file holds come from others.
    return [(printable(name), printable(value)) for name, value in told]


def _server(server: dict[str, Any], now: float) -> str:
    words = [f"{server['waiting']} waiting" if server["waiting"] else "nothing waits"]
    for name, said in (("success_at", "delivered"), ("error_at", "failed")):
        at = server[name]
        if isinstance(at, (int, float)):
            error = f": {server['error']}" if name == "error_at" else ""
            words.append(f"{said} {span(now - at)} ago{error}")
    if isinstance(server["next_try"], (int, float)) and server["next_try"] > now:
        words.append(f"next try in {span(server['next_try'] - now)}")
    return "; ".join(words)


def _show_table(found: dict[str, Any]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:  # the extra `cli` is not installed
        sys.stdout.write("".join(f"{name:<28} {value}\n" for name, value in rows(found)))
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows(found):
        bad = (
            name.startswith(("discarded", "limit", "unaccounted", "write failed"))
            or "; failed" in value
            or (name == "dead" and value != "0")
        )
        table.add_row(Text(name, style="bold"), Text(value, style="yellow" if bad else ""))
    Console().print(table)
