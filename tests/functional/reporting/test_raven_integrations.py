"""raven's own Flask and Django integrations deliver through heka."""

import logging
import subprocess
import sys
import textwrap

import pytest

from heka.testing import sent_messages
from heka_raven.raven_plugin import RavenClient
from support.events import last_event, router_client, sent_events
from support.spools import spooled_items

flask = pytest.importorskip("flask")


@pytest.fixture
def client():
    return router_client()


@pytest.fixture
def app(client):
    from raven.contrib.flask import Sentry

    app = flask.Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    sentry = Sentry(app, client=RavenClient(heka_client=client), logging=True, level=logging.ERROR)

    @app.route("/fail/<name>", methods=["GET", "POST"])
    def fail(name):
        raise ValueError(name)

    @app.route("/message")
    def message():
        return sentry.captureMessage("from a view")

    yield app
    root = logging.getLogger()
    for handler in [h for h in root.handlers if type(h).__module__.startswith("raven")]:
        root.removeHandler(handler)


def test_flask_exception(app, client):
    """An exception of a Flask view is reported once, with the request, its route and the response's id."""
    app.logger.disabled = True
    reply = app.test_client().post(
        "/fail/x?token=planted", data={"password": "planted", "a": "1"}, headers={"Authorization": "Bearer planted"}
    )
    assert 500 == reply.status_code
    assert 1 == len(sent_messages(client))
    event = last_event(client)
    assert reply.headers["X-Sentry-ID"] == event["event_id"]
    assert ("ValueError", "x") == tuple(event["exception"]["values"][0][name] for name in ("type", "value"))
    assert "/fail/<name>" == event["transaction"]
    assert "http://localhost/fail/x" == event["request"]["url"]
    assert {"password": "[Filtered]", "a": ["1"]} == event["request"]["data"]
    assert "planted" not in str(event)


def test_flask_message(app, client):
    """captureMessage of raven's Flask extension reports and gives the id."""
    reply = app.test_client().get("/message")
    assert reply.get_data(as_text=True) == last_event(client)["event_id"]


def test_ravens_wsgi_middleware(client):
    """raven's own WSGI middleware delivers through heka."""
    from raven.middleware import Sentry

    def app(environ, start_response):
        raise KeyError("k")

    wrapped = Sentry(app, RavenClient(heka_client=client))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "SERVER_NAME": "h", "SERVER_PORT": "80",
               "wsgi.url_scheme": "http", "QUERY_STRING": "token=hidden"}  # fmt: skip
    with pytest.raises(KeyError):
        list(wrapped(environ, lambda *args: None))
    (event,) = sent_events(client)
    assert "KeyError" == event["exception"]["values"][0]["type"]
    assert "token=[Filtered]" == event["request"]["query_string"]


DJANGO_APP = """
import sys
from django.conf import settings
settings.configure(
    SECRET_KEY="x", DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", SENTRY_CLIENT=sys.argv[1],
    RAVEN_CONFIG={"dsn": "https://public@sentry.example.com/2", "release": "r1"},
    INSTALLED_APPS=["raven.contrib.django"], MIDDLEWARE=[], LOGGING_CONFIG=None,
)
import django
django.setup()
from django.http import HttpResponse
from django.urls import path

def fail(request, name):
    raise ValueError(name)

urlpatterns = [path("fail/<str:name>/", fail)]
from django.test import Client
reply = Client(raise_request_exception=False).post("/fail/x/?token=hidden", {"password": "hidden", "a": "1"})
assert reply.status_code == 500, reply
"""


@pytest.mark.parametrize("name", ["heka_raven.raven_client.DjangoRavenClient", "heka_raven.raven_plugin.RavenClient"])
def test_django(name, tmp_path):
    """raven's Django integration delivers through heka: ``SENTRY_CLIENT`` names the client."""
    pytest.importorskip("django")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DJANGO_APP), name],
        env={"HEKA_RAVEN_SPOOL": str(tmp_path / "spool"), "HEKA_RAVEN_SENDER": "off", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 0 == done.returncode, done.stderr
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    assert ("ValueError", "x") == tuple(event["exception"]["values"][0][key] for key in ("type", "value"))
    assert "r1" == event["release"]
    assert "hidden" not in str(event)
    if "Django" in name:
        assert "http://testserver/fail/x/?token=[Filtered]" == event["request"]["url"]
        assert "POST" == event["request"]["method"]
