"""Errors that a framework keeps, beyond one app and one event: options, warnings, several clients, threads, logging."""

import io
import logging
import sys
import threading
import types

import pytest

from heka.exceptions import ConfigError
from heka_raven.logging import RavenHandler
from heka_raven.middleware import RavenMiddleware, frameworks, kept
from heka_raven.raven_plugin import build_client
from heka_raven.spool.ledger import read_snapshot
from support.framework_apps import FAILING
from support.framework_apps import apps_flask as flask_apps
from support.middleware import RecordingClient, make_environ, run
from support.spools import spooled

DSN = "http://key@127.0.0.1:9/1"


@pytest.fixture(autouse=True)
def every_warning_is_new(monkeypatch):
    monkeypatch.setattr(kept, "_told", set())
    monkeypatch.setattr(frameworks, "_told", set())
    monkeypatch.setattr(frameworks, "_first", None)  # of an earlier test, and perhaps still alive


@pytest.fixture
def client(tmp_path):
    return build_client(DSN, stream_path=str(tmp_path / "spool"), stream_sender="off")


@pytest.fixture
def events(tmp_path):
    return lambda: spooled(tmp_path / "spool")


def get(app, path="/orders/7", **keys):
    """The status and the page."""
    started = []
    keys.setdefault("wsgi.input", io.BytesIO())
    body = run(app, make_environ(PATH_INFO=path, **keys), lambda status, headers, exc_info=None: started.append(status))
    return started[-1], b"".join(body)


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("heka")]


@pytest.fixture
def quiet_flask():
    """Flask logs what it answers 500 to."""
    app = flask_apps.flask_app()
    app.logger.disabled = True
    yield app
    app.logger.disabled = False


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reported"), [("auto", 1), ("off", 0), ("flask", 1), ("django, pyramid", 0), (["Flask"], 1)]
)
def test_frameworks(given, reported, quiet_flask, client, events):
    """auto, off, or those that are named."""
    assert "500 INTERNAL SERVER ERROR" == get(RavenMiddleware(quiet_flask, client, frameworks=given))[0]
    assert reported == len(events())


@pytest.mark.parametrize("given", ["flsk", "auto, flask", "", "rails"])
def test_a_wrong_value_of_frameworks(given, client):
    """One line with what is allowed."""
    with pytest.raises(ConfigError) as caught:
        RavenMiddleware(print, client, frameworks=given)
    text = str(caught.value)
    assert text.startswith("frameworks: ") and "auto, off, or some of bottle, cherrypy, django" in text
    assert "\n" not in text


# -- nothing is silent -------------------------------------------------------------------------------------------------


def unavailable(environ, start_response):
    start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
    return [b"later"]


def unavailable_late(environ, start_response):
    start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
    yield b"later"


@pytest.mark.parametrize("app", [unavailable, unavailable_late])
def test_an_answer_that_nobody_explains_is_said_once(app, client, events, caplog):
    """A 503 without an error: one warning in the process, which says what to do; no event."""
    wrapped = RavenMiddleware(app, client)
    assert ("503 Service Unavailable", b"later") == get(wrapped) == get(wrapped)
    [text] = warnings_of(caplog)
    for part in ("GET /orders/7", "503 Service Unavailable", "client.raven()", "report_5xx = true"):
        assert part in text
    assert [] == events()


@pytest.mark.parametrize("app", [unavailable, unavailable_late])
def test_report_5xx(app, client, events, caplog):
    """Such an answer is an event, with its request."""
    get(RavenMiddleware(app, client, report_5xx="true"))
    [event] = events()
    assert "answered 503 Service Unavailable, and no error was seen" == event["logentry"]["formatted"]
    assert ("GET /orders/7", "error") == (event["transaction"], event["level"])
    assert 503 == event["contexts"]["response"]["status_code"]
    assert [] == warnings_of(caplog)


def reports_itself(client):
    def app(environ, start_response):
        try:
            raise LookupError("mine")
        except LookupError:
            client.raven()
        return unavailable(environ, start_response)

    return app


def raises_after_its_start(environ, start_response):
    unavailable(environ, start_response)
    raise LookupError("after it")


def ignored(environ, start_response):
    unavailable(environ, start_response)
    raise KeyError("ignored")


def test_an_answer_that_is_explained(client, events, caplog):
    """Where an error was reported, or is one that nobody wants, there is neither a warning nor a second event."""
    get(RavenMiddleware(reports_itself(client), client, report_5xx=True))
    assert 1 == len(events())
    for app, error in ((raises_after_its_start, LookupError), (ignored, KeyError)):
        with pytest.raises(error):
            get(RavenMiddleware(app, client, report_5xx=True, ignore="KeyError"))
    assert 2 == len(events())
    assert [] == warnings_of(caplog)


def test_a_status_that_is_no_text(client):
    """What a server makes of a status that is a number stays its own business."""

    def app(environ, start_response):
        start_response(503, [])
        return []

    seen = []
    run(RavenMiddleware(app, client), make_environ(), lambda *args: seen.append(args))
    assert [(503, [])] == seen


def test_a_framework_without_its_hook(client, events, caplog, monkeypatch, quiet_flask):
    """A version that tells nothing: one warning names it, the app runs on, and what it raises is reported."""
    from heka_raven.middleware.frameworks import flask as hooks

    old = types.ModuleType("flask")
    old.__version__ = "0.9"
    monkeypatch.setattr(hooks, "_listening", [])
    monkeypatch.setitem(sys.modules, "flask", old)
    wrapped = RavenMiddleware(unavailable, client, frameworks="flask")
    get(wrapped)
    get(wrapped)
    [text, _] = warnings_of(caplog)
    assert "flask 0.9" in text and "got_request_exception" in text
    with pytest.raises(LookupError):
        get(RavenMiddleware(raises_after_its_start, client, frameworks="flask"))
    assert 1 == len(events())


# -- one error, one event ----------------------------------------------------------------------------------------------


def test_whose_request_it_is(tmp_path, quiet_flask):
    """Two middlewares with clients of their own in one process: each gets the errors of its own requests."""
    spools = [tmp_path / "one", tmp_path / "two"]
    clients = [build_client(DSN, stream_path=str(spool), stream_sender="off") for spool in spools]
    apps = [RavenMiddleware(quiet_flask, client) for client in clients]
    get(apps[0])
    get(apps[1])
    get(apps[1])
    assert [1, 2] == [len(spooled(spool)) for spool in spools]


def test_two_middlewares_around_one_app(client, events, quiet_flask):
    """The error is one event."""
    get(RavenMiddleware(RavenMiddleware(quiet_flask, client), client, report_5xx=True))
    assert 1 == len(events())


def test_a_handler_of_the_framework_s_log(client, events):
    """Flask also logs the error: with RavenHandler that is the same event."""
    app = flask_apps.flask_app("logged")
    handler = RavenHandler(client=client)
    app.logger.addHandler(handler)
    try:
        get(RavenMiddleware(app, client))
    finally:
        app.logger.removeHandler(handler)
    [event] = events()
    assert "flask" == event["exception"]["values"][-1]["mechanism"]["type"]


def test_capture_stack_of_a_view(client, events, quiet_flask):
    """A view that is watched by capture_stack as well: one event."""
    from heka_raven.raven_plugin import capture_stack

    quiet_flask.view_functions["order"] = capture_stack(client=client)(quiet_flask.view_functions["order"])
    get(RavenMiddleware(quiet_flask, client))
    assert 1 == len(events())


def test_the_error_page_knows_the_event(client, events, quiet_flask):
    """A page of the framework's can show the id of the event that is going to be sent."""
    import flask

    quiet_flask.register_error_handler(500, lambda error: (flask.request.environ["heka_raven.event_id"], 500))
    _, page = get(RavenMiddleware(quiet_flask, client))
    [event] = events()
    assert event["event_id"].encode() == page


def test_values_are_those_of_the_failure(client, events):
    """What an error page or a teardown changes afterwards is not in the event."""
    import flask

    app, basket = flask.Flask("shop"), {"items": 3}
    app.logger.disabled = True

    @app.get("/")
    def view():
        held = basket
        raise LookupError(len(held))

    @app.errorhandler(500)
    def page(error):
        basket.clear()
        return "sorry", 500

    get(RavenMiddleware(app, client), "/")
    [event] = events()
    assert {"items": 3} == event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"]["held"]


def test_the_ledger_knows_of_each(tmp_path, client):
    """What was captured is pending or discarded, also where the app answered 200 after all."""
    for make in (flask_apps.flask_as_it_is, flask_apps.flask_that_answers_200):
        app = make()
        app.logger.disabled = True
        get(RavenMiddleware(app, client))
    counts = read_snapshot(str(tmp_path / "spool"))
    assert (2, 1) == (counts["captured"], counts["discarded.event_processor"])
    assert 1 == len(spooled(tmp_path / "spool"))


def test_an_app_that_never_starts_its_answer(client, events, quiet_flask):
    """A layer that forgets start_response: the error that was kept goes out all the same."""

    def forgets(environ, start_response):
        quiet_flask(environ, lambda *args: None)
        return []

    run(RavenMiddleware(forgets, client), make_environ(PATH_INFO="/orders/7"))
    assert 1 == len(events())


def test_two_errors_of_one_request(client, events, quiet_flask):
    """An error that is answered, and another one in close(): two events."""

    class Closing:
        def __init__(self, body):
            self.body = body

        def __iter__(self):
            return iter(self.body)

        def close(self):
            raise ValueError("at the end")

    with pytest.raises(ValueError):
        get(RavenMiddleware(lambda environ, start: Closing(quiet_flask(environ, start)), client))
    assert ["LookupError", "ValueError"] == [event["exception"]["values"][-1]["type"] for event in events()]


def test_a_client_without_a_reporter():
    """A client that has only raven() is told at once."""
    recording = RecordingClient()
    app = flask_apps.flask_app()
    app.logger.disabled = True
    get(RavenMiddleware(app, recording))
    [report] = recording.reports
    assert {"type": "flask", "handled": False} == report.fields["mechanism"]
    assert "GET /orders/<int:number>" == report.facts.transaction


# -- where no request is the current one -------------------------------------------------------------------------------


def test_django_in_another_thread(client, events):
    """A middleware of Django's that runs the view in a thread: the signal comes there, and knows its request."""
    make = FAILING["django_as_it_is"][0]
    logging.disable()
    try:
        app = make()

        def elsewhere(environ, start_response):
            answers = []
            thread = threading.Thread(target=lambda: answers.append(app(environ, start_response)))
            thread.start()
            thread.join()
            return answers[0]

        status, _ = get(RavenMiddleware(elsewhere, client, report_5xx=True), "/orders/7/")
    finally:
        logging.disable(logging.NOTSET)
    assert status.startswith("500")
    [event] = events()
    assert ("GET /orders/<int:number>/", "LookupError") == (
        event["transaction"],
        event["exception"]["values"][-1]["type"],
    )


def test_django_s_test_client(client, events):
    """Its requests pass no middleware; the process reports them all the same once it listens."""
    from django.test import Client
    from django.test.utils import override_settings

    from support.django_site import SETTINGS

    wrapped = RavenMiddleware(FAILING["django_as_it_is"][0](), client)
    logging.disable()
    try:
        get(wrapped, "/")
        with override_settings(**SETTINGS):
            assert 500 == Client(raise_request_exception=False).get("/orders/7/").status_code
    finally:
        logging.disable(logging.NOTSET)
    [event] = events()
    assert "GET /orders/<int:number>/" == event["transaction"]


def test_an_error_of_no_request_of_ours(client, events, quiet_flask):
    """Flask used outside any middleware of ours, in a request that somebody else describes: nothing is guessed."""
    get(RavenMiddleware(quiet_flask, client), "/")
    get(quiet_flask)
    assert [] == events()
