"""`heka-raven test --app`: whether an error of an application would arrive, in words, and where it would get lost."""

import os

import pytest

from support.delivery import run_command
from support.paths import ROOT
from support.sentry_server import Reply, Server

DSN = "http://key@127.0.0.1:9/1"
WRAP = f"""
import os
from heka_raven.middleware import RavenMiddleware
DSN = os.environ.get("TEST_DSN", {DSN!r})
application = RavenMiddleware(app, dsn=DSN)
"""
APPS = {
    "flask": """
from flask import Flask
app = Flask(__name__)
@app.route("/")
def hello():
    return "<p>Hello, World!</p>"
""",
    "django": """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["localhost"])
django.setup()
def hello(request):
    return HttpResponse("Hello, World!")
urlpatterns = [path("", hello)]
app = get_wsgi_application()
""",
    "pyramid": """
from pyramid.config import Configurator
from pyramid.response import Response
def hello(request):
    return Response("Hello, World!")
with Configurator() as config:
    config.add_route("hello", "/")
    config.add_view(hello, route_name="hello")
    app = config.make_wsgi_app()
""",
    "falcon": """
import falcon
class Hello:
    def on_get(self, req, resp):
        hello(resp)
def hello(resp):
    resp.text = "Hello, World!"
app = falcon.App()
app.add_route("/", Hello())
""",
    "bottle": """
import bottle
app = bottle.Bottle()
@app.route("/")
def hello():
    return "Hello, World!"
""",
    "plain": """
def app(environ, start_response):
    hello(start_response)
    return [b"Hello, World!"]
def hello(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
""",
    "streaming": """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"Hello, World!"
""",
}


def try_app(tmp_path, source, *arguments, app="application", sender="off", **env):
    """Exit code, and what was said on which side."""
    (tmp_path / "shop.py").write_text(source)
    return run_command(
        "test", "--app", f"shop:{app}", *arguments, cwd=tmp_path,
        env={"HEKA_RAVEN_SPOOL": str(tmp_path / "spool"), "HEKA_RAVEN_SENDER": sender, "PYTHONPATH": str(ROOT),
             "PYTHONWARNINGS": "ignore", **env},
    )  # fmt: skip


@pytest.mark.parametrize("name", APPS)
def test_it_arrives(name, tmp_path):
    """An error in a page of the application's own is delivered: said, and true."""
    with Server() as server:
        dsn = f"http://key@127.0.0.1:{server.port}/1"
        code, out, err = try_app(tmp_path, APPS[name] + WRAP, sender="auto", TEST_DSN=dsn)
        assert 0 == code, err
        assert "shop:application: is in RavenMiddleware" in out
        assert "was delivered: an error of the application arrives" in out
        assert any(b"made on purpose" in request.body for request in server.requests)
    if name in ("flask", "django", "pyramid", "falcon", "bottle"):
        assert (f"listens to {name}" in out and "hello" in out) or name == "falcon"


def test_the_server_refuses(tmp_path):
    """A server that does not know the key: said."""
    with Server(lambda request: Reply(403)) as server:
        dsn = f"http://key@127.0.0.1:{server.port}/1"
        code, _, err = try_app(tmp_path, APPS["flask"] + WRAP, sender="auto", TEST_DSN=dsn)
    assert 1 == code and "was refused by the server" in err


LOST = {
    "no middleware": ("", "app", "no RavenMiddleware is around it"),
    "no sender": (WRAP, "application", "no sender delivers from there: run `heka-raven send`"),
    "frameworks off": (WRAP + "other = RavenMiddleware(app, dsn=DSN, frameworks='off')", "other", "leaves flask out"),
    "ignored": (WRAP + "other = RavenMiddleware(app, dsn=DSN, ignore='Exception')", "other", "no event: somebody"),
    "ignored by the client": (
        WRAP + "from heka_raven.raven_plugin import build_client\n"
        "other = RavenMiddleware(app, build_client(DSN, ignore='Exception'))", "other", "it is ignored",
    ),
    "sample rate": (WRAP + "other = RavenMiddleware(app, dsn=DSN, sample_rate=0)", "other", "sample_rate dropped"),
    "before_send": (WRAP + "other = RavenMiddleware(app, dsn=DSN, before_send=lambda *a: None)", "other", "before_"),
    "no dsn": (
        WRAP + "from heka_raven.raven_plugin import build_client\n"
        "other = RavenMiddleware(app, build_client(None))", "other", "no dsn",
    ),
    "a page of 200": (
        WRAP + "app.register_error_handler(500, lambda error: ('never mind', 200))", "application",
        "a handler of the application's own answered 200 OK, which is no error",
    ),
    "a handler": (
        WRAP + "app.register_error_handler(Exception, lambda error: ('never mind', 404))", "application",
        "a handler of the application's own answered 404 NOT FOUND, which is no error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_where_it_gets_lost(case, tmp_path):
    """No event, or nobody who delivers it: one line says where it ended; exit code 1."""
    more, app, words = LOST[case]
    code, out, err = try_app(tmp_path, APPS["flask"] + more, app=app)
    assert (1, "") == (code, out)
    assert words in err.splitlines()[-1], err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder of somebody else's")
def test_a_spool_that_cannot_be_used(tmp_path):
    """The spool's own words of why."""
    (tmp_path / "spool").mkdir(mode=0o777)
    os.chmod(tmp_path / "spool", 0o777)
    code, _, err = try_app(tmp_path, APPS["flask"] + WRAP)
    assert 1 == code
    assert "no event: the spool refused it (" in err.splitlines()[-1], err


def test_views_that_the_first_request_imports(tmp_path):
    """Django imports its views late: it is still a view that fails, not the import of its module."""
    (tmp_path / "views.py").write_text("from django.http import HttpResponse\ndef hello(request):\n"
                                       "    return HttpResponse('Hello, World!')\n")  # fmt: skip
    (tmp_path / "urls.py").write_text("from django.urls import path\nimport views\n"
                                      "urlpatterns = [path('', views.hello)]\n")  # fmt: skip
    code, _, err = try_app(tmp_path, APPS["django"].replace("ROOT_URLCONF=__name__", "ROOT_URLCONF='urls'") + WRAP)
    assert 1 == code and "GET / calls hello," in err and "waits in the spool" in err


def test_a_factory(tmp_path):
    """NAME() is called first; without the parentheses one sees what went wrong."""
    source = APPS["flask"] + WRAP + "def create_app():\n    return application\n"
    code, _, err = try_app(tmp_path, source, app="create_app()")
    assert 1 == code and "waits in the spool" in err
    code, _, err = try_app(tmp_path, source, app="create_app")
    assert 1 == code and "no RavenMiddleware is around it" in err and "because TypeError was raised" in err


def test_a_page_that_is_not_there(tmp_path):
    """A page that no code of the application's answers tells nothing: said, with what to do; one with --url does."""
    code, _, err = try_app(tmp_path, APPS["flask"] + WRAP, "--url", "/nowhere")
    assert 1 == code and "was answered 404 NOT FOUND" in err and "--url" in err
    code, _, err = try_app(tmp_path, APPS["flask"] + WRAP, "--url", "http://shop.example/?page=2")
    assert "waits in the spool" in err


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("nowhere:app", "ModuleNotFoundError: No module named 'nowhere'"),
        ("shop:nothing", "AttributeError: module 'shop' has no attribute 'nothing'"),
        ("shop:DSN", "it is no WSGI application, but a str"),
        ("", "ValueError: Empty module name"),
    ],
)
def test_no_such_application(app, words, tmp_path):
    """One line, exit code 2."""
    (tmp_path / "shop.py").write_text(APPS["plain"] + WRAP)
    code, out, err = run_command("test", "--app", app, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert (2, "") == (code, out)
    assert 1 == err.count("\n") and words in err


def test_not_with_a_dsn(tmp_path):
    """The application has its own."""
    code, _, err = run_command("test", "--app", "shop:app", DSN, cwd=tmp_path)
    assert 2 == code and "not together with a DSN" in err
