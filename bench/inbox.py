"""The inbox with 100,000 events in 5,000 issues: the time of its pages, what it takes in a second, and its memory.

    python bench/inbox.py [--events N] [--db FILE]

The events are made first, which takes some minutes; with --db they are kept in that file, and not made again when it is
there. Everything goes through HTTP to a process of its own, which tells a command of new issues; the clients share the
machine with it. Beside the time on the clock stands the processor's, which a machine that others use hardly changes.
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from heka_raven.inbox.web.app import make_app

AUTH = {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_client=bench/1, sentry_key=abc"}
ROUNDS = 15  # requests of each page
CLIENTS = 8
TAKEN = 2_000  # events of the intake's round
ISSUES = 5_000
LIMIT_PAGE_MS, LIMIT_RATE, LIMIT_MB = 100, 300, 150
LIMIT_SDK_MS = 300
SDKS = Path(__file__).resolve().parent.parent / "tests" / "data" / "sdks"


def any_kind(rng):
    """One of ISSUES kinds: the first has some 6,000 of 100,000 events, the last a few."""
    return int(ISSUES * rng.random() ** 3)


def event(number, kind, rng, frames):
    """An event as a web application sends it: 4 hosts, 5 releases, 500 users; with 20 frames it has 20 kB."""
    stack = [
        {
            "function": f"f{n}", "module": f"shop.m{n}", "filename": f"shop/m{n}.py", "lineno": n + 10,
            "in_app": n % 2 == 0, "context_line": "    return x + y",
            "pre_context": ["a" * 40] * 5, "post_context": ["b" * 40] * 5,
            "vars": {f"v{k}": f"value {k * n}" for k in range(8)},
        }
        for n in range(frames)
    ]  # fmt: skip
    return {
        "event_id": f"{number:032x}", "platform": "python", "level": rng.choice(["error", "warning"]),
        "release": f"shop@{kind % 5}", "server_name": f"web-{kind % 4}",
        "tags": {"payment": "card", "n": str(number % 999)}, "user": {"id": f"u{number % 500}"},
        "exception": {"values": [{"type": f"E{kind}", "value": f"{number} failed", "stacktrace": {"frames": stack}}]},
        "request": {"method": "GET", "url": f"https://shop.example.com/p/{number}"},
    }  # fmt: skip


def fill(path, count):
    """Store *count* events of the last hour."""
    rng = random.Random(7)
    app = make_app(path)
    app.store._writer.execute("PRAGMA synchronous = OFF")  # only while it is filled: half the time
    mark = 987_654_321
    usual = [json.dumps(event(mark, kind, rng, 3)).replace(f"{mark:032x}", "ID") for kind in range(ISSUES)]
    start = time.time() - 3_500
    for number in range(count):
        body = usual[any_kind(rng)].replace("ID", f"{number:032x}").replace(str(mark), str(number))
        body = body.replace(f"u{mark % 500}", f"u{number % 500}")
        app.intake.take_event("1", body.encode(), received=start + number * 3_500 / count)
    app.store.set_state(range(1, ISSUES, 5), "resolved", time.time() - 1_800)
    app.store.set_state(range(2, ISSUES, 7), "muted", time.time() - 1_800)
    app.close()


class Inbox:
    """A process of its own."""

    def __init__(self, path):
        command = [sys.executable, "-m", "heka_raven.cli.main", "inbox", "--listen", "127.0.0.1:0", "--db", path]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        self.process = subprocess.Popen(
            [*command, "--keep", "", "--notify", "true", "--notify-on", "new,again,10/5m"],
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONUNBUFFERED": "1"},
        )
        self.url = re.search(r"http://[^/]+", self.process.stdout.readline()).group()

    def get(self, path):
        began = time.perf_counter()
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            reply.read()
        return (time.perf_counter() - began) * 1_000

    def cpu_ms(self):
        """Of the processor, so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000 / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1_024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


def envelope(body):
    payload = json.dumps(body).encode()
    item = json.dumps({"type": "event", "length": len(payload)})
    return json.dumps({"event_id": body["event_id"]}).encode() + b"\n" + item.encode() + b"\n" + payload + b"\n"


def take_in(url, bodies):
    """Events a second, from CLIENTS clients at once."""

    def send(part):
        for body in part:
            request = urllib.request.Request(f"{url}/api/1/envelope/", data=body, headers=AUTH)
            with urllib.request.urlopen(request, timeout=60) as reply:
                reply.read()

    threads = [threading.Thread(target=send, args=(bodies[n::CLIENTS],)) for n in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(bodies) / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--db")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.db or str(Path(folder) / "inbox.db")
        if not Path(path).exists():
            fill(path, arguments.events)
        inbox = Inbox(path)
        try:
            measure(inbox, arguments.events, largest_of(path))
        finally:
            inbox.stop()


def largest_of(path):
    """The issue with the most events, and how many these are."""
    with sqlite3.connect(path) as db:
        found = db.execute("SELECT id, count FROM issue WHERE state = 'open' ORDER BY count DESC LIMIT 1").fetchone()
    db.close()
    return found


def measure_sdks(inbox):
    """The slowest page of the events of tests/data/sdks."""
    slowest = 0.0
    for path in sorted(SDKS.glob("*.env")):
        request = urllib.request.Request(f"{inbox.url}/api/1/envelope/", data=path.read_bytes(), headers=AUTH)
        with urllib.request.urlopen(request, timeout=60) as reply:
            event_id = json.load(reply).get("id")
        if event_id and b'"type":"event"' in path.read_bytes():
            inbox.get(f"/event/{event_id}")
            slowest = max(slowest, *(inbox.get(f"/event/{event_id}") for _ in range(3)))
    return slowest


def measure(inbox, events, largest):
    issue, count = largest
    pages = {
        "the list": ("/", True),
        "the list, by users": ("/?sort=users", True),
        "the list, resolved ones": ("/?state=resolved", True),
        "the list, two filters": ("/?level=error&release=shop@3", False),
        "a search for a tag": ("/?q=n:77", False),
        "a search for a tag, in every event": ("/?q=payment:card", False),
        "a search for a word, in every event": ("/?q=failed", False),
        "an event": (f"/event/{events - 1:032x}", True),
        f"an issue of {count:,} events": (f"/issue/{issue}?all", True),
        "its newest event": (f"/issue/{issue}", True),
        "the host view": ("/hosts", False),
    }
    print(f"{events:,} events{'median':>38}{'slowest':>10}{'processor':>11}{'limit':>8}")
    for name, (path, limited) in pages.items():
        inbox.get(path)
        used = inbox.cpu_ms()
        times = [inbox.get(path) for _ in range(ROUNDS)]
        used = (inbox.cpu_ms() - used) / ROUNDS
        limit = f"{LIMIT_PAGE_MS} ms" if limited else ""
        print(f"{name:40} {statistics.median(times):7.1f} ms {max(times):6.1f} ms {used:7.1f} ms {limit:>7}")
    slowest = measure_sdks(inbox)
    print(f"{'events of 30 SDKs, the slowest page':40} {'':10} {slowest:6.1f} ms {'':10} {LIMIT_SDK_MS:>4} ms")
    rng = random.Random(time.time())
    first = rng.getrandbits(100)
    used = inbox.cpu_ms()
    rate = take_in(inbox.url, [envelope(event(first + n, any_kind(rng), rng, 20)) for n in range(TAKEN)])
    used = (inbox.cpu_ms() - used) / TAKEN
    print(f"{'taken in, 20 kB each, 8 clients':40} {rate:7.0f} events/s   {used:7.1f} ms each {LIMIT_RATE:>4}/s")
    print(f"{'memory at its highest':40} {inbox.memory_mb():7.0f} MB {'':20}{LIMIT_MB:>6} MB")


if __name__ == "__main__":
    main()
