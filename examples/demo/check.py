"""Presses every button of the demo's page and reads every event back from the inbox."""

import http.client
import json
import platform
import re
import time
import urllib.request
from urllib.parse import urlsplit

ARRIVE_S = 30.0  # a limit for a busy machine, not a pace: the table shows how soon each event was there
SETTLE_S = 1.0  # how long a second copy gets to show itself, after the last button
PLANTED = "correct horse"  # the value of each card_password of the app
VALUES = r'"order": 4711'  # a local variable of the view; its source has no such number
# A server that became another user may see no more of its workers than that they wait, which the event says.
WAITS = r'"waiting_on": "recv from 127\.0\.0\.1:|"waiting_on_missing": "'
GLIBC = tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2] if part.isdigit())
UNWINDS = GLIBC >= (2, 35) and platform.machine() in ("x86_64", "aarch64")
NATIVE = r'"function": "abort"' if UNWINDS else ""


class Expected:
    """What one press must bring: the events in whose line of the inbox *pattern* is found, and which show *shows*."""

    def __init__(self, what, path, method, pattern, *, at_least_once=False, shows=""):
        self.what, self.path, self.method, self.pattern = what, path, method, pattern
        self.at_least_once, self.shows = at_least_once, shows

    def among(self, events):
        return [e for e in events if re.search(self.pattern, json.dumps(e))]


ANYWHERE = [
    Expected("an exception", "/exception", "GET", "division by zero"),
    Expected("an exception in a stream", "/stream", "GET", "the stream broke after 2 chunks"),
    Expected("an exception in close()", "/close", "GET", "the export file could not be closed"),
    Expected("a view under capture_stack", "/capture-stack", "GET", "KeyError"),
]
EXPECTED = {
    "uwsgi": [
        Expected("the server starts (hook)", None, None, "the server is ready, and takes requests"),
        *ANYWHERE,
        Expected("an exception nobody wrapped", "/bare", "GET", "nobody wrapped this app"),
        Expected("a log line", "/log-line", "GET", "the disk is nearly full"),
        Expected("a PUT", "/upload", "PUT", "PUT /upload"),
        Expected("a segfault", "/segfault", "GET", "segfault"),
        Expected("an abort in a C library", "/abort", "GET", "GET /abort", shows=NATIVE),
        Expected("a request that never ends", "/harakiri", "GET", "GET /harakiri", shows=VALUES),
        Expected("… in C code", "/hang", "GET", "GET /hang"),
        Expected("… which waits for a server", "/waiting", "GET", "GET /waiting", shows=WAITS),
        Expected("kill -9", "/kill", "GET", "GET /kill"),
        Expected("a slow request", "/slow", "GET", "GET /slow"),
        Expected("a full listen queue", "/full-queue", "GET", "listen.queue", at_least_once=True),
    ],
    "gunicorn": [
        *ANYWHERE,
        Expected("a segfault", "/segfault", "GET", "gunicorn segfault.*/segfault"),
        Expected("an abort in a C library", "/abort", "GET", "gunicorn abort.*/abort"),
        Expected("a request that never ends", "/harakiri", "GET", "gunicorn timeout.*/harakiri", shows=VALUES),
        Expected("… which was slow first", None, None, "gunicorn slow.*/harakiri"),
        Expected("… in C code", "/hang", "GET", "gunicorn timeout.*/hang"),
        Expected("… which was slow first, too", None, None, "gunicorn slow.*/hang"),
        Expected("… which waits for a server", "/waiting", "GET", "gunicorn timeout.*/waiting", shows=WAITS),
        Expected("… and this one, too", None, None, "gunicorn slow.*/waiting", shows=WAITS),
        Expected("kill -9", "/kill", "GET", "gunicorn killed.*/kill"),
        Expected("a slow request", "/slow", "GET", "gunicorn slow.*/slow"),
        Expected("a full listen queue", "/full-queue", "GET", "gunicorn backlog"),
    ],
}


def run(app_url, inbox_url, server):
    """Returns the exit code: 0 only if every event arrived, once each where once is promised."""
    check_page(app_url, EXPECTED[server])
    took = {}
    for expected in EXPECTED[server]:
        started = time.monotonic()
        if expected.path:
            press(app_url, expected.method, expected.path)
        pressed = time.monotonic()
        while not expected.among(read_inbox(inbox_url)):
            if time.monotonic() - pressed > ARRIVE_S:
                break
            time.sleep(0.02)
        else:
            took[expected.what] = time.monotonic() - started
    time.sleep(SETTLE_S)
    events = read_inbox(inbox_url)
    whole = {event["event_id"]: json.dumps(read_event(inbox_url, event["event_id"])) for event in events}
    return report(events, whole, took, EXPECTED[server])


def check_page(app_url, all_expected):
    """Every button of the page has a line in EXPECTED, and the other way round."""
    with urllib.request.urlopen(app_url, timeout=ARRIVE_S) as response:
        page = response.read().decode()
    buttons = set(re.findall(r'data-method="(\w+)" data-path="([^"]+)"', page))
    expected = {(e.method, e.path) for e in all_expected if e.path}
    if buttons != expected:
        raise SystemExit(f"demo: the page's buttons and the check differ: {sorted(buttons ^ expected)}")


def press(app_url, method, path):
    """What the page's script does; a response may break off, or never come."""
    parts = urlsplit(app_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ARRIVE_S)
    try:
        connection.request(method, path, body=b"a small file" if method == "PUT" else None)
        connection.getresponse().read()
    except (http.client.HTTPException, OSError):
        pass
    finally:
        connection.close()


def read_inbox(inbox_url):
    with urllib.request.urlopen(inbox_url + "api/events", timeout=ARRIVE_S) as response:
        return json.load(response)


def read_event(inbox_url, event_id):
    with urllib.request.urlopen(f"{inbox_url}api/events/{event_id}", timeout=ARRIVE_S) as response:
        return json.load(response)["event"]


def report(events, whole, took, all_expected):
    failed = 0
    print(f"\n{'what was done':32}{'what arrived':56}{'after':>8}")
    for expected in all_expected:
        found = expected.among(events)
        ok = bool(found) and expected.what in took and (expected.at_least_once or len(found) == 1)
        ok = ok and all(re.search(expected.shows, whole[event["event_id"]]) for event in found)
        failed += not ok
        title = f"{len(found)} x {found[0]['title']}" if found else "nothing"
        seconds = f"{took[expected.what]:.2f} s" if expected.what in took else "-"
        print(f"{expected.what:32}{title[:54]:56}{seconds:>8}{'' if ok else '   <- FAILED'}")
    known = {e["event_id"] for expected in all_expected for e in expected.among(events)}
    for event in events:
        if event["event_id"] not in known:
            failed += 1
            print(f"{'(nothing that was done)':32}{event['title'][:54]:56}{'':>8}   <- FAILED")
        if PLANTED in whole[event["event_id"]]:
            failed += 1
            print(f"{'(a secret)':32}{event['title'][:54]:56}{'':>8}   <- FAILED")
    passed = len(all_expected) - failed
    print(f"\n{passed} passed, {failed} failed" if passed >= 0 else f"\n{failed} failed")
    return 1 if failed else 0
