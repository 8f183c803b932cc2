"""`heka-raven top`: the requests in flight on this host. The servers that watch pay for it only while it runs."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from heka.convert import to_seconds
from heka_raven.cli.options import add_spool, existing_spool
from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, Parser
from heka_raven.cli.top_stack import stack_lines
from heka_raven.cli.words import size
from heka_raven.events.server import duration
from heka_raven.formats.text import cut, printable
from heka_raven.gunicorn.threads import cpu_percent, look_at, read_doing
from heka_raven.spool.directory import SpoolError
from heka_raven.spool.in_flight import ask, pid_namespace, read_told, stop_asking

ANSWER_S = 4.0  # a server that has not answered by then is none
LOOK_S = 1.3  # each looks once a second
MEASURE_S = 0.2  # between two readings of CPU time
ELSEWHERE = "not known: in another container"
CLEAR = "\x1b[H\x1b[2J"
COLUMNS = ("#", "age", "worker", "pid", "rss", "cpu", "request", "user", "waits for")
WIDTHS = (2, 7, 6, 7, 8, 4, 40, 12, 60)
HELP = (
    "q ends it; a number shows the Python stack of that request, with its local variables where the server tells them: "
    "its worker is asked, which interrupts what it waits for"
)


@dataclass(slots=True)
class Seen:
    """What is remembered from one look to the next: CPU ticks of each thread, and when they were read."""

    ticks: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)
    asked: bool = False


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven top",
        description="The requests in flight on this host, oldest first: of each uWSGI with sentry-watch and each "
        f"gunicorn with heka_raven.gunicorn.watch that shares the spool. On a terminal {HELP}.",
    )
    add_spool(parser)
    parser.add_argument("--once", action="store_true", help="one look, and exit")
    parser.add_argument("--json", action="store_true", help="a line of JSON a look")
    parser.add_argument("--interval", default="1", metavar="S", help="seconds between two looks (default 1)")
    arguments = parser.parse_args(argv)
    every_s = to_seconds("--interval", arguments.interval, low=0.1, high=3600)
    path, _ = existing_spool(arguments.spool)
    if not os.path.isdir(os.path.join(path, "state")):
        raise SpoolError(f"spool {path}: has no state/; no server of it runs")
    try:
        if arguments.once:
            return _once(path, arguments.json)
        with _keys() as keys:
            _watch(path, every_s, arguments.json, keys)
    finally:
        stop_asking(path)
    return EXIT_OK


def collect(path: str, seen: Seen | None = None) -> list[dict[str, Any]] | None:
    """The requests in flight, oldest first; None: no server of this spool answers."""
    seen = Seen() if seen is None else seen
    asked = time.time()
    ask(path)
    while not (told := _fresh(path, asked)):
        if time.time() - asked > ANSWER_S:
            return None
        time.sleep(0.05)
    # Another server that shares the spool may look a moment later; after the first look each has answered already.
    time.sleep(0.05 if seen.asked else max(0.05, LOOK_S - (time.time() - asked)))
    seen.asked = True
    found = [_row(server, request) for server in _fresh(path, asked) or told for request in server["requests"]]
    rows = sorted((row for row in found if row), key=lambda row: -row["age_ms"])
    if not seen.ticks and rows:
        for row in rows:
            _measure(row, seen)
        time.sleep(MEASURE_S)
    for row in rows:
        _measure(row, seen)
    alive = {(row["pid"], row["tid"]) for row in rows}
    seen.ticks = {key: value for key, value in seen.ticks.items() if key in alive}
    return rows


def _fresh(path: str, asked: float) -> list[dict[str, Any]]:
    found = read_told(path, asked)
    latest = time.time() + 1.5  # what is later was told before the clock was set back
    return [told for told in found if isinstance(told.get("at_us"), int) and asked - 1.5 < told["at_us"] / 1e6 < latest]


def _row(server: dict[str, Any], told: Any) -> dict[str, Any] | None:
    """One request, with what /proc says of it now; None for what is no request."""
    request = told.get("request") if isinstance(told, dict) else None
    if not isinstance(request, dict) or not all(isinstance(told.get(key), int) for key in ("start", "tid", "thread")):
        return None
    if not all(isinstance(server.get(key), int) for key in ("pid", "pid_namespace")):
        return None
    numbers = {key: request.get(key) for key in ("age_ms", "worker", "core", "pid")}
    if not all(isinstance(value, int) for value in numbers.values()):
        return None
    pid, tid = int(request["pid"]), int(told["tid"])
    here = server.get("pid_namespace") == pid_namespace()
    doing = read_doing(pid, tid) if here else None
    late_ms = int(time.time() * 1000) - server["at_us"] // 1000
    row = {
        "server": server.get("server"),
        "server_pid": server.get("pid"),
        "pid_namespace": server.get("pid_namespace"),
        **numbers,
        "age_ms": request["age_ms"] + max(0, late_ms),
        "tid": tid,
        "thread": told["thread"],
        "start": told["start"],
        "rss_bytes": _rss(pid) if here else None,
        "user": told.get("user"),
        **(doing.facts() if doing is not None else {"state": "gone" if here else ELSEWHERE}),
    }
    for key in ("method", "url", "query_string", "host", "remote_addr", "transaction", "trace_id", "event_id"):
        if request.get(key):
            row[key] = request[key]
    return row


def _measure(row: dict[str, Any], seen: Seen) -> None:
    key, now = (row["pid"], row["tid"]), time.monotonic()
    doing = look_at(*key) if row["pid_namespace"] == pid_namespace() else None
    if doing is None:
        return
    before, since = seen.ticks.get(key, (doing.ticks, now))
    share = cpu_percent(before, doing.ticks, now - since)
    if share is not None:
        row["cpu_percent"] = share
    if share is not None or key not in seen.ticks:
        seen.ticks[key] = doing.ticks, now


def _rss(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


# -- what is shown ---------------------------------------------------------------------------------------------------


def _once(path: str, as_json: bool) -> int:
    rows = collect(path)
    if rows is None:
        print(_nobody(path), file=sys.stderr)
        return EXIT_FAILED
    _show(rows, as_json)
    return EXIT_OK


def _nobody(path: str) -> str:
    return (
        f"heka-raven top: no server answers in {path}: none runs there with sentry-watch or heka_raven.gunicorn.watch"
    )


def _watch(path: str, every_s: float, as_json: bool, keys: int | None) -> None:
    seen = Seen()
    while True:
        rows = collect(path, seen)
        if sys.stdout.isatty() and not as_json:
            sys.stdout.write(CLEAR)
        if rows is None:
            print(_nobody(path), file=sys.stderr)
        else:
            _show(rows, as_json)
        key = _pressed(keys, every_s)
        if key == "q":
            return
        if key.isdigit() and rows and 0 < int(key) <= len(rows):
            sys.stdout.write(CLEAR + "\n".join(_stack_of(path, rows[int(key) - 1])) + "\n\nany key goes back\n")
            sys.stdout.flush()
            _pressed(keys, 3600)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(rows).decode() + "\n")
    else:
        sys.stdout.write("".join(line + "\n" for line in lines_of(rows)))
    sys.stdout.flush()


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    """A head, and a line a request."""
    if not rows:
        return ["no request is in flight"]
    shown = [COLUMNS] + [_cells(number, row) for number, row in enumerate(rows, 1)]
    widths = [min(most, max(len(cells[at]) for cells in shown)) for at, most in enumerate(WIDTHS)]
    return [
        "  ".join(cut(cell, most).ljust(most) for cell, most in zip(cells, widths, strict=True)).rstrip()
        for cells in shown
    ]


def _cells(number: int, row: dict[str, Any]) -> tuple[str, ...]:
    user = row.get("user")
    known = (
        next((user[key] for key in ("id", "username", "email", "ip_address") if user.get(key)), "")
        if isinstance(user, dict)
        else ""
    )
    cpu = row.get("cpu_percent")
    waits = row.get("waiting_on") or row.get("waiting_on_missing") or row.get("state", "")
    cells = (
        str(number),
        duration(row["age_ms"]),
        f"{row['worker']}.{row['core']}" if row["core"] else str(row["worker"]),
        str(row["pid"]),
        "-" if row["rss_bytes"] is None else size(row["rss_bytes"]),
        "-" if cpu is None else f"{cpu}%",
        _request(row),
        str(known),
        str(waits),
    )
    return tuple(printable(cell) for cell in cells)


def _stack_of(path: str, row: dict[str, Any]) -> list[str]:
    """What a key shows."""
    sys.stdout.write(f"{CLEAR}the server is asked for the stack of: {printable(_request(row))}\n")
    sys.stdout.flush()
    return stack_lines(path, row, _request(row))


def _request(row: dict[str, Any]) -> str:
    if not row.get("method"):
        return "(not read yet)"
    path = "/" + str(row.get("url", "")).partition("://")[2].partition("/")[2]
    asked = f"{row['method']} {path}"
    route = row.get("transaction", "")
    return asked if route in ("", asked) or "<" not in route else f"{asked} ({route.partition(' ')[2]})"


# -- keys ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """Single keys of the terminal; None where there is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield None
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield terminal
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pressed(keys: int | None, wait_s: float) -> str:
    if keys is None:
        time.sleep(wait_s)
        return ""
    return os.read(keys, 16).decode("ascii", "replace")[:1] if select.select([keys], [], [], wait_s)[0] else ""
