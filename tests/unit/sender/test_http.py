"""The HTTP edge of the sender, in this process, against a real server."""

import socket
import threading

import pytest

from heka_raven.sender.http import HttpTransport
from support.sentry_server import Reply, Server
from support.waiting import wait_for


@pytest.fixture
def transport():
    found = HttpTransport(connections=2)
    yield found
    found.close()


def post(transport, server, **options):
    return transport.send(
        f"http://127.0.0.1:{server.port}/api/1/envelope/?a=b", {"X": "y"}, b"body", timeout_s=10, **options
    )


def test_one_connection_for_many_requests(transport):
    """Keep-alive: ten requests, one connection; path, query, headers and body arrive."""
    with Server() as server:
        assert [200] * 10 == [post(transport, server).status for _ in range(10)]
        assert 1 == server.connections
        request = server.requests[0]
        assert ("/api/1/envelope/?a=b", "y", b"body") == (request.path, request.headers["x"], request.body)


def test_a_connection_that_died_is_replaced(transport):
    """A server that restarts costs no error: the dead connection is seen before it is used."""
    with Server() as first:
        assert 200 == post(transport, first).status
    with Server(port=first.port) as second:
        assert 200 == post(transport, second).status


def test_dead_connections_are_dropped(transport):
    """What a server closed does not stay open here until somebody asks for it again."""
    with Server() as server:
        post(transport, server)
        assert 1 == transport.drop_closed()
    wait_for(lambda: 0 == transport.drop_closed())


def test_a_large_answer_costs_the_connection_only(transport):
    """A reply of many megabytes is not read to its end; its status counts."""
    with Server(lambda request: Reply(200, body=b"x" * 5_000_000)) as server:
        assert [200, 200] == [post(transport, server).status for _ in range(2)]
        assert 2 == server.connections


@pytest.mark.parametrize("body", ["b" * 300, ""])
def test_a_refusal_says_why(transport, body):
    """The beginning of a refusal's body is kept for people, and the headers that mean something."""
    headers = {"X-Sentry-Error": "bad", "Retry-After": "5", "Server": "x"}
    with Server(lambda request: Reply(400, headers, body.encode())) as server:
        reply = post(transport, server)
        assert (400, body) == (reply.status, reply.error)
        assert {"x-sentry-error": "bad", "retry-after": "5"} == reply.headers


@pytest.mark.parametrize(
    "data", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, b"\x00"]
)
def test_what_is_no_http_is_no_answer(transport, data):
    """A server that speaks something else: no reply, in words, nothing raised."""

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        reply = transport.send(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"", timeout_s=10)
        thread.join()
        assert reply.status is None and reply.error


def test_ipv6(transport):
    """An IPv6 host, with brackets in the Host header."""

    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    got = []

    def serve():
        sock, _ = listener.accept()
        with sock:
            got.append(sock.recv(65536))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        assert 200 == transport.send(f"http://[::1]:{port}/", {}, b"", timeout_s=10).status
        thread.join()
        assert b"Host: [::1]:%d\r\n" % port in got[0]
