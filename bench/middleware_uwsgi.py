"""Requests per second under a real uWSGI with 2 workers, with and without the middleware.

Two servers wait side by side and get the same load in turns, so that what else the machine does falls on both. Each
request has a connection of its own, as from nginx with uwsgi_pass. Also printed: the processor time of the workers per
request, which is steadier. The limit is on requests per second: at least 98 % of the bare application's.
"""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 60
REQUESTS = 500  # per worker and round
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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Server:
    """One uWSGI."""

    def __init__(self, uwsgi, folder, watched):
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
        ticks = 0
        for child in children:
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def round(self):
        """Requests per second of one round."""
        begin = time.perf_counter()
        with ThreadPoolExecutor(WORKERS) as pool:
            for load in [pool.submit(self.load) for _ in range(WORKERS)]:
                load.result()
        return WORKERS * REQUESTS / (time.perf_counter() - begin)

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
    beside = Path(sys.executable).parent / "uwsgi"
    uwsgi = str(beside) if beside.exists() else shutil.which("uwsgi")
    if uwsgi is None:
        print("no uWSGI here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        bare, watched = Server(uwsgi, Path(name), False), Server(uwsgi, Path(name), True)
        try:
            for server in (bare, watched):
                server.round()
            rates = {bare: [], watched: []}
            times = {bare: -bare.processor_time(), watched: -watched.processor_time()}
            for number in range(ROUNDS):
                for server in (bare, watched) if number % 2 else (watched, bare):
                    rates[server].append(server.round())
            for server in times:
                times[server] += server.processor_time()
        finally:
            bare.stop()
            watched.stop()
    ratio = statistics.median(w / b for b, w in zip(rates[bare], rates[watched], strict=True))
    for label, server in (("bare", bare), ("watched", watched)):
        microseconds = times[server] / (ROUNDS * WORKERS * REQUESTS) * 1e6
        rate = statistics.median(rates[server])
        print(f"{label:10}{rate:10.0f} requests/s{microseconds:8.2f} us of a worker's processor time per request")
    print(f"watched / bare: {ratio:.3f} (at least {LIMIT}); median of {ROUNDS} pairs of rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
