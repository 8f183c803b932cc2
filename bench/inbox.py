"""The inbox with 100,000 events: the time of its pages, how many events a second it takes in, and its memory.

    python bench/inbox.py [--events N] [--db FILE]

The events are made first, which takes some minutes; with --db they are kept in that file, and not made again when it is
there. Everything goes through HTTP to a process of its own; the clients share the machine with it.
"""

import argparse
import json
import os
import random
import re
import signal
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
LIMIT_PAGE_MS, LIMIT_RATE, LIMIT_MB = 100, 300, 150


def event(number, rng, frames):
    """An event as a web application sends it: 300 kinds, 4 hosts, 5 releases; with 20 frames it has 20 kB."""
    kind = rng.randrange(300)
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
        "tags": {"payment": "card", "n": str(number % 999)},
        "exception": {"values": [{"type": f"E{kind}", "value": f"{number} failed", "stacktrace": {"frames": stack}}]},
        "request": {"method": "GET", "url": f"https://shop.example.com/p/{number}"},
    }  # fmt: skip


def fill(path, count):
    """Store *count* events of the last hour."""
    rng = random.Random(7)
    app = make_app(path)
    app.store._writer.execute("PRAGMA synchronous = OFF")  # only while it is filled: half the time
    mark = 987_654_321
    usual = [json.dumps(event(mark, rng, 3)).replace(f"{mark:032x}", "ID") for _ in range(500)]
    start = time.time() - 3_500
    for number in range(count):
        body = rng.choice(usual).replace("ID", f"{number:032x}").replace(str(mark), str(number))
        app.intake.take_event("1", body.encode(), received=start + number * 3_500 / count)
    app.close()


class Inbox:
    """A process of its own."""

    def __init__(self, path):
        command = [sys.executable, "-m", "heka_raven.cli.main", "inbox", "--listen", "127.0.0.1:0", "--db", path]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        self.process = subprocess.Popen(
            [*command, "--keep", ""], stdout=subprocess.PIPE, text=True, env={**environment, "PYTHONUNBUFFERED": "1"}
        )
        self.url = re.search(r"http://[^/]+", self.process.stdout.readline()).group()

    def get(self, path):
        began = time.perf_counter()
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            reply.read()
        return (time.perf_counter() - began) * 1_000

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
            measure(inbox, arguments.events)
        finally:
            inbox.stop()


def measure(inbox, events):
    pages = {
        "the list": ("/", True),
        "the list, two filters": ("/?level=error&release=shop@3", False),
        "a search for a tag": ("/?q=n:77", False),
        "a search for a tag, in every event": ("/?q=payment:card", False),
        "a search for a word, in every event": ("/?q=failed", False),
        "an event": (f"/event/{events - 1:032x}", True),
        "the events of an issue": ("/issue/1?all", False),
        "the host view": ("/hosts", False),
    }
    print(f"{events:,} events{'median':>38}{'slowest':>10}{'limit':>8}")
    for name, (path, limited) in pages.items():
        inbox.get(path)
        times = [inbox.get(path) for _ in range(ROUNDS)]
        limit = f"{LIMIT_PAGE_MS} ms" if limited else ""
        print(f"{name:40} {statistics.median(times):7.1f} ms {max(times):6.1f} ms {limit:>7}")
    rng = random.Random(time.time())
    first = rng.getrandbits(100)
    rate = take_in(inbox.url, [envelope(event(first + n, rng, 20)) for n in range(TAKEN)])
    print(f"{'taken in, 20 kB each, 8 clients':40} {rate:7.0f} events/s        {LIMIT_RATE:>6}/s")
    print(f"{'memory at its highest':40} {inbox.memory_mb():7.0f} MB            {LIMIT_MB:>6} MB")


if __name__ == "__main__":
    main()
