"""Where an application can fail, and what the middleware does about it."""

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.scope import CURRENT


class RecordingClient:
    """Stands for a heka client with the raven plugin: keeps what it was given, and the request as it was then."""

    def __init__(self):
        self.reports = []

    def raven(self, msg="", exc_info=True, **fields):
        describe, environ = CURRENT.get()
        self.reports.append((exc_info, describe(environ)))
        environ["heka_raven.event_id"] = "e" * 32
        return "e" * 32


ENVIRON = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/there",
    "QUERY_STRING": "a=1",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "wsgi.url_scheme": "http",
    "REMOTE_ADDR": "203.0.113.5",
}


def failing_call(environ, start_response):
    raise ValueError("call")


def failing_iteration(environ, start_response):
    start_response("200 OK", [])
    yield b"first"
    raise ValueError("iteration")


class FailingClose:
    def __init__(self, environ, start_response):
        start_response("200 OK", [])

    def __iter__(self):
        return iter([b"first"])

    def close(self):
        raise ValueError("close")


@pytest.mark.parametrize(
    ("app", "where"), [(failing_call, "call"), (failing_iteration, "iteration"), (FailingClose, "close")]
)
def test_reports_once_and_reraises(app, where):
    """Wherever the application fails, the error is reported once, unchanged."""
    client = RecordingClient()
    environ = dict(ENVIRON)
    with pytest.raises(ValueError, match=where) as caught:
        body = RavenMiddleware(app, client)(environ, lambda status, headers, exc_info=None: None)
        try:
            for _ in body:
                pass
        finally:
            getattr(body, "close", lambda: None)()
    [(exc_info, facts)] = client.reports
    assert exc_info[1] is caught.value
    assert facts.transaction == "GET /there"
    assert facts.fields["remote_addr"] == "203.0.113.5"
    assert CURRENT.get() is None
