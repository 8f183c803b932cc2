"""The server that events go to, as a program: ``receiver.py PORT LOG MODE``.

A line of LOG for each event that it answers with 200, written before the answer: its id and its request's query. MODE
is a file that says how to answer now: ok, 503, 429, slow or cut.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_S = 3
_, PORT, LOG, MODE = sys.argv if len(sys.argv) == 4 else (None, 0, None, None)


def lines_of(body):
    """What an envelope (or one event of /store/) says, a line an event."""
    try:
        parts = body.split(b"\n")
        if b'"event"' not in parts[1]:
            return []
        event = json.loads(parts[2])
    except (ValueError, IndexError):
        return []
    query = (event.get("request") or {}).get("query_string") or ""
    return [f"{event['event_id']} {query}"]


class Handler(BaseHTTPRequestHandler):
    """POST, with keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(MODE, encoding="ascii") as file:
            mode = file.read().strip()
        if mode == "slow":
            time.sleep(SLOW_S)
        status = {"503": 503, "429": 429}.get(mode, 200)
        if status == 200:
            for line in lines_of(body):
                with open(LOG, "ab", buffering=0) as file:
                    file.write(line.encode() + b"\n")
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "2")
        self.send_header("Content-Length", "2")
        self.end_headers()
        if mode == "cut":
            self.close_connection = True
        else:
            self.wfile.write(b"{}")

    def log_message(self, *_):
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """Senders that are killed hang up."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Say nothing."""


if __name__ == "__main__":
    with Quiet(("127.0.0.1", int(PORT)), Handler) as server:
        os.write(1, b"ready\n")
        server.serve_forever()
