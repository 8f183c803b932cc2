"""What is left of a request in memory when it is over: nothing, also where no garbage collector runs."""

import contextlib
import gc
import io
import logging
import weakref
import wsgiref.util

import pytest

from heka_raven.logging import RavenHandler
from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client
from heka_raven.scope import CURRENT
from support.apps import APPS, CountingClient
from support.middleware import make_environ

DSN = "http://key@127.0.0.1:9/1"


class Application:
    """What a middleware wraps, and nobody else knows."""

    def __init__(self, function, reads):
        self.function = function
        self.reads = reads

    def __call__(self, environ, start_response):
        if self.reads and "wsgi.input" in environ:
            environ["wsgi.input"].read(5)
        return self.function(environ, start_response)


class Environ(dict):
    """A dict that can be looked at weakly."""


class Input(io.BytesIO):
    """The server's."""


class StartResponse:
    """The server's."""

    def __call__(self, status, headers, exc_info=None):
        if exc_info:
            raise exc_info[1]
        return lambda data: None


def whole(body):
    """A server that does all that it should."""
    try:
        for _chunk in body:
            pass
    finally:
        close(body)


def close(body):
    """The visitor went away before the first chunk."""
    with contextlib.suppress(BaseException):
        body.close()


def dropped(body):
    """A server that closes nothing, and the visitor went away before the first chunk."""


def begun(body):
    """The same, after the first chunk."""
    next(iter(body), None)


WAYS = {"whole": whole, "closed": close, "dropped": dropped, "begun": begun}


def survivors(name, way, wrap):
    """What is alive after one request, by its name."""
    app = Application(APPS[name], reads="environ" not in name)
    environ = Environ(
        make_environ(CONTENT_TYPE="application/json", CONTENT_LENGTH="9"),
        **{"wsgi.input": Input(b'{"a": [1]}'), "wsgi.file_wrapper": wsgiref.util.FileWrapper},
    )
    start_response = StartResponse()
    parts = {
        "application": app, "environ": environ, "input": environ["wsgi.input"], "start_response": start_response,
    }  # fmt: skip
    alive = {part: weakref.ref(thing) for part, thing in parts.items()}
    del parts
    wrapped = wrap(app)
    del app
    with contextlib.suppress(BaseException):
        body = wrapped(environ, start_response)
        del wrapped
        with contextlib.suppress(BaseException):
            WAYS[way](body)
        del body
    del environ, start_response
    return sorted(part for part, reference in alive.items() if reference() is not None)


def bare(app):
    return app


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", APPS)
def test_nothing_is_kept_of_a_request(name, no_collector, tmp_path):
    """However a request ends: no cycle, and nothing in the context, keeps its environ, its input, its server or the
    application."""
    client = build_client(DSN, stream_path=str(tmp_path / "spool"), stream_sender="off")
    kinds = {
        "plain": lambda app: RavenMiddleware(app, CountingClient()),
        "body": lambda app: RavenMiddleware(app, client, body=100),
        "catchall": lambda app: RavenMiddleware(app, client, body=4, catchall=True),
        "twice": lambda app: RavenMiddleware(RavenMiddleware(app, client, body=100), client, body=100),
    }
    for way in WAYS:
        expected = survivors(name, way, bare)
        for kind, wrap in kinds.items():
            found = survivors(name, way, wrap)
            if "start_response" in expected:  # a cycle of the application's own, and what it was given leads on
                assert set(found) <= {*expected, "application"}, (way, kind)
                continue
            assert expected == found, (way, kind)
            reference = CURRENT.get()
            assert reference is None or reference() is None


def test_a_thousand_requests_with_a_body_leave_no_garbage(no_collector):
    """The option body costs no memory once a request is over."""
    app = RavenMiddleware(Application(APPS["reads_a_part"], reads=True), CountingClient(), body=1_000_000)
    inputs = []
    for _ in range(1000):
        source = Input(b"x" * 1000)
        inputs.append(weakref.ref(source))
        environ = make_environ(CONTENT_LENGTH="1000", **{"wsgi.input": source})
        app(environ, StartResponse())
    del source, environ
    assert 0 == sum(reference() is not None for reference in inputs)


LOGGED = {
    "message": {},
    "stack": {"stack_info": True},
    "extra": {"extra": {"stack": True, "order": 17}},
    "request": {"extra": {"user": {"id": 7}, "tags": {"shop": "north"}}},
}


@pytest.mark.parametrize("name", LOGGED)
def test_nothing_is_kept_of_a_request_that_logs(name, no_collector, tmp_path):
    """An error that is only logged has no traceback by which the route is found, but the frames that run: none of them
    is kept."""
    client = build_client(DSN, stream_path=str(tmp_path / "spool"), stream_sender="off")
    logger = logging.Logger("shop")
    logger.addHandler(RavenHandler(client))

    def app(environ, start_response):
        logger.error("no stock", **LOGGED[name])
        start_response("200 OK", [])
        return [b""]

    environ = Environ(make_environ())
    alive = weakref.ref(environ)
    whole(RavenMiddleware(app, client)(environ, StartResponse()))
    assert len(list((tmp_path / "spool" / "new").iterdir())) == 1
    del environ
    assert alive() is None
