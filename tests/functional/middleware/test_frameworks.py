"""Real frameworks, as examples/ sets them up: error, route and request, through the real plugin into a spool."""

import io
import json
import logging

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client
from support.middleware import load_example, make_environ, run
from support.spools import spooled

DSN = "http://key@127.0.0.1:9/1"


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def _django_site():
    """Other tests of this process may have configured Django for a site of their own."""
    from django.conf import settings
    from django.test.utils import override_settings

    if not settings.configured:
        load_example("django_app")
    with override_settings(ROOT_URLCONF="django_app", MIDDLEWARE=[], ALLOWED_HOSTS=["*"]):
        yield


def request(app, path, **keys):
    """One request; what the server would get."""
    started = []

    def start_response(status, headers, exc_info=None):
        started[:] = [status, dict(headers)]
        return lambda data: None

    environ = make_environ(
        PATH_INFO=path,
        QUERY_STRING="token=hidden",
        HTTP_HOST="shop.example",
        HTTP_COOKIE="session=hidden",
        **{"wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), **keys},
    )
    body = b"".join(run(app, environ, start_response))
    return [*started, body, environ]


FRAMEWORKS = {
    "flask": "GET /orders/<int:number>",
    "django": "GET /orders/<int:number>/",
    "pyramid": "GET /orders/{number}",
    "bottle": "GET /orders/<number:int>",
    "falcon": "GET /orders/{number:int}",
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_route_of_a_real_application(name, spool):
    """One event, named by its route, with the error and the request; nothing for a request that succeeds."""
    example = load_example(f"{name}_app")
    client = build_client(DSN, stream_path=str(spool))
    app = example.make_application(client=client)
    status, _, body, _ = request(app, "/")
    assert ("200 OK", b"all is well\n") == (status, body)
    assert [] == spooled(spool)

    if name == "pyramid":
        with pytest.raises(LookupError):
            request(app, "/orders/7")
    else:
        logging.disable()  # Django and Flask log what they answer 500 to
        try:
            status, _, _, _ = request(app, "/orders/7/" if name == "django" else "/orders/7")
        finally:
            logging.disable(logging.NOTSET)
        assert status.startswith("500")

    [event] = spooled(spool)
    assert FRAMEWORKS[name] == event["transaction"]
    error = event["exception"]["values"][-1]
    assert ("LookupError", "there is no order 7") == (error["type"], error["value"])
    assert "order" in error["stacktrace"]["frames"][-1]["function"] or name == "falcon"
    assert error["stacktrace"]["frames"][-1]["vars"]["number"] in (7, "7")
    assert "http://shop.example/orders/7" == event["request"]["url"].rstrip("/")
    assert "hidden" not in str(event["request"])
    assert "203.0.113.5" == event["request"]["env"]["REMOTE_ADDR"]


def test_pyramid_answers_are_no_errors(spool):
    """An HTTPNotFound that a Pyramid view raises is an answer."""
    app = load_example("pyramid_app").make_application(client=build_client(DSN, stream_path=str(spool)))
    status, _, _, _ = request(app, "/orders/-1")
    assert "404 Not Found" == status
    assert [] == spooled(spool)


@pytest.mark.parametrize(
    ("module", "make", "reported"),
    [
        ("werkzeug.exceptions", lambda module: module.NotFound(), False),
        ("werkzeug.exceptions", lambda module: module.ServiceUnavailable(), True),
        ("werkzeug.exceptions", lambda module: module.HTTPException(), True),
        ("werkzeug.routing", lambda module: module.RequestRedirect("/x"), False),
        ("bottle", lambda module: module.HTTPError(404, "no"), False),
        ("bottle", lambda module: module.HTTPResponse("moved", 303), False),
        ("bottle", lambda module: module.HTTPError(500, "yes"), True),
        ("falcon", lambda module: module.HTTPNotFound(), False),
        ("falcon", lambda module: module.HTTPStatus(200), False),
        ("falcon", lambda module: module.HTTPServiceUnavailable(), True),
        ("paste.httpexceptions", lambda module: module.HTTPNotFound("no"), False),
        ("paste.httpexceptions", lambda module: module.HTTPServerError("yes"), True),
        ("pyramid.httpexceptions", lambda module: module.HTTPSeeOther("/x"), False),
        ("pyramid.httpexceptions", lambda module: module.HTTPBadGateway(), True),
    ],
)
def test_exceptions_that_are_answers(module, make, reported, spool):
    """Each framework's HTTP exceptions are answers under 500 and errors from there on."""
    error = make(pytest.importorskip(module))

    def app(environ, start_response):
        raise error

    with pytest.raises(type(error)):
        request(RavenMiddleware(app, build_client(DSN, stream_path=str(spool))), "/")
    assert int(reported) == len(spooled(spool))


def test_django_lets_exceptions_through(spool):
    """DEBUG_PROPAGATE_EXCEPTIONS: the middleware sees the exception itself; with the signal too it is one event."""
    from django.test.utils import override_settings

    app = load_example("django_app").make_application(client=build_client(DSN, stream_path=str(spool)))
    with override_settings(DEBUG_PROPAGATE_EXCEPTIONS=True), pytest.raises(LookupError):
        request(app, "/orders/7/")
    assert ["GET /orders/<int:number>/"] == [event["transaction"] for event in spooled(spool)]


def test_falcon_answers_are_no_errors(spool):
    """A falcon.HTTPNotFound is answered by Falcon."""
    import falcon

    app = load_example("falcon_app").make_application(client=build_client(DSN, stream_path=str(spool)))
    assert falcon.HTTP_404 == request(app, "/nowhere")[0]
    assert [] == spooled(spool)


def test_routes(spool):
    """Routes (wsgiorg.routing_args): the pattern of the route that its middleware matched."""
    routes = pytest.importorskip("routes")
    from routes.middleware import RoutesMiddleware

    def app(environ, start_response):
        raise LookupError(environ["wsgiorg.routing_args"][1]["number"])

    mapper = routes.Mapper()
    mapper.connect("/orders/{number}", controller="orders")
    with pytest.raises(LookupError):
        client = build_client(DSN, stream_path=str(spool))
        request(RavenMiddleware(RoutesMiddleware(app, mapper), client), "/orders/7")
    assert ["GET /orders/{number}"] == [event["transaction"] for event in spooled(spool)]


def test_repoze_who(spool):
    """The user that repoze.who found."""
    pytest.importorskip("repoze.who")
    from repoze.who.middleware import PluggableAuthenticationMiddleware
    from repoze.who.plugins.auth_tkt import AuthTktCookiePlugin

    def app(environ, start_response):
        raise LookupError

    class Ann:
        """Identifies and authenticates everybody as ann."""

        def identify(self, environ):
            return {"login": "ann"}

        def authenticate(self, environ, identity):
            return "ann-1"

        remember = forget = lambda self, environ, identity: None

    def classify(environ):
        return "browser"

    guarded = PluggableAuthenticationMiddleware(
        app, [("ann", Ann())], [("ann", Ann())], [], [], classify, lambda *args: False
    )
    assert AuthTktCookiePlugin is not None
    with pytest.raises(LookupError):
        request(RavenMiddleware(guarded, build_client(DSN, stream_path=str(spool))), "/")
    [event] = spooled(spool)
    assert ("ann-1", "203.0.113.5") == (event["user"]["id"], event["user"]["ip_address"])


def test_one_event_however_many_layers(spool):
    """capture_stack, client.raven(), two middlewares and exc_info of one exception: one event."""
    from heka_raven.raven_plugin import capture_stack

    client = build_client(DSN, stream_path=str(spool))

    @capture_stack(client=client)
    def view(environ, start_response):
        raise LookupError("once")

    def app(environ, start_response):
        try:
            return view(environ, start_response)
        except LookupError:
            client.raven("seen")
            raise

    with pytest.raises(LookupError):
        request(RavenMiddleware(RavenMiddleware(app, client), client), "/")
    assert 1 == len(spooled(spool))


def test_the_page_has_the_id_that_another_layer_made(spool):
    """capture_stack reports first; the visitor gets the id of that event."""
    from heka_raven.raven_plugin import capture_stack

    client = build_client(DSN, stream_path=str(spool))

    @capture_stack(client=client)
    def app(environ, start_response):
        raise LookupError

    _, headers, body, _ = request(RavenMiddleware(app, client, catchall=True), "/")
    [event] = spooled(spool)
    assert event["event_id"] == headers["X-Event-Id"]
    assert event["event_id"].encode() in body


class Wire(io.RawIOBase):
    """A connection: gives a few bytes at a time, and would wait for ever if it were read beyond the body."""

    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def readinto(self, buffer):
        assert self.data, "read beyond the body"
        count = min(len(buffer), len(self.data), 5)
        buffer[:count], self.data = self.data[:count], self.data[count:]
        return count


def flask_reader():
    import flask

    app = flask.Flask("reader")
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.post("/")
    def read():
        raise LookupError(flask.request.form.to_dict() or flask.request.get_json())

    return app.wsgi_app


def bottle_reader():
    import bottle

    app = bottle.Bottle()
    app.config["catchall"] = False

    @app.post("/")
    def read():
        raise LookupError(bottle.request.json or dict(bottle.request.forms))

    return app


def falcon_reader():
    import falcon

    class Reader:
        def on_post(self, req, resp):
            raise LookupError(req.get_media())

    def let_through(req, resp, error, params):
        raise error

    app = falcon.App()
    app.add_route("/", Reader())
    app.add_error_handler(Exception, let_through)
    return app


def webob_reader():
    from webob import Request

    def read(environ, start_response):
        asked = Request(environ)
        raise LookupError(asked.json_body if "json" in asked.content_type else dict(asked.POST))

    return read


BODIES = {
    "application/json": (b'{"name": "ann", "pet": "cat"}', {"name": "ann", "pet": "cat"}),
    "application/x-www-form-urlencoded": (b"name=ann&pet=cat", {"name": "ann", "pet": "cat"}),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("reader", [flask_reader, bottle_reader, falcon_reader, webob_reader])
def test_a_body_that_a_framework_reads(reader, kind, spool):
    """Flask, Bottle, Falcon and WebOb read the same through the tee, not a byte more, and the event has it."""
    body, data = BODIES[kind]
    app = reader()
    errors = []
    for wrapped in (app, RavenMiddleware(app, build_client(DSN, stream_path=str(spool)), body=16384)):
        with pytest.raises(LookupError) as caught:
            request(
                wrapped, "/", REQUEST_METHOD="POST", CONTENT_TYPE=kind, CONTENT_LENGTH=str(len(body)),
                **{"wsgi.input": io.BufferedReader(Wire(body))},
            )  # fmt: skip
        errors.append(str(caught.value))
    assert errors[0] == errors[1] == str(data)
    [event] = spooled(spool)
    assert data == event["request"]["data"]


def test_a_disconnect_in_the_ledger(spool):
    """Counted where everything else is: captured, and discarded as client_disconnect."""
    from webob.request import DisconnectionError

    from heka_raven.spool.ledger import read_snapshot

    def app(environ, start_response):
        raise DisconnectionError

    client = build_client(DSN, stream_path=str(spool))
    with pytest.raises(DisconnectionError):
        request(RavenMiddleware(app, client), "/")
    counts = read_snapshot(str(spool))
    assert (1, 1) == (counts["captured"], counts["discarded.client_disconnect"])
    assert [] == spooled(spool)


def test_a_body_is_scrubbed(spool):
    """What the application read of a form or of JSON is in the event, without its secrets."""
    client = build_client(DSN, stream_path=str(spool))

    def app(environ, start_response):
        environ["wsgi.input"].read()
        raise LookupError

    for kind, body in (
        ("application/json", b'{"name": "ann", "password": "hidden", "cards": [{"token": "hidden"}]}'),
        ("application/x-www-form-urlencoded", b"name=ann&password=hidden&api_key=hidden"),
    ):
        with pytest.raises(LookupError):
            request(
                RavenMiddleware(app, client, body=1000), "/", REQUEST_METHOD="POST", CONTENT_TYPE=kind,
                CONTENT_LENGTH=str(len(body)), **{"wsgi.input": io.BytesIO(body)},
            )  # fmt: skip
        event = spooled(spool)[-1]
        assert "ann" == event["request"]["data"]["name"]
        assert "[Filtered]" == event["request"]["data"]["password"]
        assert "hidden" not in json.dumps(event["request"])


def test_the_trace_of_the_caller(spool):
    """The event belongs to the trace that the request's headers name."""

    def app(environ, start_response):
        raise LookupError

    trace = "0af7651916cd43dd8448eb211c80319c"
    with pytest.raises(LookupError):
        request(
            RavenMiddleware(app, build_client(DSN, stream_path=str(spool))),
            "/",
            HTTP_SENTRY_TRACE=f"{trace}-b7ad6b7169203331-1",
        )
    [event] = spooled(spool)
    assert (trace, "b7ad6b7169203331") == (
        event["contexts"]["trace"]["trace_id"],
        event["contexts"]["trace"]["parent_span_id"],
    )


def test_fields_of_the_heka_message():
    """A router can match on the request: method, path, status, address, culprit and event id are message fields."""
    from heka.config import client_from_dict_config
    from heka.testing import decode_message

    client = client_from_dict_config(
        {
            "logger": "shop",
            "stream_class": "heka.streams.DebugCaptureStream",
            "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": DSN})},
        }
    )

    def app(environ, start_response):
        raise LookupError

    environ = make_environ(REQUEST_METHOD="PUT", SCRIPT_NAME="/shop", REMOTE_ADDR="198.51.100.7")
    with pytest.raises(LookupError):
        run(RavenMiddleware(app, client), environ)
    [record] = client.stream.msgs
    _, message = decode_message(record)
    fields = {field.name: field for field in message.fields}
    assert "sentry" == message.type
    for name, value in (
        ("request_method", "PUT"),
        ("request_path", "/shop/there"),
        ("remote_addr", "198.51.100.7"),
        ("culprit", "PUT /shop/there"),
        ("event_id", environ["heka_raven.event_id"]),
    ):
        assert [value] == list(fields[name].value_string), name
    assert [500] == list(fields["status"].value_integer)
