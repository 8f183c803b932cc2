"""What the inbox's tests share: a real inbox process, and events to send to it."""

import html
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from urllib.error import HTTPError

COMMAND = [sys.executable, "-c", "import sys; from heka_raven.cli.inbox import main; sys.exit(main(sys.argv[1:]))"]
START_LIMIT_S = 45


class Reply:
    """A status, headers and a body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    @property
    def shown(self):
        """A page's text, without its tags: source lines are cut into coloured pieces."""
        return html.unescape(re.sub(r"<[^>]+>", "", self.text))


class RunningInbox:
    """A started inbox: its address and its process."""

    def __init__(self, process, url):
        self.process = process
        self.url = url

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def dsn(self, key="anything", project="1"):
        return self.url.replace("http://", f"http://{key}@") + f"/{project}"

    def request(self, path, body=None, headers=None, method=None):
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except HTTPError as error:
            with error:
                return Reply(error.code, error.headers, error.read())

    def events(self):
        return self.request("/api/events?limit=1000").json

    def event(self, event_id):
        return self.request(f"/api/events/{event_id}").json

    def wait_for_events(self, count, limit_s=45):
        """The events, newest first, as soon as there are *count* of them."""
        until = time.monotonic() + limit_s
        while True:
            found = self.events()
            if len(found) >= count or time.monotonic() > until:
                return found
            time.sleep(0.05)


@contextmanager
def running_inbox(db, *options):
    """An inbox process on a free loopback port; it is stopped at the end, and must then have stopped well."""
    with subprocess.Popen(
        [*COMMAND, "--listen", "127.0.0.1:0", "--db", str(db), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            if not select.select([process.stdout], [], [], START_LIMIT_S)[0]:
                raise AssertionError("the inbox did not start")
            line = process.stdout.readline()
            if not line.startswith("inbox: http://"):
                process.kill()
                raise AssertionError(f"the inbox said {line!r} {process.stderr.read()!r}")
            yield RunningInbox(process, line.removeprefix("inbox: ").strip().rstrip("/"))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    code = process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
                assert code == 0, process.stderr.read()


def envelope(event, **header):
    """An envelope with one event."""
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    item = json.dumps({"type": "event", "length": len(payload)}).encode()
    head = {"event_id": event["event_id"]} if isinstance(event, dict) and "event_id" in event else {}
    return json.dumps({**head, **header}).encode() + b"\n" + item + b"\n" + payload + b"\n"


AUTH = {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_client=test/1, sentry_key=abc"}
