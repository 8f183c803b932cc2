"""Any app, out of the box: `RavenMiddleware(application, dsn=...)` around apps as their tutorials make them."""

import contextlib
import gc
import io
import logging
import re
import weakref

import pytest

from heka_raven.middleware import RavenMiddleware
from support.framework_apps import FAILING, FINE
from support.middleware import make_environ
from support.spools import spooled

DSN = "http://key@127.0.0.1:9/1"
# Pyramid imports it where there is an old setuptools, and that says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*pkg_resources:DeprecationWarning", "ignore:pkg_resources:UserWarning")


@pytest.fixture(autouse=True)
def quiet():
    """Most frameworks log what they answer 500 to."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    return tmp_path / "spool"


def serve(app, path):
    """One request as a server runs it: all that the visitor gets, and what is raised into the server."""
    seen = []

    def start_response(status, headers, exc_info=None):
        seen.append((status, sorted(headers), exc_info and exc_info[0]))
        return seen.append

    path, _, query = path.partition("?")
    server = {"input": io.BytesIO(), "errors": io.StringIO(), "version": (1, 0), "multithread": False}
    server.update(multiprocess=True, run_once=False)
    server = {f"wsgi.{name}": value for name, value in server.items()}
    environ = make_environ(PATH_INFO=path, QUERY_STRING=query, HTTP_HOST="shop.example", **server)
    body = None
    try:
        body = app(environ, start_response)
        seen += list(body)
    except Exception as error:
        seen.append((type(error), str(error)))
    try:
        if hasattr(body, "close"):
            body.close()
    except Exception as error:
        seen.append((type(error), str(error)))
    return [without_what_changes(item) for item in seen]


def without_what_changes(item):
    """Addresses and clocks, which Django's debug page and CherryPy show."""
    if type(item) is bytes:
        item = re.sub(rb"0x[0-9a-f]+|\d\d:\d\d:\d\d[^<]*|id=.\d+.|\b\d{9,}\b|DRF", b"", item)
        return re.sub(rb"(?s)Traceback.*", b"", item) if b"Traceback" in item else item
    if type(item) is tuple and type(item[1]) is list:
        return (item[0], [header for header in item[1] if header[0] not in ("Date", "Content-Length")], *item[2:])
    return item


@pytest.mark.parametrize("name", FAILING)
def test_one_event(name, spool):
    """Its error is one event, unhandled, with the error's own frames and values, the route, and the answer's status."""
    make, path, transaction, text, status = FAILING[name]
    app = RavenMiddleware(make(), dsn=DSN, stream_path=str(spool))
    serve(app, path)
    [event] = spooled(spool)
    assert transaction == event["transaction"]
    error = event["exception"]["values"][-1]
    assert text in (error["value"] or "None")
    assert error["mechanism"]["handled"] is False
    assert event["request"]["url"].startswith("http://shop.example/")
    if status != 200:  # else the answer was on its way
        assert status == event["contexts"]["response"]["status_code"]
    raised = [frame for frame in error["stacktrace"]["frames"] if "/support/" in frame["abs_path"]]
    if raised and "number" in raised[-1].get("vars", {}):
        assert raised[-1]["vars"]["number"] in (7, "7")
    # The next request is as good as the first, and its error is another one.
    serve(app, path)
    assert 2 == len(spooled(spool))


@pytest.mark.parametrize("name", FINE)
def test_no_event(name, spool):
    """What is answered below 500 is no error: pages, redirects, 403, 404, what the app's own handlers make of one."""
    make, path, status = FINE[name]
    seen = serve(RavenMiddleware(make(), dsn=DSN, stream_path=str(spool), report_5xx=True), path)
    assert str(status) == seen[0][0][:3]
    assert [] == spooled(spool)


@pytest.mark.parametrize("name", [*FAILING, *FINE])
def test_the_answer_is_the_framework_s_own(name, spool):
    """Status, headers, page and what is raised into the server: with and without the middleware the same."""
    make, path = {**FAILING, **FINE}[name][:2]
    bare = serve(make(), path)
    assert bare == serve(RavenMiddleware(make(), dsn=DSN, stream_path=str(spool)), path)


class Input(io.BytesIO):
    """The server's, looked at weakly."""


class StartResponse:
    """The server's, looked at weakly."""

    def __call__(self, status, headers, exc_info=None):
        return lambda data: None


def alive_after(app, path):
    """What of a request is alive when it is over, with no garbage collector to help."""
    source, start_response = Input(), StartResponse()
    alive = {"input": weakref.ref(source), "start_response": weakref.ref(start_response)}
    path, _, query = path.partition("?")
    environ = make_environ(PATH_INFO=path, QUERY_STRING=query, **{"wsgi.input": source, "wsgi.errors": io.StringIO()})
    del source
    with contextlib.suppress(Exception):
        body = app(environ, start_response)
        with contextlib.suppress(Exception):
            for _chunk in body:
                pass
        with contextlib.suppress(Exception):
            body.close()
        del body
    del environ, start_response
    return sorted(name for name, reference in alive.items() if reference() is not None)


@pytest.mark.parametrize("name", [*FAILING, *FINE])
def test_nothing_more_is_kept(name, spool):
    """No more of a request is left in memory than the framework itself leaves there until the collector runs."""
    make, path = {**FAILING, **FINE}[name][:2]
    bare, wrapped = make(), RavenMiddleware(make(), dsn=DSN, stream_path=str(spool), body=100)
    alive_after(bare, path), alive_after(wrapped, path)  # what a framework sets up with its first request
    gc.collect()
    gc.disable()
    try:
        expected = alive_after(bare, path)
        gc.collect()
        assert set(alive_after(wrapped, path)) <= set(expected)
    finally:
        gc.enable()
