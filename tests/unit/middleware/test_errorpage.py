"""The error page of `catchall`."""

import json

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client
from support.apps import APPS
from support.middleware import RecordingClient, make_environ, run

EVENT_ID = "0" * 32


class Server:
    """Headers go out with the first byte; after that start_response raises what it is given, as PEP 3333 asks."""

    def __init__(self):
        self.started = []
        self.sent = b""

    def start_response(self, status, headers, exc_info=None):
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exc_info or not self.started
        self.started.append((status, dict(headers)))
        return self.write

    def write(self, data):
        self.sent += data

    def get(self, app, **keys):
        body = app(make_environ(**keys), self.start_response)
        try:
            for chunk in body:
                self.sent += chunk
        finally:
            if hasattr(body, "close"):
                body.close()
        return self.started[-1]


@pytest.fixture
def client():
    return RecordingClient()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/json;q=0.5, text/plain", "text/plain; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        ("/;;;=nonsense", "text/html; charset=utf-8"),
    ],
)
def test_kinds(accept, content_type, client):
    """HTML, JSON or text by Accept, each with the event id, and in the header."""
    server = Server()
    keys = {} if accept is None else {"HTTP_ACCEPT": accept}
    status, headers = server.get(RavenMiddleware(APPS["fails_in_call"], client, catchall="yes"), **keys)
    assert "500 Internal Server Error" == status
    assert content_type == headers["Content-Type"]
    assert EVENT_ID == headers["X-Event-Id"]
    assert str(len(server.sent)) == headers["Content-Length"]
    assert EVENT_ID in server.sent.decode()
    assert "the application failed" not in server.sent.decode()
    if content_type == "application/json":
        assert EVENT_ID == json.loads(server.sent)["event_id"]
    assert 1 == len(client.reports)


@pytest.mark.parametrize(
    "name",
    ["fails_in_call", "fails_after_start", "generator_fails_first", "iterator_fails_first", "fails_with_cause",
     "raises_unprintable", "fails_at_iter"],
)  # fmt: skip
def test_answers_where_nothing_was_sent(name, client):
    """Failed before the first byte: the page is the response, also where another one had been announced."""
    server = Server()
    status, _ = server.get(RavenMiddleware(APPS[name], client, catchall=True))
    assert "500 Internal Server Error" == status
    assert server.sent.startswith(b"<!doctype html>")


@pytest.mark.parametrize("name", ["generator_fails_later", "iterator_fails_later", "fails_after_write"])
def test_raises_where_the_response_has_begun(name, client):
    """Once something was sent, the application's own exception goes on, with a traceback that is clean."""
    server = Server()
    with pytest.raises(ValueError) as caught:
        server.get(RavenMiddleware(APPS[name], client, catchall=True))
    assert client.errors == [caught.value]
    assert b"doctype" not in server.sent
    assert "start_response" not in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize("name", ["fails_at_close", "generator_fails_at_close", "raises_system_exit"])
def test_raises_what_is_no_response(name, client):
    """After the body, and for what is meant to end the process, there is no page."""
    server = Server()
    with pytest.raises((ValueError, SystemExit)):
        server.get(RavenMiddleware(APPS[name], client, catchall=True))
    assert b"doctype" not in server.sent


def test_head_has_no_body(client):
    """HEAD gets the headers of the page."""
    server = Server()
    _, headers = server.get(RavenMiddleware(APPS["fails_in_call"], client, catchall=True), REQUEST_METHOD="HEAD")
    assert b"" == server.sent
    assert int(headers["Content-Length"]) > 100


def test_what_is_not_reported_is_raised(client):
    """Exceptions that are answers, or ignored, are for somebody outside: no page."""
    with pytest.raises(ValueError):
        Server().get(RavenMiddleware(APPS["fails_in_call"], client, catchall=True, ignore="ValueError"))


def test_without_an_event_id():
    """Where the report failed the page says nothing of an id."""

    class Broken:
        stream = None

        def raven(self, *args, **fields):
            return None

    server = Server()
    _, headers = server.get(RavenMiddleware(APPS["fails_in_call"], Broken(), catchall=True))
    assert "X-Event-Id" not in headers
    assert b"Event id" not in server.sent
    assert b"was recorded" not in server.sent


def test_a_layer_further_in_has_reported_it(client):
    """Whoever reported it first: its event id is on the page."""

    def app(environ, start_response):
        environ["heka_raven.event_id"] = EVENT_ID
        raise ValueError

    class ReportedAlready:
        stream = None

        def raven(self, *args, **fields):
            return None

    server = Server()
    _, headers = server.get(RavenMiddleware(app, ReportedAlready(), catchall=True))
    assert EVENT_ID == headers["X-Event-Id"]
    assert EVENT_ID.encode() in server.sent


@pytest.mark.parametrize("sent", [True, False])
def test_another_event_after_the_error_was_reported(sent, tmp_path):
    """The page has the id of its own error, if that was sent, not of what was reported between it and the page."""
    ids = []

    def before_send(event, hint):
        return event if sent or hint["exc_info"][0] is not ValueError else None

    client = build_client(
        "http://key@127.0.0.1:9/1", stream_path=str(tmp_path), stream_sender="off", before_send=before_send
    )

    def app(environ, start_response):
        try:
            raise ValueError
        except ValueError as error:
            ids.append(client.raven())
            ids.append(client.raven(exc_info=KeyError()))
            raise error

    server = Server()
    _, headers = server.get(RavenMiddleware(app, client, catchall=True))
    assert 2 == len(set(ids))
    assert ids[0 if sent else 1] == headers["X-Event-Id"]


@pytest.mark.parametrize("kind", ["generator", "iterator"])
def test_an_empty_chunk_is_no_beginning(kind, client):
    """After b"" the headers may still be replaced: the server is asked, and answers with the page."""

    def steps(environ, start_response):
        start_response("200 OK", [])
        yield b""
        raise ValueError

    app = steps if kind == "generator" else lambda *args: map(bytes, steps(*args))
    server = Server()
    status, _ = server.get(RavenMiddleware(app, client, catchall=True))
    assert "500 Internal Server Error" == status
    assert server.sent.startswith(b"<!doctype html>")
    assert 500 == client.facts.fields["status"]


def own_page(environ, start_response):
    start_response("503 Sorry", [("Content-Type", "text/plain")])
    yield b"own page, "
    yield environ["heka_raven.event_id"].encode()


def page_that_fails(environ, start_response):
    start_response("503 Sorry", [])
    yield b"half of it"
    raise RuntimeError("the page, too")


def page_that_never_starts(environ, start_response):
    return [b"x"]


def test_a_page_of_ones_own(client):
    """`error_page` is a WSGI application: its status, its headers, and the event id beside them."""
    server = Server()
    app = RavenMiddleware(APPS["fails_in_call"], client, catchall=True, error_page=f"{__name__}:own_page")
    status, headers = server.get(app)
    assert "503 Sorry" == status
    assert b"own page, " + EVENT_ID.encode() == server.sent
    assert EVENT_ID == headers["X-Event-Id"]


def page_that_exits(environ, start_response):
    raise SystemExit(1)


def page_of_text(environ, start_response):
    start_response("503 Sorry", [])
    return ["half of it"]


PAGES = [page_that_fails, page_that_never_starts, page_that_exits, page_of_text]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_fails_is_replaced(page, client, caplog):
    """If the user's page raises, or is none, the built-in one is shown, and a line is logged."""
    server = Server()
    status, _ = server.get(RavenMiddleware(APPS["fails_in_call"], client, catchall=True, error_page=page))
    assert "500 Internal Server Error" == status
    assert b"half of it" not in server.sent
    assert "the error page failed; the built-in one is shown" in caplog.messages


def test_a_page_that_the_server_refuses_is_replaced(client, caplog):
    """If the server does not take its status or its headers, likewise."""

    class Strict(Server):
        def start_response(self, status, headers, exc_info=None):
            assert type(status) is str
            return super().start_response(status, headers, exc_info)

    def page(environ, start_response):
        start_response(503, [])
        return [b"half of it"]

    server = Strict()
    status, _ = server.get(RavenMiddleware(APPS["fails_in_call"], client, catchall=True, error_page=page))
    assert "500 Internal Server Error" == status
    assert b"half of it" not in server.sent
    assert "the server does not take the error page; the built-in one is shown" in caplog.messages


def test_the_page_can_be_iterated_by_hand(client):
    """An iterator whose first step failed goes on as the page, step by step, and is closed as before."""
    log = []
    environ = make_environ(**{"fixture.log": log})
    body = RavenMiddleware(APPS["iterator_fails_first"], client, catchall=True)(environ, Server().start_response)
    chunks = []
    while True:
        try:
            chunks.append(next(body))
        except StopIteration:
            break
    assert 1 == len(chunks)


def test_uwsgi_gets_no_exc_info(client, monkeypatch):
    """uWSGI's start_response cannot take exc_info on Python 3 (a SystemError); it replaces the headers without."""
    monkeypatch.setattr("heka_raven.middleware.errorpage.in_uwsgi", lambda: True)
    taken = []
    run(
        RavenMiddleware(APPS["fails_in_call"], client, catchall=True),
        make_environ(),
        lambda *args: taken.append(len(args)),
    )
    assert [2] == taken
