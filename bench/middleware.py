"""What the middleware costs a request that succeeds: `./run bench`, or `python bench/middleware.py`.

Prints, for each kind of body, the bare application's time, the time under RavenMiddleware, and the difference. The
figure is the best of many short rounds, taken in turns, so that what else the machine does falls on both.

Then the same list body under the error middlewares of others, as far as they are installed, each in a process of its
own and with its delivery cut off (see peers.py).
"""

import contextlib
import contextvars
import io
import json
import subprocess
import sys
import tempfile
import time
import wsgiref.util
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from heka_raven.middleware import RavenMiddleware
from heka_raven.reporting.clients import build_client

ROUNDS = 300
REQUESTS = 1000  # per round
CHUNKS = 5000
PEER_ROUNDS = 30
PEERS = ("ours", "bugsnag", "raven", "sentry")
HEADERS = [("Content-Type", "text/plain")]
BODY = [b"hello"]
LIMIT_REQUEST_US = 1.0
LIMIT_WATCH_US = 1.0
LIMIT_CHUNK_US = 0.15


class NoClient:
    """Never called: nothing fails here."""

    def raven(self, *args, **kwargs):
        raise AssertionError("nothing failed")


def list_app(environ, start_response):
    start_response("200 OK", HEADERS)
    return BODY


def generator_app(environ, start_response):
    start_response("200 OK", HEADERS)
    for _ in range(CHUNKS):
        yield b"x"


class Chunks:
    def __init__(self):
        self.left = CHUNKS

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return b"x"


def iterator_app(environ, start_response):
    start_response("200 OK", HEADERS)
    return Chunks()


class ClosingIterator:
    """As Werkzeug's, which every response of Flask is."""

    def __init__(self, chunks):
        self.step = iter(chunks).__next__

    def __iter__(self):
        return self

    def __next__(self):
        return self.step()

    def close(self):
        pass


def framework_app(environ, start_response):
    start_response("200 OK", HEADERS)
    return ClosingIterator(BODY)


def start_response(status, headers, exc_info=None):
    return None


def environ():
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "wsgi.url_scheme": "http",
        "wsgi.file_wrapper": wsgiref.util.FileWrapper,
    }


def time_request(app):
    request = environ()
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        app(request, start_response)
    return (time.perf_counter() - begin) / REQUESTS * 1e6


def time_fresh(app):
    """One round with an environ of its own for each request, as a server makes it."""
    request = {**environ(), "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "example.com"}
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        app(dict(request), start_response)
    return (time.perf_counter() - begin) / REQUESTS * 1e6


def time_whole_request(app):
    request = environ()
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        body = app(request, start_response)
        for _chunk in body:
            pass
        body.close()
    return (time.perf_counter() - begin) / REQUESTS * 1e6


def time_chunk(app):
    body = app(environ(), start_response)
    begin = time.perf_counter()
    for _ in body:
        pass
    return (time.perf_counter() - begin) / CHUNKS * 1e6


def compare(name, measure, app, rounds, limit=""):
    return compare_both(name, measure, app, RavenMiddleware(app, NoClient()), rounds, limit)


def compare_watch():
    """What the option watch costs more than the middleware without it, whose time stands as "bare"."""
    with tempfile.TemporaryDirectory() as spool:
        client = build_client("http://key@127.0.0.1:9/1", stream_path=spool, stream_sender="off")
        without, with_it = (RavenMiddleware(list_app, client, watch=watch) for watch in (False, True))
        compare_both("the same with watch, over without", time_fresh, without, with_it, ROUNDS, LIMIT_WATCH_US)


def compare_both(name, measure, app, wrapped, rounds, limit=""):
    bare, watched = [], []
    for _ in range(rounds):
        bare.append(measure(app))
        watched.append(measure(wrapped))
    cost = min(watched) - min(bare)
    print(f"{name:34}{min(bare):9.3f}{min(watched):9.3f}{cost:9.3f}   {limit}")
    return cost


def time_beside(app, environ, start_response):
    """One round of requests as a server makes them: an environ of its own for each, the body, close()."""
    begin = time.perf_counter()
    for _ in range(REQUESTS):
        body = app(dict(environ), start_response)
        for _chunk in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return (time.perf_counter() - begin) / REQUESTS * 1e6


def measure_peer(name):
    """Bare and watched, microseconds; run in a process of its own."""
    import peers

    with contextlib.redirect_stdout(io.StringIO()):
        watched_app = peers.MAKE[name](list_app)
        bare, watched = [], []
        for _ in range(PEER_ROUNDS):
            bare.append(time_beside(list_app, peers.ENVIRON, peers.start_response))
            watched.append(time_beside(watched_app, peers.ENVIRON, peers.start_response))
    print(json.dumps([min(bare), min(watched)]))


def compare_peers():
    print("\nrequest, list body, iterated and closed, under each middleware")
    ours = None
    for name in PEERS:
        run = subprocess.run([sys.executable, __file__, "--peer", name], capture_output=True, text=True)
        if run.returncode:
            print(f"  {name:32}not measured: {''.join(run.stderr.strip().splitlines()[-1:])}")
            continue
        bare, watched = json.loads(run.stdout)
        cost = watched - bare
        ours = ours or cost
        print(f"  {name:32}{bare:9.3f}{watched:9.3f}{cost:9.3f}   {cost / ours:.0f} x")


def main():
    print(f"{'':34}{'bare':>9}{'watched':>9}{'cost':>9}   at most   (us, Python {sys.version.split()[0]})")
    compare("request, list body", time_request, list_app, ROUNDS, LIMIT_REQUEST_US)
    compare("request, generator body, not begun", time_request, generator_app, ROUNDS)
    compare("request, iterator, one chunk, close", time_whole_request, framework_app, ROUNDS)
    compare_watch()
    compare("one chunk of a generator", time_chunk, generator_app, ROUNDS // 3, LIMIT_CHUNK_US)
    compare("one chunk of an iterator", time_chunk, iterator_app, ROUNDS // 3)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        measure_peer(sys.argv[2])
    else:
        contextvars.Context().run(main)
        compare_peers()
