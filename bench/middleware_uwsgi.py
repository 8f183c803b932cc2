"""Requests per second under a real uWSGI with 2 workers: bare, with sentry-watch, with the middleware, and with both.

Servers of each kind wait side by side and get the same load in turns, so that what else the machine does falls on all;
one process's luck with its memory is as large as what is measured here. Each request has a connection of its own, as
from nginx with uwsgi_pass. Also printed: the processor time of the workers per request, and of both the ratio, as the
median over rounds. The application does nothing, so a real one's share is a small part of these. The limit is on
requests per second: at least 98 % of what the server does without.
"""

import contextlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.ports import free_port  # noqa: E402
from support.uwsgi import find_uwsgi, shared_plugin  # noqa: E402

KINDS = ("bare", "watch", "middleware", "both")
PAIRS = (("watch", "bare"), ("both", "middleware"), ("middleware", "bare"))  # what each adds
SERVERS = 2  # of each kind
ROUNDS = 30  # of each server
REQUESTS = 250  # per worker and round
WORKERS = 2
LIMIT = 0.98
REQUEST = b"GET /page?x=1 HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\nCookie: a=b\r\n\r\n"

APP = """
import sys
sys.path.insert(0, {root!r})

BODY = b"x" * 2000
HEADERS = [("Content-Type", "text/html"), ("Content-Length", "2000")]


def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]


# Both import it: every module that an application imports makes uWSGI's own work a little slower (it interns the names
# of the environ's keys, and the table of these grows), and a real application imports far more.
from heka_raven.middleware import RavenMiddleware

if {reports}:
    application = RavenMiddleware(
        application, dsn="http://key@127.0.0.1:9/1", stream_path={spool!r}, stream_sender="off"
    )
"""


class Server:
    """One uWSGI."""

    def __init__(self, uwsgi, folder, kind, number):
        self.kind = kind
        self.rates = []
        self.used = []  # seconds of the workers' processor time, a round
        self.port = free_port()
        folder = folder / f"{kind}{number}"
        folder.mkdir()
        app = folder / "app.py"
        reports = kind in ("middleware", "both")
        app.write_text(APP.format(root=str(ROOT), reports=reports, spool=str(folder / "spool")))
        command = [
            uwsgi, "--http-socket", f"127.0.0.1:{self.port}", "--wsgi-file", str(app), "--master",
            "--processes", str(WORKERS), "--need-app", "--disable-logging", "--die-on-term",
            "--virtualenv", sys.prefix,
        ]  # fmt: skip
        if kind in ("watch", "both"):
            plugin = shared_plugin(uwsgi)
            command += [
                "--plugins-dir", str(plugin.parent), "--plugin", "sentry", "--sentry-dsn", "http://key@127.0.0.1:9/1",
                "--sentry-spool", str(folder / "spool"), "--sentry-watch", "true", "--sentry-watch-slow", "10",
                "--harakiri", "30", "--sentry-no-sender",
            ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.02)

    def processor_time(self):
        """Seconds that the workers have used."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) for child in children) / 1e9

    def round(self):
        """Note the requests per second of one round."""
        begin, used = time.perf_counter(), self.processor_time()
        with ThreadPoolExecutor(WORKERS) as pool:
            for load in [pool.submit(self.load) for _ in range(WORKERS)]:
                load.result()
        self.rates.append(WORKERS * REQUESTS / (time.perf_counter() - begin))
        self.used.append((self.processor_time() - used) / (WORKERS * REQUESTS))

    def load(self):
        for _ in range(REQUESTS):
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.sendall(REQUEST)
                while connection.recv(8192):
                    pass

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    uwsgi = find_uwsgi()
    if uwsgi is None:
        print("no uWSGI here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        sets = []
        for number in range(SERVERS):
            servers = [Server(uwsgi, Path(name), kind, number) for kind in KINDS]
            for server in servers:
                stack.callback(server.stop)
                server.round()
                server.rates.clear()
                server.used.clear()
            sets.append(servers)
        for number in range(ROUNDS):
            for servers in sets:
                for at in range(len(servers)):
                    servers[(at + number) % len(servers)].round()
    kinds = {kind: [server for servers in sets for server in servers if server.kind == kind] for kind in KINDS}
    for kind, servers in kinds.items():
        used = statistics.median(used for server in servers for used in server.used) * 1e6
        rate = statistics.median(rate for server in servers for rate in server.rates)
        print(f"{kind:12}{rate:8.0f} requests/s{used:8.2f} us of a worker's processor time per request")
    for kind, without in PAIRS:
        both = list(zip(kinds[kind], kinds[without], strict=True))
        rates = statistics.median(a / b for x, y in both for a, b in zip(x.rates, y.rates, strict=True))
        used = statistics.median(a / b for x, y in both for a, b in zip(x.used, y.used, strict=True))
        print(f"{kind} / {without}: {rates:.3f} of the requests/s (at least {LIMIT}), {used:.3f} of the processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
