"""What the README's table says of sentry-sdk, beside the same program with heka-raven."""

import subprocess

import pytest
from examples_support import environment, python
from uwsgi_support import Receiver, free_port

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


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def run(which, receiver, tmp_path):
    receiver.delay_s = 0.3  # a server on another machine
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
        send = python("-m", "heka_raven.cli", "send", "--once")
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
    """sentry-sdk gives up what it cannot send at once; that ours waits: test_delivery_faults.py."""
    pytest.importorskip("sentry_sdk")
    port = free_port()
    done = subprocess.run(
        python("-c", DOWN, str(port)), env=environment(tmp_path / "spool"), capture_output=True, text=True, timeout=60
    )
    assert "0\n" == done.stdout, done.stderr
