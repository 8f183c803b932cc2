"""Real servers: the bytes on the wire are the same with and without the middleware."""

import json
import shutil
import socket
import struct
import sys
import threading

import pytest

from support.apps import APPS, HOSTILE_TO_SERVERS
from support.middleware import exchange, get, server
from support.paths import TESTS
from support.ports import free_port
from support.uwsgi import find_uwsgi
from support.waiting import wait_for

NAMES = [name for name in APPS if name not in HOSTILE_TO_SERVERS]

# Serves the fixtures, and what an application under the middleware sees of visitors who go away.
SERVED = """
import json, sys
sys.path.insert(0, {tests!r})
from support.apps import APPS, CountingClient, application as fixtures
from heka_raven.middleware import RavenMiddleware

client = CountingClient()


def page_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["QUERY_STRING"] == "call":
        raise ValueError("after start_response")
    raise ValueError("before the first byte")
    yield b""


def later_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    raise ValueError("after the first byte")


def empty_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    raise ValueError("after an empty chunk")


def written_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
    raise ValueError("after write()")


def plain(environ, start_response):
    if environ["QUERY_STRING"] == "call":
        start_response("200 OK", [("Content-Type", "text/plain")])
        raise ValueError("after start_response")
    return page_app(environ, start_response)


def gone(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(2000):
        write(b"x" * 65536)
    return []


def reads(environ, start_response):
    environ["wsgi.input"].read(1000000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"read"]


def sorry(environ, start_response):
    try:
        raise ValueError("dealt with")
    except ValueError:
        start_response("500 Sorry", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]


watched = {{
    "sorry": RavenMiddleware(sorry, client),
    "gone": RavenMiddleware(gone, client),
    "reads": RavenMiddleware(reads, client),
    "page": RavenMiddleware(plain, client, catchall=True),
    "later": RavenMiddleware(later_app, client, catchall=True),
    "empty": RavenMiddleware(empty_app, client, catchall=True),
    "written": RavenMiddleware(written_app, client, catchall=True),
}}


def application(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name in watched:
        return watched[name](environ, start_response)
    if name == "counts":
        disconnects = sum(app.disconnects for app in watched.values())
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({{"reports": client.reports, "disconnects": disconnects}}).encode()]
    return fixtures(environ, start_response)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "served_app.py"
    path.write_text(SERVED.format(tests=str(TESTS)))
    return path


WAITRESS = "import sys, waitress; sys.path.insert(0, sys.argv[1]); import served_app; " \
    "waitress.serve(served_app.application, host='127.0.0.1', port=int(sys.argv[2]), threads=4)"  # fmt: skip
WSGIREF = "import sys; sys.path.insert(0, sys.argv[1]); import served_app; " \
    "from wsgiref.simple_server import make_server; " \
    "make_server('127.0.0.1', int(sys.argv[2]), served_app.application).serve_forever()"  # fmt: skip
PASTE = "import sys; sys.path.insert(0, sys.argv[1]); import served_app; " \
    "from paste.httpserver import serve; serve(served_app.application, '127.0.0.1', sys.argv[2])"  # fmt: skip


def command(kind, served, port):
    folder = str(served.parent)
    if kind == "uwsgi":
        found = find_uwsgi()
        if found is None:
            pytest.skip("no uWSGI here")
        return [
            found, "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", str(served), "--need-app", "--master",
            "--processes", "1", "--die-on-term", "--virtualenv", sys.prefix, "--pythonpath", str(TESTS.parent),
        ]  # fmt: skip
    if kind == "gunicorn":
        pytest.importorskip("gunicorn")
        return [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", folder, "--workers", "1",
            "--no-control-socket", "served_app:application",
        ]  # fmt: skip
    code = {"waitress": WAITRESS, "wsgiref": WSGIREF, "paste": PASTE}[kind]
    return [sys.executable, "-W", "ignore", "-c", code, folder, str(port)]


full = pytest.mark.full
SERVERS = ["waitress", "uwsgi", pytest.param("wsgiref", marks=full), pytest.param("paste", marks=full),
           pytest.param("gunicorn", marks=full)]  # fmt: skip


@pytest.fixture(scope="module", params=SERVERS)
def running(request, served):
    port = free_port()
    with server(command(request.param, served, port), port):
        yield request.param, port


def test_raw_bytes(running):
    """Every fixture application gives the same bytes bare and watched: status line, headers, framing, body."""
    _, port = running
    body = "POST /{}/{} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nab\ncdef\n"
    answered = 0
    for name in NAMES:
        bare, watched = (get(port, f"/{how}/{name}") for how in ("bare", "raven"))
        assert bare == watched, name
        answered += bool(bare)
        bare, watched = (exchange(port, body.format(how, name).encode()) for how in ("bare", "raven"))
        assert bare == watched, name
    assert answered > 40


def test_raw_bytes_over_http_1_1(running):
    """The same with HTTP/1.1, where a server without a length has to choose chunks; and for HEAD."""
    _, port = running
    answered = 0
    for method in ("GET", "HEAD"):
        request = method + " /{}/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for name in NAMES:
            bare, watched = (exchange(port, request.format(how, name).encode()) for how in ("bare", "raven"))
            assert bare == watched, (method, name)
            answered += bool(bare)
    assert answered > 40


def test_error_page(running):
    """The page of catchall is the response where nothing was sent yet, whatever had been announced."""
    _, port = running
    for query in ("?call", "?iteration"):
        answer = get(port, f"/page{query}", "Accept: application/json\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b" 500 " in head.split(b"\r\n")[0], answer
        assert b"X-Event-Id: " + b"0" * 32 in head
        assert "0" * 32 == json.loads(body)["event_id"]
    for path, sent in (("/later", b"begun"), ("/written", b"written")):
        answer = get(port, path)
        assert answer.partition(b"\r\n\r\n")[2].startswith(sent)
        assert b" 200 " in answer.split(b"\r\n")[0]
        assert b"Something went wrong on our side" not in answer


def test_error_page_after_an_empty_chunk(running):
    """waitress keeps the headers back until the first byte: the page is the response. The others have sent them."""
    kind, port = running
    answer = get(port, "/empty", "Accept: text/plain\r\n")
    if kind == "waitress":
        assert b" 500 " in answer.split(b"\r\n")[0], answer
        assert answer.endswith(b"Event id: " + b"0" * 32 + b"\n")
    else:
        assert b" 200 " in answer.split(b"\r\n")[0]
        assert b"Something went wrong" not in answer


def counts(port):
    return json.loads(get(port, "/counts").partition(b"\r\n\r\n")[2])


def test_an_error_that_the_application_dealt_with(running):
    """start_response(…, exc_info) is one report, also on uWSGI, which makes a SystemError of it."""
    kind, port = running
    before = counts(port)["reports"]
    answer = get(port, "/sorry")
    assert answer.endswith(b"sorry") or kind == "uwsgi"
    assert before + 1 == counts(port)["reports"]


def hang_up(connection):
    """Close so that the other side's next write fails at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_visitors_who_go_away(running):
    """A write() to a client that has gone is counted as a disconnect, not reported."""
    _, port = running
    before = counts(port)
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(b"GET /gone HTTP/1.0\r\nHost: localhost\r\n\r\n")
    connection.recv(1000)
    hang_up(connection)
    wait_for(lambda: counts(port)["disconnects"] > before["disconnects"])
    assert before["reports"] == counts(port)["reports"]


def test_uploads_that_break_off(running):
    """An upload that ends early is no error of the application either, where the server says so at all."""
    kind, port = running
    before = counts(port)

    def break_off():
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(b"POST /reads HTTP/1.0\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\nabc")
        threading.Event().wait(0.2)  # let it begin to read: before that, the server itself drops the request
        hang_up(connection)
        return kind not in ("uwsgi", "wsgiref") or counts(port)["disconnects"] > before["disconnects"]

    wait_for(break_off)
    assert before["reports"] == counts(port)["reports"]


def test_there_is_a_uwsgi_in_ci():
    """The raw bytes are compared on uWSGI wherever it is installed beside this Python."""
    assert find_uwsgi() is not None or shutil.which("uwsgi") is None
