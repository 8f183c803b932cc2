"""What an event knows of its request."""

import io
import json
from collections import OrderedDict, defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heka_raven.middleware import RavenMiddleware
from heka_raven.middleware.culprit import transaction
from heka_raven.middleware.request import client_address, describe
from heka_raven.middleware.tee import InputTee
from heka_raven.middleware.trace import parse_trace
from support.middleware import RecordingClient, make_environ, run


class FailingUser(Mapping):
    """A user who is looked up in a database that is down."""

    def __getitem__(self, name):
        raise ConnectionError

    def __iter__(self):
        raise ConnectionError

    def __len__(self):
        raise ConnectionError


@pytest.mark.parametrize("key", ["heka_raven.user", "repoze.who.identity"])
def test_a_user_who_cannot_be_asked(key):
    """A user's object that fails costs the user, not the rest of what is known of the request."""
    facts = describe(make_environ(**{key: FailingUser()}))
    assert facts.user is None
    assert "/there" in facts.request["url"]
    assert "GET /there" == facts.transaction


def test_a_whole_request():
    """Method, url, query, headers, cookies, address, fields: all of it, at once, so that a new one shows here."""
    environ = make_environ(
        REQUEST_METHOD="POST",
        SCRIPT_NAME="/app",
        PATH_INFO="/caf\xc3\xa9",
        QUERY_STRING="a=1&b=%20",
        HTTP_HOST="example.com:8080",
        HTTP_X_NUMBER="7",
        HTTP_COOKIE="id=42; theme=dark",
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="3",
        REMOTE_USER="ann",
    )
    before = dict(environ)
    facts = describe(environ, status="503 Service Unavailable")
    assert before == environ
    assert {
        "method": "POST",
        "url": "http://example.com:8080/app/caf%C3%A9",
        "query_string": "a=1&b=%20",
        "headers": {
            "Host": "example.com:8080",
            "X-Number": "7",
            "Cookie": "id=42; theme=dark",
            "Content-Type": "text/plain",
            "Content-Length": "3",
        },
        "cookies": {"id": "42", "theme": "dark"},
        "env": {
            "REMOTE_ADDR": "203.0.113.5",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "/app",
        },
    } == facts.request
    assert "POST /app/café" == facts.transaction
    assert {"remote_user": "ann", "ip_address": "203.0.113.5"} == facts.user
    assert {
        "request_method": "POST",
        "request_path": "/app/caf%C3%A9",
        "status": 503,
        "remote_addr": "203.0.113.5",
    } == facts.fields


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_COOKIE": "\xff=;;;=\x00", "HTTP_HOST": "\n", "PATH_INFO": "\udc80", "QUERY_STRING": None},
        {"REQUEST_METHOD": 5, "HTTP_X": object(), "wsgi.url_scheme": None, 7: "not even a name"},
        {"heka_raven.context": "no dict", "heka_raven.user": object(), "wsgiorg.routing_args": 3},
        {"heka_raven.context": {"tags": 1, "extra": [], "fingerprint": {}, "user": 0.5}, "bottle.route": None},
    ],
)
def test_nonsense_costs_only_the_facts_it_is_part_of(environ):
    """Each fact is read for itself; what cannot be read is missing."""
    facts = describe(environ)
    assert facts.transaction
    assert facts.user is None
    assert {} == facts.tags


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([
            "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_NAME", "HTTP_HOST", "HTTP_COOKIE",
            "wsgi.url_scheme", "HTTP_X_FORWARDED_FOR", "HTTP_SENTRY_TRACE", "HTTP_BAGGAGE", "HTTP_TRACEPARENT",
            "CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_USER", "repoze.who.identity", "wsgiorg.routing_args",
        ]),
        st.text(max_size=20) | st.binary(max_size=5) | st.none() | st.integers(),
    )
)  # fmt: skip
def test_no_environ_is_too_odd(environ):
    """Whatever the environ holds, a description comes of it."""
    tee = InputTee(10)
    tee.around(io.BytesIO(b"abc")).read()
    describe(environ, trusted_proxies=1, status="xyz", tee=tee)


def test_headers():
    """Headers have the names that HTTP has for them; one of an odd name, or no text, costs no other."""
    environ = make_environ(
        HTTP_X_ONE="1", HTTP_x_two="2", HTTP_X_THREE=3, CONTENT_TYPE="text/plain", CONTENT_LENGTH="5"
    )
    headers = describe(environ).request["headers"]
    expected = {"X-One": "1", "X-Two": "2", "Content-Type": "text/plain", "Content-Length": "5"}
    assert expected == {name: headers.get(name) for name in expected}
    assert "X-Three" not in headers


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "203.0.113.5"),
        (1, None, "203.0.113.5"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (3, "198.51.100.1", "198.51.100.1"),
        (1, " , ", "203.0.113.5"),
        (1, "198.51.100.1:4711", "198.51.100.1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_address_behind_proxies(proxies, forwarded, address):
    """Of X-Forwarded-For only what our own proxies wrote counts; the rest a visitor can make up."""
    environ = make_environ() if forwarded is None else make_environ(HTTP_X_FORWARDED_FOR=forwarded)
    assert address == client_address(environ, proxies)
    facts = describe(environ, trusted_proxies=proxies)
    assert address == facts.request["env"]["REMOTE_ADDR"] == facts.fields["remote_addr"]


@pytest.mark.parametrize(
    ("keys", "user"),
    [
        ({}, None),
        ({"REMOTE_USER": "ann"}, {"remote_user": "ann"}),
        ({"REMOTE_USER": "ann", "repoze.who.identity": {"repoze.who.userid": "bob"}}, {"id": "bob"}),
        ({"repoze.who.identity": {"repoze.who.userid": 7, "login": "bob"}}, {"id": "7", "username": "bob"}),
        ({"REMOTE_USER": "ann", "heka_raven.user": "eve"}, {"id": "eve"}),
        ({"heka_raven.user": {"id": 5, "email": "e@x.org"}}, {"id": 5, "email": "e@x.org"}),
        ({"heka_raven.user": "eve", "heka_raven.context": {"user": {"id": "zoe"}}}, {"id": "zoe"}),
        ({"REMOTE_USER": ""}, None),
    ],
)
def test_users(keys, user):
    """Who it was: the application's word, then repoze.who's, then REMOTE_USER."""
    environ = make_environ(**keys)
    del environ["REMOTE_ADDR"]
    assert user == describe(environ).user


@pytest.mark.parametrize("address", ["", "localhost", "unknown", "{{auto}}", "10.0.0", None])
def test_what_is_no_address_is_not_the_users(address):
    """Sentry takes IP addresses only: a Unix socket, or a proxy that hides its client, gives none."""
    facts = describe(make_environ(REMOTE_USER="ann", REMOTE_ADDR=address))
    assert {"remote_user": "ann"} == facts.user
    assert {"remote_user": "ann"} == describe(
        make_environ(REMOTE_USER="ann", HTTP_X_FORWARDED_FOR=address or "?"), trusted_proxies=1
    ).user
    assert "::1" == describe(make_environ(REMOTE_USER="ann", REMOTE_ADDR="::1")).user["ip_address"]


def test_a_context_of_another_dict_class():
    """An OrderedDict or a defaultdict is a dict as well."""
    tags = OrderedDict(shop="north")
    facts = describe(make_environ(**{"heka_raven.context": defaultdict(dict, tags=tags, user={"id": 1})}))
    assert ({"shop": "north"}, 1) == (facts.tags, facts.user["id"])


def test_context_of_the_application():
    """environ['heka_raven.context'] reaches the event: tags, extra, user, fingerprint."""
    client = RecordingClient()

    def app(environ, start_response):
        environ["heka_raven.context"] = {
            "tags": {"shop": "north"},
            "extra": {"basket": [1, 2]},
            "fingerprint": ("checkout", 7),
        }
        raise ValueError

    with pytest.raises(ValueError):
        run(RavenMiddleware(app, client), make_environ())
    assert {"shop": "north"} == client.facts.tags
    assert {"basket": [1, 2]} == client.facts.extra
    assert ["checkout", "7"] == client.facts.fingerprint


# -- trace -------------------------------------------------------------------------------------------------------------

T, S = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("keys", "trace_id", "parent"),
    [
        ({}, None, None),
        ({"HTTP_SENTRY_TRACE": f"{T}-{S}-1"}, T, S),
        ({"HTTP_SENTRY_TRACE": f" {T.upper()}-{S} "}, T, S),
        ({"HTTP_TRACEPARENT": f"00-{T}-{S}-01"}, T, S),
        ({"HTTP_TRACEPARENT": f"01-{T}-{S}-01-more"}, T, S),
        ({"HTTP_TRACEPARENT": f"ff-{T}-{S}-01"}, None, None),
        ({"HTTP_TRACEPARENT": f"00-{'0' * 32}-{S}-01"}, None, None),
        ({"HTTP_BAGGAGE": f"other=1, sentry-trace_id={T};ttl=1, sentry-release=x"}, T, None),
        ({"HTTP_BAGGAGE": "sentry-trace_id=short"}, None, None),
        ({"HTTP_SENTRY_TRACE": "nonsense", "HTTP_TRACEPARENT": f"00-{T}-{S}-00"}, T, S),
        ({"HTTP_SENTRY_TRACE": f"{T}-{S}", "HTTP_TRACEPARENT": f"00-{'1' * 32}-{S}-00"}, T, S),
        ({"HTTP_SENTRY_TRACE": 5, "HTTP_BAGGAGE": None}, None, None),
    ],
)
def test_trace(keys, trace_id, parent):
    """The event is put into the caller's trace, with a span of its own."""
    trace = parse_trace(make_environ(**keys))
    if trace_id is None:
        assert trace is None
        return
    assert trace_id == trace["trace_id"]
    assert parent == trace.get("parent_span_id")
    assert 16 == len(trace["span_id"])
    assert trace["span_id"] != S
    assert trace["trace_id"] == describe(make_environ(**keys)).trace["trace_id"]


# -- route -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({}, "GET /there"),
        ({"PATH_INFO": ""}, "GET /"),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": ""}, "GET /app"),
        ({"SCRIPT_NAME": "/app/"}, "GET /app/there"),
        ({"PATH_INFO": "/blog/42", "wsgiorg.routing_args": ((), {"id": "42", "controller": "blog"})}, "GET /blog/{id}"),
        ({"PATH_INFO": "/blog", "wsgiorg.routing_args": ((), {"controller": "blog"})}, "GET /blog"),
        ({"wsgiorg.routing_args": "nonsense"}, "GET /there"),
        ({"REQUEST_METHOD": "DELETE", "PATH_INFO": "/\xc3\xbc"}, "DELETE /ü"),
        ({"PATH_INFO": "/\xff"}, "GET /\ufffd"),
    ],
)
def test_transaction(keys, name):
    """METHOD and route; the path where there is no route."""
    assert name == transaction(make_environ(**keys))


# -- body --------------------------------------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nann\r\n'
    b'--B\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n\x89PNG\r\n--B--\r\n'
)


def read_all(source):
    return source.read()


def fail_after(read, body, content_type, limit=16384, **keys):
    client = RecordingClient()

    def app(environ, start_response):
        read(environ["wsgi.input"])
        raise ValueError

    environ = make_environ(REQUEST_METHOD="POST", CONTENT_TYPE=content_type, CONTENT_LENGTH=str(len(body)), **keys) | {
        "wsgi.input": io.BytesIO(body)
    }
    with pytest.raises(ValueError):
        run(RavenMiddleware(app, client, body=limit), environ)
    return client.facts.request.get("data"), environ["wsgi.input"].read()


@pytest.mark.parametrize(
    ("body", "content_type", "data"),
    [
        (b'{"a": [1, null]}', "application/json", {"a": [1, None]}),
        (b'{"a": 1}', "application/vnd.api+json; charset=utf-8", {"a": 1}),
        (b'"text"', "application/json", "text"),
        (b'{"a": ', "application/json", {"size": 6, "type": "application/json"}),
        (b"a=1&b=2&b=3&c=%C3%BC", FORM, {"a": "1", "b": ["2", "3"], "c": "ü"}),
        (MULTIPART, "multipart/form-data; boundary=B", {"name": "ann", "photo": {"filename": "a.png"}}),
        (b"\x89PNG", "image/png", {"size": 4, "type": "image/png"}),
        (b"abc", "", {"size": 3, "type": "unknown"}),
    ],
)
def test_body_that_was_read(body, content_type, data):
    """JSON and forms are shown by value, of files the name, of the rest a size and a type."""
    assert (data, b"") == fail_after(read_all, body, content_type)


def read_lines(source):
    source.readline()
    source.readlines()


def iterate(source):
    for _ in source:
        pass


def step(source):
    for _ in range(3):
        next(source)


def read_into(source):
    buffer = bytearray(64)
    while source.readinto(buffer):
        pass


def read_twice(source):
    source.read()
    source.seek(0)
    source.read()


@pytest.mark.parametrize(
    "read", [read_all, read_lines, iterate, step, read_into, read_twice, lambda source: source.read1(-1)]
)
def test_every_way_of_reading(read):
    """However the application reads its body, the same is remembered."""
    body = b"[1,\n2,\n3]"
    assert ([1, 2, 3], b"") == fail_after(read, body, "application/json")


def test_nothing_is_read_ahead_or_after():
    """What the application left unread is still there; a body read in part is a size and a type."""
    data, unread = fail_after(lambda source: source.read(4), b"a=1&password=x", FORM)
    assert {"size": 14, "type": FORM, "truncated": True} == data
    assert b"password=x" == unread
    assert (None, b"abc") == fail_after(lambda source: None, b"abc", "text/plain")


def test_a_body_over_the_limit():
    """Of more than the limit nothing is shown: a form that is cut may be cut within a secret."""
    body = json.dumps({"text": "x" * 100}).encode()
    data, _ = fail_after(read_all, body, "application/json", limit=50)
    assert {"size": len(body), "type": "application/json", "truncated": True} == data


@pytest.mark.parametrize(("data", "kept"), [(None, True), ("text", False), (bytearray(b"x"), False)])
def test_what_is_no_bytes_passes_the_tee(data, kept):
    """Whatever a server's input gives (None: nothing is there yet) the application gets, and it is no body."""

    class Input:
        def read(self, size=-1):
            return data

        def readlines(self):
            return iter([b"a", b"b"])

    tee = InputTee(10)
    stream = tee.around(Input())
    assert data is stream.read()
    assert (0, kept) == (tee.size, tee.whole)
    assert [b"a", b"b"] == list(stream.readlines())


def test_the_tee_is_bounded():
    """Of a large upload only as much is kept as was asked for."""
    tee = InputTee(1000)
    stream = tee.around(io.BytesIO(b"x" * 1_000_000))
    while stream.read(4096):
        pass
    assert (1_000_000, 1000, False) == (tee.size, len(tee.kept()), tee.whole)


def test_a_body_that_is_read_from_elsewhere():
    """After a seek() that is not to the start nobody can tell what was read."""
    tee = InputTee(10)
    stream = tee.around(io.BytesIO(b"abc"))
    stream.seek(1)
    stream.read()
    assert not tee.whole
    stream.seek(0)
    stream.read()
    assert (True, b"abc") == (tee.whole, tee.kept())


def test_without_the_option_the_input_is_untouched():
    """By default nobody stands between the application and its input."""
    source = io.BytesIO(b"abc")
    seen = []
    run(RavenMiddleware(lambda environ, start: seen.append(environ["wsgi.input"]) or [], RecordingClient()),
        make_environ() | {"wsgi.input": source})  # fmt: skip
    assert seen[0] is source
