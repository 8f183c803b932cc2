"""Longer rounds: @sentry/node reports into the inbox, 100,000 events, a stream of 300 a second."""

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from support.browser import node_modules
from support.inbox import AUTH, envelope, running_inbox

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

NODE = """
const Sentry = require('@sentry/node');
Sentry.init({dsn: process.argv[2], release: 'web@3', environment: 'node', tracesSampleRate: 1});
function price(cart) { return cart.total.value; }
Sentry.setTag('payment', 'card');
Sentry.setUser({id: 4711});
Sentry.addBreadcrumb({category: 'cart', message: 'opened'});
Sentry.startSpan({name: 'GET /cart'}, () => {
  try { price({}); } catch (error) { console.log(Sentry.captureException(error)); }
});
try {
  try { null.x } catch (cause) { throw new Error('outer', {cause}); }
} catch (error) { Sentry.captureException(error); }
Sentry.captureMessage('from node', 'warning');
Sentry.close(10000).then(() => process.exit(0));
"""


def test_sentry_node_reports_into_it(tmp_path):
    """Exceptions with their cause, frames with source, tags, user, breadcrumbs, a message; spans are dropped."""
    script = tmp_path / "report.js"
    script.write_text(NODE)
    (tmp_path / "node_modules").symlink_to(node_modules())
    with running_inbox(tmp_path / "inbox.db") as running:
        done = subprocess.run(
            ["node", script, running.dsn()], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
        )
        assert 0 == done.returncode, done.stderr
        events = running.wait_for_events(3)
        assert {"TypeError", "Error", ""} == {event["type"] for event in events}
        assert 3 == len(events)
        found = running.event(done.stdout.split()[0])
        assert ("TypeError", "error", "web@3", "node") == (
            found["type"], found["level"], found["release"], found["environment"],
        )  # fmt: skip
        page = running.request(f"/event/{found['event_id']}").shown
        for part in ("return cart.total.value", "price", "4711", "payment", "opened", "report.js"):
            assert part in page
        [outer] = [event["event_id"] for event in events if event["type"] == "Error"]
        assert "caused by" in running.request(f"/event/{outer}").text


def usual_event(number, rng, depth=20):
    """An event with *depth* frames: with 20 about 20 kB, as a web app sends it."""
    frames = [
        {
            "function": f"f{n}", "module": f"shop.m{n}", "filename": f"shop/m{n}.py", "lineno": n + 10,
            "in_app": n % 2 == 0, "context_line": "    return x + y",
            "pre_context": ["a" * 40] * 5, "post_context": ["b" * 40] * 5,
            "vars": {f"v{k}": f"value {k * n}" for k in range(8)},
        }
        for n in range(depth)
    ]  # fmt: skip
    kind = rng.randrange(300)
    return {
        "event_id": f"{number:032x}", "platform": "python", "level": rng.choice(["error", "warning"]),
        "release": f"shop@{kind % 5}", "server_name": f"web-{kind % 4}",
        "tags": {"payment": "card", "n": str(number % 999)},
        "exception": {"values": [{"type": f"E{kind}", "value": f"{number} failed", "stacktrace": {"frames": frames}}]},
        "request": {"method": "GET", "url": f"https://shop.example.com/p/{number}"},
    }  # fmt: skip


def resident_mb(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def test_100000_events(tmp_path):
    """With 100,000 events kept every page answers, the counts agree, and memory stays under 150 MB."""
    from heka_raven.inbox.web.app import make_app

    rng = random.Random(7)
    database = tmp_path / "inbox.db"
    app = make_app(str(database))
    app.store._writer.execute("PRAGMA synchronous = OFF")  # only while it is filled: half the time
    start = time.time() - 3_500
    mark = 987_654_321
    usual = [json.dumps(usual_event(mark, rng, depth=3)).replace(f"{mark:032x}", "ID") for _ in range(500)]
    for number in range(100_000):
        body = rng.choice(usual).replace("ID", f"{number:032x}").replace(str(mark), str(number))
        app.intake.take_event("1", body.encode(), received=start + number * 0.035)
    app.close()
    with running_inbox(database, "--keep", "100000") as running:
        pages = ["/", "/?level=error&release=shop@3", "/?q=failed", "/?q=n:77", "/?q=payment:card", "/hosts",
                 f"/event/{99_999:032x}", "/issue/1?all", "/api/events?limit=1000", "/data"]  # fmt: skip
        for page in pages * 2:
            began = time.monotonic()
            assert 200 == running.request(page).status
            print(f"{(time.monotonic() - began) * 1000:7.1f} ms  {page}", file=sys.stderr)
        assert "100,000 events" in running.request("/").text
        for number in range(100_000, 100_400):
            assert 200 == running.request("/api/1/envelope/", envelope(usual_event(number, rng)), AUTH).status
        assert 404 == running.request(f"/event/{0:032x}").status
        assert resident_mb(running.process) < 150


def test_a_stream_of_events_is_all_stored(tmp_path):
    """Eight clients send 3,000 events as fast as they can while a page is read; each is stored once."""
    rng = random.Random(3)
    bodies = [envelope(usual_event(number, rng)) for number in range(3_000)]
    failures = []

    def send(part, url):
        for body in part:
            request = urllib.request.Request(f"{url}/api/1/envelope/", data=body, headers=AUTH)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    answer.read()
            except OSError as error:
                failures.append(error)

    with running_inbox(tmp_path / "inbox.db") as running:
        threads = [threading.Thread(target=send, args=(bodies[n::8], running.url)) for n in range(8)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert 200 == running.request("/").status
            time.sleep(0.2)
        taken_s = time.monotonic() - began
        print(f"{3_000 / taken_s:.0f} events/s, {resident_mb(running.process):.0f} MB", file=sys.stderr)
        assert [] == failures
        assert "3,000 events" in running.request("/").text
        assert resident_mb(running.process) < 150
