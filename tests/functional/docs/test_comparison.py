"""What the README's table says of sentry-sdk, beside the same program with heka-raven."""

import http.client
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.examples import environment, python, running
from support.paths import ROOT
from support.ports import free_port
from support.receiver import Receiver
from support.waiting import wait_for

PROGRAM = """
import os, sys
which, dsn = sys.argv[1:3]

class Basket:
    def __repr__(self):
        print("repr called", flush=True)
        return "a basket"

def fail(number):
    basket = Basket()
    raise ValueError(number)

if which == "ours":
    from heka_raven.raven_plugin import build_client
    report = build_client(dsn).raven
else:
    import sentry_sdk
    sentry_sdk.init(dsn)
    report = sentry_sdk.capture_exception
for number in range(20):
    try:
        fail(number)
    except ValueError:
        report()
os._exit(1)
"""


def run(which, receiver, tmp_path):
    receiver.delay_s = 2  # a server far away, or busy
    done = subprocess.run(
        python("-c", PROGRAM, which, receiver.dsn),
        env=environment(tmp_path / "spool"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 1 == done.returncode, done.stderr
    return done.stdout


def test_a_process_that_ends_at_once(receiver, tmp_path):
    """After os._exit what sentry-sdk had queued is lost; what was captured here is on disk, for the next sender."""
    pytest.importorskip("sentry_sdk")
    run("sentry", receiver, tmp_path)
    # The connection that was open when the process ended may still be read by the server, so 1 or 2 may count.
    assert len(receiver.requests) < 5
    other = Receiver()
    try:
        run("ours", other, tmp_path)
        other.delay_s = 0
        send = python("-m", "heka_raven.cli.main", "send", "--once")
        assert 0 == subprocess.run(send, env=environment(tmp_path / "spool"), timeout=60).returncode
        assert {str(number) for number in range(20)} == {e["exception"]["values"][-1]["value"] for e in other.events}
    finally:
        other.close()


def test_reprs_are_called_by_one_of_them(receiver, tmp_path):
    """sentry-sdk calls __repr__ of the application's objects while a request waits; heka-raven does not."""
    pytest.importorskip("sentry_sdk")
    assert "repr called" in run("sentry", receiver, tmp_path)
    assert "" == run("ours", receiver, tmp_path)


DOWN = """
import gzip, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import sentry_sdk
port = int(sys.argv[1])
sentry_sdk.init(f"http://key@127.0.0.1:{port}/1")
try:
    1 / 0
except ZeroDivisionError:
    sentry_sdk.capture_exception()
sentry_sdk.flush(5)
taken = []

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        if b"ZeroDivisionError" in body:  # not only the client report that tells of the loss
            taken.append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", port), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
sentry_sdk.flush(2)
print(len(taken))
"""


@pytest.mark.full
def test_a_server_that_is_down(tmp_path):
    """sentry-sdk gives up what it cannot send at once; that ours waits: tests/functional/sender/test_faults.py."""
    pytest.importorskip("sentry_sdk")
    port = free_port()
    done = subprocess.run(
        python("-c", DOWN, str(port)), env=environment(tmp_path / "spool"), capture_output=True, text=True, timeout=60
    )
    assert "0\n" == done.stdout, done.stderr


FAILING = """
import os
import sentry_sdk
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
sentry_sdk.init(os.environ["DSN"])

def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("for the test")
    start_response("200 OK", [])
    return [b"all is well"]

application = SentryWsgiMiddleware(app)
"""
DEBIAN = shutil.which("uwsgi-core")


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


@pytest.mark.full
@pytest.mark.skipif(DEBIAN is None, reason="no uwsgi-core: ./run test full installs it")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="this Python is not that of Debian's uWSGI")
def test_a_worker_without_threads(receiver, tmp_path):
    """Where uWSGI has Python threads off, sentry-sdk's thread stands still between requests: most events stay behind.

    That ours are delivered there: tests/functional/uwsgi_plugin/test_entry_points.py.
    """
    sdk = pytest.importorskip("sentry_sdk")
    (tmp_path / "app.py").write_text(FAILING)
    port = free_port()
    env = environment(tmp_path / "spool", DSN=receiver.dsn, PYTHONPATH=str(Path(sdk.__file__).parents[1]))
    command = [DEBIAN, "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "app.py"]
    receiver.delay_s = 0.3
    with running([*command, "--master", "--need-app"], tmp_path, env) as process:
        wait_for(lambda: get(port, "/") == 200, process.log, process=process)
        for _ in range(20):
            get(port, "/fail")
        before = len(receiver.requests)
        time.sleep(3)  # ten times what a server needs for one: a thread that ran would go on
        assert len(receiver.requests) <= before + 1 < 15


def test_the_ratios_of_the_readme():
    """What README.rst says of the cost beside sentry-sdk is what the recorded bench shows."""
    rows = {}
    for line in (ROOT / "docs" / "performance" / "peers.txt").read_text().splitlines():
        words = line.split()
        if len(words) == 4 and words[0] in ("ours", "sentry"):
            rows[words[0]] = [float(word) for word in words[1:]]
    assert "a hundredth" in (ROOT / "README.rst").read_text()
    assert rows["ours"][1] < rows["sentry"][1] / 100
    assert "a fifth" in (ROOT / "README.rst").read_text()
    assert rows["ours"][2] < rows["sentry"][2] / 5
