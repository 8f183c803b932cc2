"""The five lines of the README for each framework, as they stand: an error of the application arrives."""

import re
import subprocess
import sys
import textwrap

import pytest

from support.examples import environment
from support.paths import ROOT
from support.spools import spooled

README = ROOT / "README.rst"
START = ROOT / "docs" / "start.rst"
TAB = re.compile(r"\.\. container:: tab\n\n   \*\*(.+?)\*\*.*?\n\n   \.\. code-block:: python\n\n((?:      .*\n|\n)+)")

# What the five lines leave to the reader: (a module beside them, what comes after them).
APPS = {
    "Flask": ("", "@app.route('/orders/<number>')\ndef order(number):\n    raise LookupError(number)\n"),
    "Pyramid": (
        "def order(request):\n    raise LookupError(request.matchdict['number'])\n"
        "def includeme(config):\n    config.add_route('order', '/orders/{number}')\n"
        "    config.add_view(order, route_name='order')\n",
        "",
    ),
    "Falcon": (
        "",
        "class Order:\n    def on_get(self, req, resp, number):\n        raise LookupError(number)\n"
        "app.add_route('/orders/{number}', Order())\n",
    ),
    "Bottle": ("", "@app.route('/orders/<number>')\ndef order(number):\n    raise LookupError(number)\n"),
    "CherryPy": (
        "import cherrypy\ncherrypy.config.update({'log.screen': False})\nclass Shop:\n    @cherrypy.expose\n"
        "    def orders(self, number):\n        raise LookupError(number)\n",
        "",
    ),
    "web.py": ("", "class Order:\n    def GET(self, number):\n        raise LookupError(number)\n"),
    "Any other": ("def app(environ, start_response):\n    raise LookupError('7')\n", ""),
}
MODULES = {"Pyramid": "shop/routes.py", "CherryPy": "shop/pages.py", "Any other": "shop/__init__.py"}
ROUTES = {
    "Flask": "GET /orders/<number>", "Django": "GET /orders/<int:number>/", "Pyramid": "GET /orders/{number}",
    "Falcon": "GET /orders/{number}", "Bottle": "GET /orders/<number>",
}  # fmt: skip
REQUEST = """
import sys
from importlib import import_module
from wsgiref.util import setup_testing_defaults
found = import_module(sys.argv[1])
application = getattr(found, "application", None) or found.app
environ = {"PATH_INFO": sys.argv[2], "HTTP_HOST": "localhost"}
setup_testing_defaults(environ)
try:
    list(application(environ, lambda status, headers, exc_info=None: print(status)))
except LookupError:
    print("raised")
"""


def tabs():
    return {name: textwrap.dedent(code).strip("\n") + "\n" for name, code in TAB.findall(README.read_text())}


def answer(tmp_path, module, path):
    """What a request is answered, and the events it leaves."""
    env = environment(tmp_path / "spool", HEKA_RAVEN_SENDER="off")
    done = subprocess.run(
        [sys.executable, "-c", REQUEST, module, path], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip(), done.stderr
    return done.stdout.strip(), spooled(tmp_path / "spool")


def test_there_is_one_for_each_framework():
    """Flask and Django come first; each is five lines; and the five-minute start shows the same."""
    found = tabs()
    assert ["Flask", "Django"] == list(found)[:2]
    assert {*APPS, "Django"} == set(found)
    for name, code in found.items():
        assert 3 <= len([line for line in code.splitlines() if line]) <= 5, name
    start = START.read_text()
    assert ".. include:: ../README.rst\n   :start-after: from here\n   :end-before: .. up to here\n" in start


@pytest.mark.parametrize("name", APPS)
def test_as_they_stand(name, tmp_path):
    """Pasted into a file: the first error of the application is an event, with its route."""
    module, after = APPS[name]
    if module:
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "__init__.py").touch()
        (tmp_path / MODULES[name]).write_text(module)
    (tmp_path / "program.py").write_text(tabs()[name] + "\n" + after)
    said, events = answer(tmp_path, "program", "/orders/7")
    assert said.startswith("500") or said == "raised"
    [event] = events
    assert ROUTES.get(name, "GET /orders/7") == event["transaction"]
    error = event["exception"]["values"][-1]
    assert ("LookupError", False) == (error["type"], error["mechanism"]["handled"])


def test_django_as_it_stands(tmp_path):
    """In the wsgi.py of a project that `django-admin startproject` made, with its settings as they are."""
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "mysite", "."], cwd=tmp_path, check=True, timeout=60
    )
    (tmp_path / "mysite" / "wsgi.py").write_text(tabs()["Django"])
    (tmp_path / "mysite" / "urls.py").write_text(
        "from django.urls import path\ndef order(request, number):\n    raise LookupError(number)\n"
        "urlpatterns = [path('orders/<int:number>/', order)]\n"
    )
    said, [event] = answer(tmp_path, "mysite.wsgi", "/orders/7/")
    assert "500 Internal Server Error" == said
    assert ROUTES["Django"] == event["transaction"]
    assert "django" == event["exception"]["values"][-1]["mechanism"]["type"]
    assert "404 Not Found" == answer(tmp_path, "mysite.wsgi", "/nowhere/")[0]
    assert 1 == len(spooled(tmp_path / "spool"))
