"""RavenMiddleware as a WSGI application: reports once, re-raises, and takes its options."""

import gc
import io
import logging
import sys
import traceback
import types
import weakref

import pytest

from heka.client import HekaClient
from heka.config import client_from_dict_config
from heka.exceptions import ConfigError
from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client
from heka_raven.scope import current_environ, describe_current
from support.apps import APPS
from support.middleware import fail, make_environ, run

# These fail where a server that is not asked for it does not look, or with another request than it was.
ELSEWHERE = {
    "fails_at_len", "fails_at_bool", "fails_at_every_attribute", "fails_after_write_and_says_so",
    "fails_without_environ",
    "list_fails_at_every_attribute",
}  # fmt: skip


@pytest.mark.parametrize("where", [name for name in APPS if "fails" in name and name not in ELSEWHERE])
def test_reports_once_and_reraises(where, client):
    """Wherever the application fails, the error is reported once, unchanged, with its request."""
    mine = ValueError("mine")
    environ = make_environ(**{"fixture.error": mine})
    error = fail(APPS[where], client, environ=environ)
    assert [mine] == client.errors
    assert error is mine
    assert "GET /there" == client.facts.transaction
    assert {"type": "wsgi", "handled": False} == client.reports[0].fields["mechanism"]
    assert environ["heka_raven.event_id"] == client.reports[0].event_id
    assert current_environ() is None


def test_an_error_that_the_application_dealt_with(client):
    """start_response(…, exc_info) of an application that caught its own error is reported, as handled."""
    environ = make_environ()
    assert [b"sorry"] == run(RavenMiddleware(APPS["starts_twice_before_sending"], client), environ)
    assert ["the application failed"] == [str(error) for error in client.errors]
    assert {"type": "wsgi", "handled": True} == client.reports[0].fields["mechanism"]
    assert 500 == client.facts.fields["status"]


def test_the_server_refuses_what_the_application_says_of_its_error(client):
    """start_response(…, exc_info) after the first byte: not dealt with, and the status is the one that was sent."""
    environ = make_environ()

    def start_response(status, headers, exc_info=None):
        if exc_info:
            raise exc_info[1]
        return lambda data: None

    with pytest.raises(ValueError):
        RavenMiddleware(APPS["fails_after_write_and_says_so"], client)(environ, start_response)
    first = client.reports[0]  # the plugin sends only the first of an exception
    assert {"type": "wsgi", "handled": False} == first.fields["mechanism"]
    assert 200 == first.facts.fields["status"]


def test_environ_that_was_emptied(client):
    """An application that clears its environ costs the event its request and nothing else."""
    environ = make_environ()
    with pytest.raises(ValueError):
        run(RavenMiddleware(APPS["fails_without_environ"], client), environ)
    assert 1 == len(client.reports)
    assert {"heka_raven.event_id"} == set(environ)


@pytest.mark.parametrize(
    ("name", "status"),
    [("fails_in_call", 500), ("fails_after_start", 500), ("generator_fails_first", 500), ("fails_at_iter", 500),
     ("generator_fails_later", 200), ("iterator_fails_later", 200), ("fails_at_close", 200)],
)  # fmt: skip
def test_status_that_the_visitor_got(name, status, client):
    """500 where nothing was sent; the one that was sent where a part was."""
    fail(APPS[name], client)
    assert status == client.facts.fields["status"]


@pytest.mark.parametrize("exc_info", [(None, None, None), "nonsense", (1, 2), True])
def test_exc_info_that_is_none(exc_info, client):
    """What is no exc_info is handed on to the server and not reported."""

    def app(environ, start_response):
        start_response("200 OK", [], exc_info)
        return []

    taken = []
    run(RavenMiddleware(app, client), make_environ(), lambda *args: taken.append(args))
    assert [("200 OK", [], exc_info)] == taken
    assert [] == client.reports


def test_traceback_is_the_applications(client):
    """The reported traceback begins in the application; what goes on to the server has one or two frames of ours."""
    for name in ("fails_in_call", "generator_fails_later", "iterator_fails_later", "fails_at_close", "fails_at_iter"):
        error = fail(APPS[name], client)
        reported = traceback.extract_tb(client.reports[-1].exc_info[2])
        assert "tests/support/apps_" in reported[0].filename
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        assert sum("/middleware/" in file and "/tests/" not in file for file in files) in (1, 2), name
        assert error.__context__ is None


@pytest.mark.parametrize("body", [0, 100])
def test_no_frame_of_ours_is_in_an_event(body, tmp_path):
    """The stack of an event begins in the application, also with the body's tee between it and the middleware."""
    events = []
    client = build_client(
        "http://key@127.0.0.1:9/1",
        stream_path=str(tmp_path),
        stream_sender="off",
        before_send=lambda *seen: events.append(seen[0]),
    )
    with pytest.raises(ValueError):
        RavenMiddleware(APPS["fails_in_call"], client, body=body)(make_environ(**{"wsgi.input": io.BytesIO()}), print)
    frames = events[0]["exception"]["values"][0]["stacktrace"]["frames"]
    assert ["support.apps_failing"] * len(frames) == [frame["module"] for frame in frames]


def test_no_reference_cycle(client):
    """A failed request is freed at once, without the garbage collector."""

    class Marker:
        pass

    gc.collect()
    gc.disable()
    try:
        for name in ("fails_in_call", "generator_fails_later", "iterator_fails_later", "fails_at_close"):
            environ = make_environ(marker=Marker())
            alive = weakref.ref(environ["marker"])
            try:
                run(RavenMiddleware(APPS[name], RecordingClientThatForgets()), environ)
            except ValueError:
                pass
            del environ
            assert alive() is None, name
    finally:
        gc.enable()


class RecordingClientThatForgets:
    stream = None

    def raven(self, msg="", exc_info=True, **fields):
        describe_current()
        return "0" * 32


def test_a_client_that_fails_is_not_seen(client, caplog):
    """Whatever the client raises, the application's own exception is what the server gets; one warning is logged."""

    class Broken:
        stream = None

        def raven(self, *args, **fields):
            raise KeyboardInterrupt

    caplog.set_level(logging.WARNING)
    for _ in range(2):
        assert "the application failed" == str(fail(APPS["fails_in_call"], Broken()))
    assert ["could not report ValueError"] == [record.getMessage() for record in caplog.records]


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"catchall": "perhaps"}, "catchall: 'perhaps' is not allowed"),
        ({"body": "-1"}, "body: '-1' is not allowed: a number of bytes from 0 to 1048576"),
        ({"body": "lots"}, "body: 'lots'"),
        ({"trusted_proxies": 99}, "trusted_proxies: 99"),
        ({"error_page": "no.such.module:page"}, "error_page: 'no.such.module:page' cannot be imported"),
        ({"error_page": "wsgiref.simple_server:demo_app"}, "error_page: is never shown without catchall"),
        ({"ignore": 5}, "ignore: 5"),
        ({"colour": "red"}, "unknown option colour; known are body, trusted_proxies"),
        ({"release": "1"}, "release: to be set where the client is made"),
        ({"dsn": "https://key@host/1"}, "both a client and a dsn"),
    ],
)
def test_a_wrong_option_is_named(options, says, client):
    """A ConfigError that says which option, which value, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        RavenMiddleware(APPS["a_list"], client, **options)
    assert says in str(caught.value)


def test_without_client_and_dsn():
    """Neither a client nor a dsn, or a client without the plugin: said when the application is made."""
    with pytest.raises(ConfigError, match="neither a client nor a dsn"):
        RavenMiddleware(APPS["a_list"])
    plain = client_from_dict_config({"logger": "x", "stream_class": "heka.streams.DebugCaptureStream"})
    assert isinstance(plain, HekaClient)
    with pytest.raises(ConfigError, match="has no raven plugin"):
        RavenMiddleware(APPS["a_list"], plain)
    with pytest.raises(ConfigError, match="a text is no client") as caught:
        RavenMiddleware(APPS["a_list"], "https://key@host/1")
    assert "key" not in str(caught.value)


def test_a_folder_called_uwsgi_is_not_uwsgi(monkeypatch, client):
    """A folder uwsgi/ on the path imports as an empty package: an OSError of the application stays an error."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.ModuleType("uwsgi"))
    error = OSError("write error")

    def app(environ, start_response):
        raise error

    with pytest.raises(OSError):
        RavenMiddleware(app, client)({}, lambda *args: None)
    assert [error] == client.errors
