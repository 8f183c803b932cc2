"""The examples, served as their comments say: a page that works, and an error that ends in the spool."""

import os
import subprocess
import sys

import pytest

from support.middleware import get, server
from support.paths import ROOT
from support.ports import free_port
from support.spools import spooled
from support.uwsgi import find_uwsgi
from support.waiting import wait_for

EXAMPLES = ROOT / "examples"
PSERVE = (
    "import sys; from paste.deploy import loadapp, loadserver; uri = 'config:' + sys.argv[1]; "
    "loadserver(uri)(loadapp(uri))"
)


def copy_of(name, tmp_path, port):
    """The example's file, with another port: 8080 may be in use."""
    path = tmp_path / name
    path.write_text((EXAMPLES / name).read_text().replace("8080", str(port)))
    return str(path)


def commands(kind, tmp_path, port):
    python = [sys.executable, "-W", "ignore"]
    if kind == "waitress":
        return [*python, str(EXAMPLES / "waitress_app.py")]
    if kind == "waitress-serve":
        return [*python, "-m", "waitress", f"--listen=127.0.0.1:{port}", "wsgi_app:application"]
    if kind in ("paste.ini", "paste_heka.ini"):
        copy_of("paste_heka_client.ini", tmp_path, port)
        return [*python, "-c", PSERVE, copy_of(kind, tmp_path, port)]
    if kind == "uwsgi":
        found = find_uwsgi()
        if found is None:
            pytest.skip("no uWSGI here")
        return [found, copy_of("wsgi_uwsgi.ini", tmp_path, port), "--chdir", str(EXAMPLES), "--virtualenv", sys.prefix]
    pytest.importorskip("gunicorn")
    config = copy_of("gunicorn.conf.py", tmp_path, port)
    command = [*python, "-m", "gunicorn", "--config", config, "--no-control-socket"]
    if kind == "gunicorn-gevent":
        pytest.importorskip("gevent")
        command += ["--worker-class", "gevent"]
    return [*command, "wsgi_app:application"]


full = pytest.mark.full
KINDS = [
    "waitress",
    "uwsgi",
    "paste.ini",
    pytest.param("waitress-serve", marks=full),
    pytest.param("paste_heka.ini", marks=full),
    pytest.param("gunicorn", marks=full),
    pytest.param("gunicorn-gevent", marks=full),
]


@pytest.mark.parametrize("kind", KINDS)
def test_served(kind, tmp_path):
    """Each server of the examples answers, and an error is in the spool once, with its request."""
    port = free_port()
    spool = tmp_path / "spool"
    environment = {
        **os.environ,
        "HEKA_RAVEN_SPOOL": str(spool),
        "HEKA_RAVEN_SENDER": "off",
        "LISTEN": f"127.0.0.1:{port}",
        "PYTHONPATH": f"{EXAMPLES}:{ROOT}",
    }
    with server(commands(kind, tmp_path, port), port, cwd=EXAMPLES, env=environment):
        assert get(port, "/").endswith(b"all is well\n")
        answer = get(port, "/fail?token=hidden")
        assert b" 500 " in answer or kind == "uwsgi"  # uWSGI closes the connection
        [event] = wait_for(lambda: spooled(spool))
        assert get(port, "/").endswith(b"all is well\n")
    assert 1 == len(spooled(spool))
    assert "GET /fail" == event["transaction"]
    assert "http://localhost/fail" == event["request"]["url"]
    if kind == "paste.ini":  # catchall
        assert event["event_id"].encode() in answer


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, random, sys
sys.path.insert(0, sys.argv[1])
from support.middleware import RecordingClient, make_environ, run
from heka_raven.middleware import RavenMiddleware
from heka_raven.scope import current_environ

client = RecordingClient()
who = lambda: current_environ() and current_environ()["who"]
seen = []


def failing(environ, start_response):
    for _ in range(5):
        gevent.sleep(random.random() / 200)
        seen.append((environ["who"], who()))
    raise ValueError(environ["who"])


def streaming(environ, start_response):
    start_response("200 OK", [])
    for _ in range(5):
        gevent.sleep(random.random() / 200)
        seen.append((environ["who"], who()))
        yield b"x"
    raise ValueError(environ["who"])


def request(app, name):
    try:
        run(app, make_environ(who=name, PATH_INFO="/" + name))
    except ValueError as error:
        assert str(error) == name
    assert who() is None


apps = [RavenMiddleware(failing, client), RavenMiddleware(streaming, client)]
jobs = [gevent.spawn(request, apps[number % 2], f"g{number}") for number in range(40)]
gevent.joinall(jobs, raise_error=True)
assert len(seen) == 200 and all(a == b for a, b in seen), seen
assert len(client.reports) == 40
assert all(report.facts.transaction == "GET /" + str(report.exc_info[1]) for report in client.reports)

killed = gevent.spawn(request, RavenMiddleware(lambda e, s: gevent.sleep(10), client), "killed")
gevent.sleep(0.01)
killed.kill()
assert len(client.reports) == 40  # a greenlet that is killed is no error
print("isolated")
"""


def test_greenlets_do_not_see_each_other():
    """Under gevent each greenlet's request is its own, also while bodies are iterated in turns."""
    pytest.importorskip("gevent")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GEVENT, str(ROOT / "tests")],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "isolated\n" == ran.stdout, ran.stderr
