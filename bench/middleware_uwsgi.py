"""Requests per second under a real uWSGI with 2 workers, with and without the middleware.

Three servers of each kind wait side by side and get the same load in turns, so that what else the machine does falls on
both; one process's luck with its memory is as large as what is measured here. Each request has a connection of its own,
as from nginx with uwsgi_pass. Also printed: the processor time of the workers per request. The limit is on requests per
second: at least 98 % of the bare application's.
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
from support.uwsgi import find_uwsgi  # noqa: E402

SERVERS = 3  # of each kind
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

if {watched}:
    application = RavenMiddleware(
        application, dsn="http://key@127.0.0.1:9/1", stream_path={spool!r}, stream_sender="off"
    )
"""


class Server:
    """One uWSGI."""

    def __init__(self, uwsgi, folder, watched):
        self.rates = []
        self.used = 0.0  # seconds of the workers' processor time in all rounds
        self.port = free_port()
        app = folder / f"app_{watched}.py"
        app.write_text(APP.format(root=str(ROOT), watched=watched, spool=str(folder / "spool")))
        self.process = subprocess.Popen(
            [
                uwsgi, "--http-socket", f"127.0.0.1:{self.port}", "--wsgi-file", str(app), "--master",
                "--processes", str(WORKERS), "--need-app", "--disable-logging", "--die-on-term",
                "--virtualenv", sys.prefix,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
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
        self.used += self.processor_time() - used

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
        pairs = []
        for _ in range(SERVERS):
            pair = [Server(uwsgi, Path(name), watched) for watched in (False, True)]
            for server in pair:
                stack.callback(server.stop)
            pairs.append(pair)
        for pair in pairs:
            for server in pair:
                server.round()
                server.rates.clear()
                server.used = 0.0
        for number in range(ROUNDS):
            for pair in pairs:
                for server in pair if number % 2 else reversed(pair):
                    server.round()
    ratios = [w / b for bare, watched in pairs for b, w in zip(bare.rates, watched.rates, strict=True)]
    for label, servers in zip(("bare", "watched"), zip(*pairs, strict=True), strict=True):
        microseconds = sum(server.used for server in servers) / (SERVERS * ROUNDS * WORKERS * REQUESTS) * 1e6
        rate = statistics.median(rate for server in servers for rate in server.rates)
        print(f"{label:10}{rate:10.0f} requests/s{microseconds:8.2f} us of a worker's processor time per request")
    print(
        f"watched / bare: {statistics.median(ratios):.3f} (at least {LIMIT}); median of {len(ratios)} pairs of rounds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
