"""What the middleware's tests share: a client that records, a server that is a dict, real servers on a free port."""

import contextlib
import importlib.util
import re
import socket
import subprocess
import sys
import tempfile

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.scope import current_environ, describe_current
from support.paths import ROOT
from support.waiting import wait_for


class RecordingClient:
    """Stands for a heka client with the raven plugin: keeps what it was given, and the request as it was then."""

    stream = None

    def __init__(self):
        self.reports = []

    def raven(self, msg="", exc_info=True, **fields):
        event_id = f"{len(self.reports):032x}"
        self.reports.append(Report(event_id, exc_info, describe_current(), current_environ(), fields))
        if current_environ() is not None:
            current_environ()["heka_raven.event_id"] = event_id
        return event_id

    @property
    def facts(self):
        """Of the only report."""
        [report] = self.reports
        return report.facts

    @property
    def errors(self):
        return [report.exc_info[1] for report in self.reports]


class Report:
    def __init__(self, event_id, exc_info, facts, environ, fields):
        self.event_id = event_id
        self.exc_info = exc_info
        self.facts = facts
        self.environ = environ
        self.fields = fields


def make_environ(**keys):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/there",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.5",
        "wsgi.url_scheme": "http",
        **keys,
    }


def run(app, environ, start_response=None):
    """One request as a server runs it: the whole body, then close()."""
    body = app(environ, start_response or (lambda status, headers, exc_info=None: lambda data: None))
    try:
        return list(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def fail(app, client, error=ValueError, environ=None, **options):
    """The error with which *app* fails under RavenMiddleware."""
    environ = make_environ() if environ is None else environ
    with pytest.raises(error) as caught:
        run(RavenMiddleware(app, client, **options), environ)
    return caught.value


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def server(command, port, **options):
    """A server process that listens on *port*, ended at the end by its own id. Gives what reads its output."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            wait_for(lambda: process.poll() is not None or answers(port))
            assert process.poll() is None, said(output)
            yield lambda: said(output)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def said(output):
    output.seek(0)
    return output.read().decode("utf-8", "replace")


def exchange(port, request):
    """The raw bytes that a server answers to *request* until it closes the connection, without its clock."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    return re.sub(rb"(?m)^Date: [^\r\n]*", b"Date: now", received)


def get(port, path, headers=""):
    return exchange(port, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n".encode("latin-1"))


def load_example(name):
    """A module of examples/, as itself."""
    if name == "django_app":
        from support.django import configure

        configure()
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Django looks its views up by name
    spec.loader.exec_module(module)
    return module
