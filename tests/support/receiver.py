"""An HTTP server that keeps what it is sent."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """An HTTP server on loopback that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.delay_s = 0.0
        self.reply_headers: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.delay_s:
                    time.sleep(receiver.delay_s)
                status = receiver.status
                if 200 <= status < 300:
                    receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                for key, value in receiver.reply_headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def dsn(self) -> str:
        return f"http://publickey:secretkey@127.0.0.1:{self.port}/1"

    @property
    def events(self) -> list[dict]:
        """The events of every envelope, oldest first; client reports are left out."""
        found = []
        for path, _, body in list(self.requests):
            if "/envelope/" in path:
                _, item, payload = body.split(b"\n", 2)
                if json.loads(item)["type"] == "event":
                    found.append(json.loads(payload))
            else:
                found.append(json.loads(body))
        return found

    def texts(self) -> list[str]:
        return [text_of(event) for event in self.events]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def text_of(event: dict) -> str:
    return event.get("logentry", {}).get("formatted", "")
