"""Streams over real sockets, real files and real forks."""

import io
import os
import socket
import struct
import sys
import threading
import time
import warnings
from itertools import pairwise
from types import SimpleNamespace

import pytest

import heka.streams.addresses
import heka.streams.tcp
import heka.streams.udp
from heka.client import HekaClient
from heka.encoders import NullEncoder
from heka.streams import DebugCaptureStream, FileStream, StdOutStream, TcpStream, UdpStream
from heka.streams.destinations import parse_destinations
from heka.testing import decode_message
from heka.wire import RecordReader
from support.ports import free_port

LIMIT_S = 10  # for anything that should take milliseconds


def udp_server(family=socket.AF_INET, host="127.0.0.1"):
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((host, 0))
    server.settimeout(LIMIT_S)
    return server


def tcp_server(backlog=8):
    server = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    server.settimeout(LIMIT_S)
    return server


def accept(server):
    connection, _ = server.accept()
    connection.settimeout(LIMIT_S)
    return connection


def read_all(connection):
    """All records until the peer closes."""
    reader = RecordReader()
    records = []
    with connection:
        while data := connection.recv(65536):
            records += reader.feed(data)
    return records + reader.finish()


def in_child(work):
    """Run *work* in a forked child; raise if it failed there."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def port_of(server):
    return server.getsockname()[1]


@pytest.fixture
def long_pause(monkeypatch):
    """After a failure the destination is left alone for longer than a test can be held up."""
    monkeypatch.setattr(heka.streams.tcp, "FIRST_PAUSE_S", heka.streams.tcp.LAST_PAUSE_S)


def test_udp_sends_one_record_a_datagram():
    """Each message is one datagram, to every destination; the last port counts for extra hosts."""
    with udp_server() as one, udp_server() as two:
        client = HekaClient(UdpStream(["127.0.0.1", "localhost"], [port_of(one), str(port_of(two))]), "app")
        assert client.heka("t", payload="x" * 1000) is True
        for server in (one, two):
            assert decode_message(server.recv(65536))[1].payload == "x" * 1000
        shared = HekaClient(UdpStream(["127.0.0.1", "127.0.0.1"], port_of(one)), "app")
        assert shared.heka("t") is True
        assert one.recv(65536) == one.recv(65536)
        client.stream.close()
        assert client.heka("again") is True
        assert decode_message(one.recv(65536))[1].type == "again"
        for stream in (client.stream, shared.stream):
            stream.close()


def test_udp_over_ipv6():
    """A host that has only an IPv6 address is sent to, with and without brackets."""
    try:
        server = udp_server(socket.AF_INET6, "::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        for host in ("::1", "[::1]"):
            stream = UdpStream(host, port_of(server))
            stream.write(b"six")
            assert server.recv(16) == b"six"
            stream.close()


def test_udp_limit_is_what_a_datagram_can_carry():
    """A record of 65,507 bytes arrives; one byte more is refused before it is sent."""
    with udp_server() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client = HekaClient(UdpStream("127.0.0.1", port_of(server)), "app")
        client.heka("t", payload="x" * 20000)
        room = 20000 + 65507 - len(server.recv(65536))
        while not client.heka("t", payload="x" * room):
            room -= 1
        data = server.recv(65536)
        assert len(data) == 65507
        refused = client.losses["too_big"]
        assert client.heka("t", payload="x" * (room + 1)) is False
        assert client.losses["too_big"] == refused + 1
        smaller = HekaClient(UdpStream("127.0.0.1", port_of(server), max_record_size="8192"), "app")
        assert smaller.heka("t", payload="x" * 9000) is False
        assert smaller.heka("t", payload="x" * 9000, shrink=lambda room: "x" * room) is True
        assert len(server.recv(65536)) <= 8192
        client.stream.close()
        smaller.stream.close()


class Resolver:
    """A resolver that answers as it is told, and counts; ``getaddrinfo`` of the socket module while it is used."""

    def __init__(self, monkeypatch):
        self.asked = []
        self.answer = "127.0.0.1"
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.real = socket.getaddrinfo
        self.clock = [1000.0]
        monkeypatch.setattr(socket, "getaddrinfo", self)
        monkeypatch.setattr(heka.streams.addresses, "time", SimpleNamespace(monotonic=lambda: self.clock[0]))

    def __call__(self, host, port, type=0, flags=0):
        if flags & socket.AI_NUMERICHOST:
            return self.real(host, port, type=type, flags=flags)
        self.asked.append(host)
        assert self.may_answer.wait(LIMIT_S)
        if self.answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.real(self.answer, port, type=type)

    def wait_until_idle(self, book):
        deadline = time.monotonic() + LIMIT_S
        while book._running and time.monotonic() < deadline:
            time.sleep(0.005)
        assert book._running == {}


@pytest.fixture
def resolver(monkeypatch):
    """The machine's resolver, replaced."""
    return Resolver(monkeypatch)


@pytest.mark.parametrize("stream_class", [UdpStream, TcpStream])
def test_a_name_is_looked_up_once_a_minute(resolver, stream_class):
    """No name server is asked for each message, and none for an address in numbers."""
    book = stream_class(["router.example", "127.0.0.1", "[::1]"], 5565)._addresses
    for _ in range(5):
        assert book.lookup(("router.example", 5565), 5) == [(socket.AF_INET, ("127.0.0.1", 5565))]
        assert book.lookup(("127.0.0.1", 5565), 5) == [(socket.AF_INET, ("127.0.0.1", 5565))]
    assert resolver.asked == ["router.example"]
    resolver.clock[0] += heka.streams.addresses.ADDRESS_LIFE_S
    resolver.answer = "127.0.0.2"
    book.lookup(("router.example", 5565), 5)
    resolver.wait_until_idle(book)
    assert book.lookup(("router.example", 5565), 5)[0][1][0] == "127.0.0.2"
    assert resolver.asked == ["router.example"] * 2


def test_a_failed_lookup_is_remembered_and_an_old_address_used_on(resolver, monkeypatch):
    """A name that cannot be found is asked for again only after a pause; one that was found works on without it."""
    monkeypatch.setattr(heka.streams.udp, "WAIT_S", LIMIT_S)  # the answer comes from another thread
    with udp_server() as server:
        stream = UdpStream(["router.example", "127.0.0.1"], port_of(server))
        resolver.answer = None
        for number in range(3):
            with pytest.raises(OSError, match=r"router.example.*not known"):
                stream.write(b"%d" % number)
            assert server.recv(16) == b"%d" % number
        assert resolver.asked == ["router.example"]
        resolver.clock[0] += heka.streams.addresses.RETRY_LOOKUP_S
        resolver.answer = "127.0.0.1"
        stream.write(b"found")
        assert server.recv(16) == server.recv(16) == b"found"
        resolver.clock[0] += heka.streams.addresses.ADDRESS_LIFE_S
        resolver.answer = None
        for _ in range(2):
            stream.write(b"used on")
            assert server.recv(16) == server.recv(16) == b"used on"
            resolver.wait_until_idle(stream._addresses)
        stream.close()


@pytest.mark.parametrize("make", [UdpStream, lambda host, port: TcpStream(host, port, timeout_s=0.2)])
def test_a_name_server_that_hangs_holds_nobody_for_long(resolver, make):
    """The wait for it is bounded; what comes meanwhile is lost, counted; its answer, when it comes, is used."""
    resolver.may_answer.clear()
    client = HekaClient(make("router.example", free_port()), "app")
    started = time.monotonic()
    assert client.heka("t") is False
    assert time.monotonic() - started < LIMIT_S / 2
    assert client.losses["stream_failed"] == 1
    assert resolver.asked == ["router.example"]
    resolver.may_answer.set()
    resolver.wait_until_idle(client.stream._addresses)
    assert client.stream._addresses.lookup(("router.example", 1), 1)[0][1][0] == "127.0.0.1"
    client.stream.close()


def test_a_child_asks_for_itself(resolver):
    """A look-up that hangs in the parent does not keep a forked child from its own."""
    resolver.may_answer.clear()
    stream = UdpStream("router.example", 5565)
    with pytest.raises(OSError, match="no address"):
        stream.write(b"x")

    def child():
        heka.streams.udp.WAIT_S = LIMIT_S
        resolver.may_answer.set()
        stream.write(b"x")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: a fork beside a thread, on purpose
        in_child(child)
    resolver.may_answer.set()
    resolver.wait_until_idle(stream._addresses)
    stream.close()


def test_udp_after_a_fork_uses_a_socket_of_its_own():
    """Parent and child send from different sockets, before and after each other's close."""
    with udp_server() as server:
        stream = UdpStream("127.0.0.1", port_of(server))
        stream.write(b"parent")
        _, parent_address = server.recvfrom(16)

        def child():
            stream.write(b"child")
            stream.close()

        in_child(child)
        data, child_address = server.recvfrom(16)
        assert data == b"child"
        assert child_address != parent_address
        stream.write(b"parent again")
        assert server.recvfrom(16) == (b"parent again", parent_address)
        stream.close()


def test_tcp_sends_records_back_to_back():
    """Many messages arrive whole and in order, from several threads too, at every destination."""
    with tcp_server() as one, tcp_server() as two:
        client = HekaClient(TcpStream(["127.0.0.1"] * 2, [port_of(one), port_of(two)], timeout_s="5"), "app")
        assert client.heka("first") is True
        readers, received = [], [[], []]
        for server, into in zip((one, two), received, strict=True):
            connection = accept(server)
            reader = threading.Thread(target=lambda c=connection, i=into: i.extend(read_all(c)))
            reader.start()
            readers.append(reader)
        senders = [
            threading.Thread(target=lambda n=n: [client.heka(str(n), payload="x" * 5000) for _ in range(50)])
            for n in range(4)
        ]
        for thread in senders:
            thread.start()
        for thread in senders:
            thread.join(LIMIT_S)
        client.stream.close()
        for thread in readers:
            thread.join(LIMIT_S)
        for records in received:
            assert len(records) == 201
            assert {"first", "0", "1", "2", "3"} == {record.message.type for record in records}
        assert client.stream.lost == 0


def test_tcp_with_nobody_there_is_quick_after_the_first_failure(monkeypatch):
    """A refused connection is tried again after a pause that grows; meanwhile records are lost at once, counted."""
    clock = [1000.0]
    monkeypatch.setattr(heka.streams.tcp, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    client = HekaClient(TcpStream("127.0.0.1", free_port()), "app")
    tried = []
    lookup = client.stream._addresses.lookup
    monkeypatch.setattr(client.stream._addresses, "lookup", lambda *args: tried.append(clock[0]) or lookup(*args))
    for _ in range(400):
        assert client.heka("t") is False
        clock[0] += 0.25
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert client.stream.lost == client.losses["stream_failed"] == 400


def test_tcp_comes_back_when_the_router_does():
    """After the pause a record goes to a router that was started later."""
    port = free_port()
    stream = TcpStream("127.0.0.1", port)
    with pytest.raises(OSError):
        stream.write(b"lost")
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(LIMIT_S)
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                stream.write(b"back")
                break
            except OSError:
                time.sleep(0.05)
        with accept(server) as connection:
            assert connection.recv(16) == b"back"
        stream.close()
    assert stream.lost >= 1


def test_tcp_write_to_a_stalled_router_is_bounded(long_pause):
    """A router that reads nothing costs one wait of timeout_s, then nothing until the pause is over."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=0.3)
        stream.write(b"hello")
        with accept(server):
            started = time.monotonic()
            with pytest.raises(OSError):
                stream.write(b"x" * 50_000_000)
            with pytest.raises(OSError, match="not connected"):
                stream.write(b"y")
            assert time.monotonic() - started < LIMIT_S
        assert stream.lost == 2
        stream.close()


def test_tcp_threads_behind_a_stalled_write_wait_no_longer_than_it():
    """The wait for another thread's write is bounded by timeout_s as well."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=0.3)
        stream.write(b"hello")
        errors = []

        def write():
            try:
                stream.write(b"x" * 50_000_000)
            except OSError as exc:
                errors.append(exc)

        with accept(server):
            threads = [threading.Thread(target=write) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(LIMIT_S)
        assert len(errors) == 4
        assert stream.lost == 4
        stream.close()


def reset(connection):
    """Close *connection* as a router that crashes does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_tcp_never_goes_on_behind_half_a_record(long_pause):
    """A second connection that fails as well is given up with its half of a record, not used for the next one."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=3)
        stream.write(b"one")
        first = accept(server)
        assert first.recv(3) == b"one"
        errors = []

        def write():
            try:
                stream.write(b"x" * 50_000_000)
            except OSError as exc:
                errors.append(exc)

        thread = threading.Thread(target=write)
        thread.start()
        assert first.recv(1) == b"x"
        reset(first)
        with accept(server) as second:
            thread.join(LIMIT_S)
            assert len(errors) == 1
            assert second.recv(1) == b"x"
            with pytest.raises(OSError, match="not connected"):
                stream.write(b"two")
        assert stream.lost == 2
        stream.close()


def test_tcp_survives_a_reset():
    """A connection that the router resets is replaced; the record of that write arrives."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=5)
        stream.write(b"one")
        first = accept(server)
        assert first.recv(16) == b"one"
        reset(first)
        stream.write(b"two")
        with accept(server) as second:
            assert second.recv(16) == b"two"
        assert stream.lost == 0
        stream.close()


def test_tcp_ignores_what_a_router_says():
    """Bytes that come back do not fill up or break the connection."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=5)
        stream.write(b"one")
        with accept(server) as connection:
            connection.sendall(b"chatter" * 1000)
            stream.write(b"two")
            assert connection.recv(6, socket.MSG_WAITALL) == b"onetwo"
        stream.close()


def test_tcp_after_a_fork_connects_anew():
    """A child never writes to its parent's connection, and closing in the child leaves the parent's open."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=5)
        stream.write(b"parent")
        parent = accept(server)
        assert parent.recv(16) == b"parent"

        def child():
            stream.write(b"child")
            stream.close()

        in_child(child)
        with accept(server) as connection:
            assert connection.recv(16) == b"child"
            assert connection.recv(16) == b""
        stream.write(b"parent again")
        assert parent.recv(16) == b"parent again"
        parent.close()
        stream.close()


def test_tcp_close_ends_a_connection_that_an_idle_child_inherited():
    """The router sees the end at once, although a child that never wrote has the parent's descriptor open."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=5)
        stream.write(b"parent")
        waiting, done = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(done)
            os.read(waiting, 1)  # until the parent is through
            os._exit(0)
        try:
            with accept(server) as connection:
                assert connection.recv(16) == b"parent"
                stream.close()
                assert connection.recv(16) == b""
        finally:
            os.close(waiting)
            os.close(done)
            os.waitpid(child, 0)


def test_tcp_child_of_a_process_that_holds_the_lock():
    """A fork while another thread is writing does not block the child."""
    with tcp_server() as server:
        stream = TcpStream("127.0.0.1", port_of(server), timeout_s=5)
        stream.write(b"parent")
        with accept(server), stream._links()[0]._lock:
            in_child(lambda: stream.write(b"child"))
            with accept(server) as connection:
                assert connection.recv(16) == b"child"
        stream.close()


def test_files_are_appended_to_and_whole(tmp_path):
    """Records of several processes and threads stand whole behind what was there; a fork writes nothing twice."""
    path = tmp_path / "heka.log"
    path.write_bytes(b"before")
    client = HekaClient(FileStream(path), "app")
    client.heka("parent")

    def work():
        for _ in range(100):
            client.heka("child", payload="x" * 3000)

    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            try:
                threads = [threading.Thread(target=work) for _ in range(2)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    reader = RecordReader()
    records = reader.feed(path.read_bytes()) + reader.finish()
    assert [record.message.type for record in records] == ["parent"] + ["child"] * 400
    assert {record.message.pid for record in records} == {os.getpid(), *children}
    assert reader.skipped == len(b"before")
    client.stream.close()


def test_a_full_disk_is_counted_not_raised():
    """What the disk does not take is a loss of the client."""
    client = HekaClient(FileStream("/dev/full"), "app")
    assert client.heka("t") is False
    assert client.losses["stream_failed"] == 1
    client.stream.close()


def test_stdout_gets_the_bytes(capsysbinary, monkeypatch):
    """Records go to stdout as bytes, behind the text printed before; a stdout without bytes gets text."""
    client = HekaClient(StdOutStream(), "app")
    sys.stdout.write("text ")
    assert client.heka("t", payload="grüße") is True
    out = capsysbinary.readouterr().out
    assert out.startswith(b"text \x1e")
    assert decode_message(out[5:])[1].payload == "grüße"
    monkeypatch.setattr(sys, "stdout", replaced := io.StringIO())
    assert client.heka("t", payload="grüße") is True
    assert HekaClient(StdOutStream(), "app", encoder=NullEncoder).heka("seen") is True
    assert "grüße" in replaced.getvalue()
    assert 'type: "seen"' in replaced.getvalue()


def test_capture_keeps_the_last_hundred():
    """Older records go; any option is taken."""
    stream = DebugCaptureStream(anything=1)
    for number in range(150):
        stream.write(number)
    stream.flush()
    assert list(range(50, 150)) == list(stream.msgs)


def test_destinations():
    """Hosts and ports pair as documented."""
    assert parse_destinations(" h ", 1) == [("h", 1)]
    assert parse_destinations(["a", "b", "c"], [1, "2"]) == [("a", 1), ("b", 2), ("c", 2)]
    assert parse_destinations(["a"], (1, 2)) == [("a", 1)]
    for host, port in (
        ([], 1),
        ("a", []),
        ("", 1),
        (b"a", 1),
        (5, 1),
        ("a", 1.0),
        ("a", True),
        ("a", 65536),
        ("a", None),
    ):
        with pytest.raises(ValueError, match=r"stream_(host|port)"):
            parse_destinations(host, port)
