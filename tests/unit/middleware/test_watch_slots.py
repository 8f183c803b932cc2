"""The option watch: a slot for each request from its call to the end of its body; nothing of it reaches the request."""

import mmap
import os

import pytest

from heka_raven.eyes.own import Process
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import ROW_SIZE, SLOTS, Slots
from heka_raven.middleware import RavenMiddleware
from heka_raven.spool.watched import told
from support.middleware import RecordingClient, make_environ

DSN = "http://key@127.0.0.1:9/1"


def start_response(status, headers, exc_info=None):
    return None


def chunks():
    yield b"a"


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "own", None)
    EYES.tell(None)
    return tmp_path / "spool"


def wrap(app, spool):
    return RavenMiddleware(app, dsn=DSN, stream_path=str(spool), stream_sender="off", watch="true")


def in_flight(spool):
    """What this process tells."""
    [(pid, _, path)] = told(str(spool))
    assert os.getpid() == pid
    with open(path, "rb") as file, mmap.mmap(file.fileno(), ROW_SIZE, prot=mmap.PROT_READ) as memory:
        return [request.fields() for request in Slots(memory).in_flight(0)]


def test_a_request_is_told_while_it_runs(spool):
    """Method, path, address and host; no query, which nobody has masked; a path that has a newline stays one."""
    seen = []

    def app(environ, start_response):
        seen.extend(in_flight(spool))
        return []

    environ = make_environ(
        PATH_INFO="/caf\xc3\xa9\n/x", QUERY_STRING="token=planted", REMOTE_ADDR="192.0.2.1", HTTP_HOST="shop"
    )
    wrap(app, spool)(environ, start_response)
    assert [("GET", "/café%0A/x", "192.0.2.1", "http://shop")] == seen
    assert [] == in_flight(spool)


def test_a_body_is_told_until_it_is_through(spool):
    """A request is in flight as long as its body."""
    body = wrap(lambda environ, start_response: chunks(), spool)(make_environ(), start_response)
    assert 1 == len(in_flight(spool))
    assert [b"a"] == list(body)
    del body
    assert [] == in_flight(spool)


def test_what_failed_is_over(spool):
    """A request that failed, at the call or in its body, is not in flight, whoever keeps the error."""

    def app(environ, start_response):
        raise ValueError("planted")

    def later(environ, start_response):
        yield b"a"
        raise ValueError("planted")

    kept = []
    for make in (app, later):
        try:
            body = wrap(make, spool)(make_environ(), start_response)
            kept.append(body)
            list(body)
        except ValueError as error:
            kept.append(error)
    assert 3 == len(kept)
    assert [] == in_flight(spool)


def test_a_request_is_told_once(spool):
    """Two middlewares around each other tell one request, and one that is called again within it."""
    seen = []

    def app(environ, start_response):
        seen.extend(in_flight(spool))
        return []

    environ = make_environ()
    for count in (1, 2):  # some servers use an environ again
        wrap(wrap(app, spool), spool)(environ, start_response)
        assert count == len(seen)

    def calls_itself(environ, start_response):
        again = environ.setdefault("calls", 2)
        environ["calls"] -= 1
        return (application if again > 1 else app)(environ, start_response)

    application = wrap(calls_itself, spool)
    application(make_environ(), start_response)
    assert 3 == len(seen)
    assert [] == in_flight(spool)


def test_more_requests_than_slots(spool):
    """What finds no slot is answered all the same."""
    app = wrap(lambda environ, start_response: chunks(), spool)
    bodies = [app(make_environ(), start_response) for _ in range(SLOTS + 5)]
    assert SLOTS == len(in_flight(spool))
    assert [[b"a"]] * len(bodies) == [list(body) for body in bodies]


def test_a_child_leaves_its_parents_row_alone(spool):
    """A child that a request forks ends none of its parent's requests, and has a row of its own when it serves."""
    app = wrap(lambda environ, start_response: chunks(), spool)
    body = app(make_environ(), start_response)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            del body
            another = app(make_environ(), start_response)
            status = 0 if 2 == len(told(str(spool))) and another else 2
        finally:
            os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    [path] = [path for number, _, path in told(str(spool)) if number == pid]
    os.unlink(path)
    assert 1 == len(in_flight(spool))
    list(body)


def test_a_spool_that_cannot_be_used(spool, caplog):
    """Requests are answered, and one warning says why nothing is told."""
    spool.mkdir(mode=0o755)
    spool.chmod(0o755)
    app = wrap(lambda environ, start_response: [b"ok"], spool)
    assert [[b"ok"]] * 2 == [app(make_environ(), start_response) for _ in range(2)]
    assert 1 == sum("watch: nothing is told: spool" in record.getMessage() for record in caplog.records)


def test_a_client_without_a_spool(caplog):
    """Where there is no spool nothing is told, and one warning says so."""
    app = RavenMiddleware(lambda environ, start_response: [b"ok"], RecordingClient(), watch=True)
    assert [b"ok"] == app(make_environ(), start_response)
    assert "the client writes into no spool" in caplog.text
