"""Frameworks under a real uWSGI, whose start_response is left alone: they tell their answer themselves."""

import os
import sys

import pytest

from support.framework_apps import FAILING, FINE
from support.middleware import get, server
from support.paths import ROOT
from support.ports import free_port
from support.spools import spooled
from support.uwsgi import find_uwsgi

APP = """
import os, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
from heka_raven.middleware import RavenMiddleware
from support.framework_apps import FAILING, FINE

apps = {{}}
def application(environ, start_response):
    _, name, rest = environ["PATH_INFO"].split("/", 2)
    if name not in apps:
        make = {{**FAILING, **FINE}}[name.replace("~", " /", 1).replace("~", "/")][0]
        spool = os.environ["SPOOLS"] + "/" + name
        apps[name] = RavenMiddleware(make(), dsn="http://key@127.0.0.1:9/1", stream_path=spool, stream_sender="off")
    environ["PATH_INFO"] = "/" + rest
    return apps[name](environ, start_response)
"""
# Bottle gives an exc_info with its 200, and uWSGI ends the connection: that is an error after all.
GOOD = [name for name in FINE if not name.endswith(" /") and not name.startswith("bottle_that_answers_200")]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    uwsgi = find_uwsgi()
    if uwsgi is None:
        pytest.skip("no uWSGI here")
    folder = tmp_path_factory.mktemp("uwsgi")
    (folder / "apps.py").write_text(APP.format(root=str(ROOT)))
    port = free_port()
    command = [uwsgi, "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "apps.py", "--master", "--need-app",
               "--virtualenv", sys.prefix]  # fmt: skip
    env = {**os.environ, "SPOOLS": str(folder), "PYTHONWARNINGS": "ignore"}
    with server(command, port, cwd=folder, env=env) as output:
        yield folder, port, output


@pytest.mark.parametrize("name", FAILING)
def test_one_event(name, running):
    """An error that a framework answers is one event under uWSGI as well, with its route."""
    folder, port, output = running
    _, path, transaction, text, _ = FAILING[name]
    get(port, f"/{name}/")  # not the one request in 64 that is looked at
    before = len(spooled(folder / name))
    get(port, f"/{name}{path}")
    events = spooled(folder / name)[before:]
    assert 1 == len(events), (events and [e["exception"]["values"][-1]["type"] for e in events], output()[-2000:])
    assert transaction == events[0]["transaction"]
    assert text in (events[0]["exception"]["values"][-1]["value"] or "")


@pytest.mark.parametrize("name", GOOD)
def test_no_event(name, running):
    """What is answered below 500 is none."""
    folder, port, _ = running
    key = name.replace(" /", "~", 1).replace("/", "~").replace("?", "%3F")
    for _ in range(2):
        get(port, f"/{key}{FINE[name][1]}")
    assert [] == spooled(folder / name.replace(" /", "~", 1).replace("/", "~"))
