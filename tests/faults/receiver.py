"""The server of all scenarios, in a process of its own: what it answers stands in the DSN's path, ``/MODE/TOKEN/``."""

import json
import os
import signal
import threading
import urllib.request

from heka_raven.formats.raven_payload import decode_raven
from support.sentry_server import Reply, Server

ANSWERS = {
    "ok": Reply(),
    "429": Reply(429, {"Retry-After": "1"}),
    "503": Reply(503),
    "400": Reply(400),
    "cut": Reply(cut=10),
    "closed": Reply(close=True),
}


def id_of(request):
    """Of an envelope, or of a payload of protocol 3."""
    if "/store/" in request.path:
        body = request.plain
        return (json.loads(body) if body[:1] == b"{" else decode_raven(body))["event_id"]
    return request.event_id


class Behaviour:
    """The first try of an event gets what its DSN says, each later one 200."""

    def __init__(self):
        self._guard = threading.Lock()
        self._seen = {}
        self._taken = {}

    def __call__(self, request):
        parts = request.path.split("/")
        if parts[1] == "seen":
            with self._guard:
                found = {"seen": self._seen.pop(parts[2], []), "taken": self._taken.pop(parts[2], [])}
            return Reply(body=json.dumps(found).encode(), headers={"Connection": "close"})
        mode, token = parts[1], parts[2]
        if "/envelope/" in request.path and "event" not in request.kinds:
            return Reply()  # a client report
        event_id = id_of(request)
        with self._guard:
            mine = self._seen.setdefault(token, [])
            first = event_id not in mine
            mine.append(event_id)
            reply = ANSWERS[mode] if first or mode == "400" else ANSWERS["ok"]
            if reply.status == 200 and not reply.close and reply.cut is None:
                self._taken.setdefault(token, []).append(event_id)
        return reply


class Receiver:
    """Its ports and what came."""

    def __init__(self):
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                behaviour = Behaviour()
                ports = [Server(behaviour).port, Server(behaviour, tls="server.pem").port]
                os.write(write, json.dumps(ports).encode())
                os.close(write)
                signal.pause()
            finally:
                os._exit(0)
        os.close(write)
        self.port, self.tls_port = json.loads(os.read(read, 100))
        os.close(read)

    def dsn(self, mode, token, tls=False):
        scheme, port = ("https", self.tls_port) if tls else ("http", self.port)
        return f"{scheme}://public:secret@127.0.0.1:{port}/{mode}/{token}/1"

    def seen(self, token):
        """The ids that came for this token, in order, and those of them that were taken; asking forgets them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/seen/{token}", timeout=20) as reply:
            found = json.load(reply)
        return found["seen"], found["taken"]

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
