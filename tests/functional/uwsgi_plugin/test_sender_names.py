"""The plugin's own sender and names: a name server that is dead is in the way of its own DSN alone."""

import contextlib
import os
import random
import socket
import time

import pytest

from support.uwsgi import find_uwsgi, ledger_at_rest
from support.waiting import wait_for

UWSGI = find_uwsgi()
pytestmark = [
    pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for port 53 and mounts"),
]
MOUNT = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'
ROUTE = "route-if = equal:${REQUEST_METHOD};%s sentry:message=m,dsn=%s\n"
PROMPT_S = 3  # a lookup that is given up takes five, and the resolver's own patience is longer


@contextlib.contextmanager
def dead_name_server():
    """A name server that takes questions and never answers: its socket, and its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        sock.bind((address, 53))
        sock.settimeout(20)
        yield sock, address


@pytest.fixture
def name_server():
    with dead_name_server() as made:
        yield made


@pytest.fixture
def launch(tmp_path, name_server):
    """The command that gives a server this name server, and a hosts file that knows known.test."""
    resolv, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    resolv.write_text(f"nameserver {name_server[1]}\noptions timeout:30\n")
    hosts.write_text("127.0.0.1 localhost known.test\n")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT, "sh", str(resolv), str(hosts)]


@pytest.mark.parametrize(
    "dead", ["http://public@dead.test/1", "https://public@dead.test/1", "udp://public@dead.test:9/1"]
)
@pytest.mark.parametrize("kind", ["http", "udp"])
def test_a_dead_name_server_holds_up_its_own_dsn_alone(dead, kind, serve, receiver, launch, name_server):
    """While a name server does not answer for one DSN, events for an address in numbers, and for a name of the hosts
    file, are delivered at once, over HTTP and UDP; the others wait in the spool, and the log says for which name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(PROMPT_S)
        port = sock.getsockname()[1] if kind == "udp" else receiver.port
        ways = [f"{kind}://public@{host}:{port}/1" for host in ("127.0.0.1", "known.test")]
        lines = "".join(ROUTE % pair for pair in zip(("PUT", "POST"), ways, strict=True))
        server = serve(ROUTE % ("PATCH", dead) + lines, launch=launch)
        server.get("/", "PATCH")
        name_server[0].recv(512)  # the sender's question: it waits for an answer now
        for count, method in enumerate(("PUT", "POST", "PUT", "POST"), 1):
            began = time.monotonic()
            server.get("/", method)
            if kind == "udp":
                assert sock.recv(65536).startswith(b"Sentry ")
            else:
                wait_for(lambda: len(receiver.requests) >= count, lambda: f"request {count}\n{server.text()}")
            assert time.monotonic() - began < PROMPT_S
    wait_for(lambda: server.waiting() == 1, "an event that waits")
    wait_for(lambda: "the name dead.test: no answer from a name server in 5 s" in server.text(), server.text)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < PROMPT_S + 5  # nobody waits for the lookup
    assert ledger_at_rest(server)["delivered"] == 4


@pytest.mark.parametrize("how", ["sentry-proxy", "http_proxy", "all_proxy"])
def test_the_name_of_a_proxy(how, serve, receiver, launch, name_server):
    """A proxy's name is looked up in the same way, and the server's behind it not at all."""
    proxy = f"http://known.test:{receiver.port}"
    lines, env = (f"sentry-proxy = {proxy}\n", {}) if how == "sentry-proxy" else ("", {how: proxy})
    lines += ROUTE % ("PUT", "http://public@dead.test/1")
    server = serve(lines, launch=launch, env=env)
    server.get("/", "PUT")
    wait_for(lambda: receiver.requests, lambda: f"the request at the proxy\n{server.text()}")
    assert receiver.requests[0][0] == "http://dead.test/api/1/envelope/"
    name_server[0].settimeout(0.2)
    with pytest.raises(TimeoutError):
        name_server[0].recv(512)


def test_a_proxy_whose_name_server_is_dead(serve, receiver, launch, name_server):
    """Where nobody tells the proxy's address, an event that needs no proxy (no_proxy) goes at once."""
    env = {"http_proxy": "http://dead.test:3128", "no_proxy": "127.0.0.1"}
    lines = ROUTE % ("PATCH", "http://public@sentry.test/1") + ROUTE % ("PUT", receiver.dsn)
    server = serve(lines, launch=launch, env=env)
    server.get("/", "PATCH")
    assert b"\x04dead\x04test" in name_server[0].recv(512)
    began = time.monotonic()
    server.get("/", "PUT")
    wait_for(lambda: receiver.requests, lambda: f"the request\n{server.text()}")
    assert time.monotonic() - began < PROMPT_S
    wait_for(lambda: server.waiting() == 1, "the end of what was delivered")  # the reply comes after the request
