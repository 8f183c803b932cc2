"""What a client may send to the inbox: how much, how slowly, from how many connections, from which page."""

import contextlib
import os
import socket
import time

import pytest

from support.inbox import running_inbox
from support.waiting import wait_for

EVENT = b'{"message": "hello"}'
AUTH = {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=anything"}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    with running_inbox(tmp_path_factory.mktemp("inbox") / "inbox.db") as found:
        yield found


def head(path, host="127.0.0.1", **headers):
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def say(inbox, data):
    """What the inbox answers to these bytes, of which it need not read all."""
    with socket.create_connection(("127.0.0.1", inbox.port), timeout=60) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        answer = b""
        with contextlib.suppress(OSError):
            while piece := sock.recv(65536):
                answer += piece
        return answer


def held(process):
    """Bytes of the files that a process holds open and nobody sees in a folder."""
    total = 0
    for name in os.listdir(f"/proc/{process.pid}/fd"):
        path = f"/proc/{process.pid}/fd/{name}"
        with contextlib.suppress(OSError):
            if "(deleted)" in os.readlink(path):
                total += os.stat(path).st_size
    return total


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/api/1/store/", {"X_Sentry_Auth": AUTH["X-Sentry-Auth"]}, b"413"),
        ("/data/import", {"host": "evil.example"}, b"403"),
        ("/data/import", {"Sec_Fetch_Site": "cross-site"}, b"403"),
        ("/data/delete", {}, b"413"),
        ("/nowhere", {}, b"404"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_is_refused_before_it_lies_on_disk(inbox, path, options, status, chunked):
    """By its length, or as soon as it passes the limit; what follows on the connection is no request."""
    if chunked:
        piece = b"100000\r\n" + b"x" * MIB + b"\r\n"
        data = head(path, Transfer_Encoding="chunked", **options) + piece * 30
    else:
        request = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        data = head(path, Content_Length=300 * MIB, **options) + request * (24 * MIB // len(request))
    answer = say(inbox, data)
    assert (1, status) == (answer.count(b"HTTP/1.1 "), answer.split()[1])
    assert 0 == held(inbox.process)


def test_a_body_a_little_too_large_is_refused_in_words(inbox):
    """A client that sends all before it reads gets its answer, and may use the connection again."""
    with socket.create_connection(("127.0.0.1", inbox.port), timeout=60) as sock:
        for _ in range(2):
            sock.sendall(head("/api/1/store/", Content_Length=5 * MIB, **{"X_Sentry_Auth": AUTH["X-Sentry-Auth"]}))
            sock.sendall(b"x" * (5 * MIB))
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(65536)
            assert b"413" == answer.split()[1] and b"request body larger than" in answer


def test_an_import_may_be_large(inbox):
    """What may be imported is taken, to a file, which is gone after the answer."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    data = head + b"x" * (5 * MIB) + b"\r\n--b--\r\n"
    reply = inbox.request("/data/import", data, {"Content-Type": "multipart/form-data; boundary=b"})
    assert 400 == reply.status and b"tar" in reply.body
    wait_for(lambda: 0 == held(inbox.process))


def test_slow_clients_hold_nobody_up(inbox):
    """260 connections that send a byte now and then: the next request is answered at once."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", inbox.port))) for _ in range(260)]
        for i, sock in enumerate(slow):
            with contextlib.suppress(OSError):
                sock.sendall(b"GET / HTTP/1.1\r\nX: " if i % 2 else head("/api/1/store/", Content_Length=1000))
        began = time.monotonic()
        assert 200 == inbox.request("/api/1/store/", EVENT, AUTH).status
        assert 200 == inbox.request("/").status
        assert time.monotonic() - began < 10


def test_a_request_has_an_end_in_time(inbox):
    """A head that is not there after 15 seconds ends its connection, though bytes still come."""
    with socket.create_connection(("127.0.0.1", inbox.port), timeout=0.5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")

        def ended():
            try:
                sock.sendall(b"x")
                return b"" == sock.recv(1)
            except TimeoutError:
                return False
            except OSError:
                return True

        began = time.monotonic()
        wait_for(ended)
        assert time.monotonic() - began > 10


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:3000", 200),
        ("http://[::1]:3000", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_sites_send_no_events(inbox, origin, status):
    """A page that a developer visits cannot fill the inbox; one on this machine reports as before."""
    headers = AUTH if origin is None else {**AUTH, "Origin": origin}
    reply = inbox.request("/api/1/store/", EVENT, headers)
    assert status == reply.status
    assert (status == 403) == ("--allow-host" in reply.headers.get("X-Sentry-Error", ""))


def test_pages_that_are_named_or_know_the_key_send_events(tmp_path):
    """``--allow-host`` names a page's host; with ``--key`` whoever knows the key may send, as to Sentry."""
    origin = {**AUTH, "Origin": "https://shop.example"}
    with running_inbox(tmp_path / "a.db", "--allow-host", "shop.example") as inbox:
        assert 200 == inbox.request("/api/1/store/", EVENT, origin).status
    with running_inbox(tmp_path / "b.db", "--key", "anything") as inbox:
        assert 200 == inbox.request("/api/1/store/", EVENT, origin).status
        assert 403 == inbox.request("/api/1/store/?sentry_key=other", EVENT, {"Origin": origin["Origin"]}).status
