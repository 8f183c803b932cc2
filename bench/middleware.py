"""What the middleware costs a request that succeeds: `./run bench`, or `python bench/middleware.py`.

Prints, for each kind of body, the bare application's time, the time under RavenMiddleware, and the difference. The
figure is the best of many short rounds, taken in turns, so that what else the machine does falls on both.
"""

import contextvars
import sys
import time
import wsgiref.util
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from heka_raven.middleware import RavenMiddleware

ROUNDS = 300
REQUESTS = 1000  # per round
CHUNKS = 5000
HEADERS = [("Content-Type", "text/plain")]
BODY = [b"hello"]
LIMIT_REQUEST_US = 0.6
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
    bare, watched = [], []
    wrapped = RavenMiddleware(app, NoClient())
    for _ in range(rounds):
        bare.append(measure(app))
        watched.append(measure(wrapped))
    cost = min(watched) - min(bare)
    print(f"{name:34}{min(bare):9.3f}{min(watched):9.3f}{cost:9.3f}   {limit}")
    return cost


def main():
    print(f"{'':34}{'bare':>9}{'watched':>9}{'cost':>9}   at most   (us, Python {sys.version.split()[0]})")
    compare("request, list body", time_request, list_app, ROUNDS, LIMIT_REQUEST_US)
    compare("request, generator body, not begun", time_request, generator_app, ROUNDS)
    compare("request, iterator, one chunk, close", time_whole_request, framework_app, ROUNDS)
    compare("one chunk of a generator", time_chunk, generator_app, ROUNDS // 3, LIMIT_CHUNK_US)
    compare("one chunk of an iterator", time_chunk, iterator_app, ROUNDS // 3)


if __name__ == "__main__":
    contextvars.Context().run(main)
