"""The thirteen bugs of heka-py 0.30.3 that its users hit: each is fixed, one test after another."""

import logging
import os
import re
import socket
import threading

import pytest

from heka.client import HekaClient
from heka.config import client_from_dict_config, client_from_text_config
from heka.decorators import incr_count, timeit
from heka.decorators.base import HekaDecorator
from heka.encoders import StdlibPayloadEncoder
from heka.holder import CLIENT_HOLDER, get_client
from heka.logging import HekaHandler
from heka.message import Field
from heka.signing import verify
from heka.streams import DebugCaptureStream, StdLibLoggingStream, TcpStream, UdpStream
from heka.testing import capture_client, decode_message, fields_of, sent_messages
from heka.wire import split
from heka_raven.raven_plugin import capture_stack


@pytest.fixture
def no_default_client():
    """A process in which no client was made."""
    clients, default = dict(CLIENT_HOLDER._clients), CLIENT_HOLDER._default_clientname
    CLIENT_HOLDER._clients.clear()
    CLIENT_HOLDER.set_default_client_name(None)
    yield
    CLIENT_HOLDER._clients.clear()
    CLIENT_HOLDER._clients.update(clients)
    CLIENT_HOLDER.set_default_client_name(default)


def test_bug_01_ini_hmac_works():
    """A signature configured by an INI file, as the documentation prints it, is sent and verifies."""
    client = client_from_text_config(
        """
        [heka]
        stream_class = heka.streams.DebugCaptureStream
        [heka_hmac]
        signer = some_signer_name
        key_version = 2
        hash_function = SHA1
        key = some_key_value
        """,
        "heka",
    )
    assert client.heka("t", payload="p") is True
    header, _ = decode_message(client.stream.msgs[0])
    assert header.hmac_key_version == 2
    assert verify(header, split(client.stream.msgs[0])[1], b"some_key_value")


@pytest.mark.parametrize(("signer_size", "header_size"), [(101, 127), (102, 128), (228, 255)])
def test_bug_02_a_header_over_127_bytes_is_sent(signer_size, header_size):
    """A header of 127, 128 and 255 bytes is sent; its length is an unsigned byte."""
    hmc = {"signer": "n" * signer_size, "key_version": 1, "hash_function": "MD5", "key": "k"}
    client = capture_client("", hmc=hmc)
    client.hostname = "h"
    assert client.heka("t") is True
    header, _ = decode_message(client.stream.msgs[0])
    assert header.hmac_signer == "n" * signer_size
    assert header_size == client.stream.msgs[0][1]


def test_bug_03_bool_and_bytes_have_types_of_their_own():
    """A bool goes out as BOOL, bytes as BYTES."""
    client = capture_client()
    client.heka("t", fields={"yes": True, "no": False, "raw": b"\x00\xff"})
    (msg,) = sent_messages(client)
    assert [Field.BOOL, Field.BOOL, Field.BYTES] == [field.value_type for field in msg.fields]
    assert {"yes": True, "no": False, "raw": b"\x00\xff"} == fields_of(msg)


def test_bug_04_without_a_client_only_the_applications_error_is_seen(no_default_client, caplog):
    """Decorated functions run, and raise their own errors, where there is no client; one warning is logged."""

    class remote(HekaDecorator):
        def heka_call(self, *args, **kwargs):
            raise AssertionError("there is no client to call with")

    for decorate in (timeit, incr_count, remote, timeit("name"), incr_count(count=2), capture_stack):

        @decorate
        def divide(a, b):
            return a / b

        assert divide(4, 2) == 2
        with pytest.raises(ZeroDivisionError):
            divide(1, 0)


@pytest.mark.parametrize("plugins", [{}, {"raven": ("heka_raven.raven_plugin:config_plugin", {})}])
def test_bug_04_without_a_plugin_or_a_dsn_only_the_applications_error_is_seen(plugins):
    """A client that cannot report, as it has no raven plugin or no dsn, leaves the application's exception as it is."""
    client = client_from_dict_config({"stream_class": "heka.streams.DebugCaptureStream", "plugins": plugins})

    @capture_stack(client=client, severity=2)
    def divide(a, b):
        return a / b

    assert divide(4, 2) == 2
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)
    assert sent_messages(client) == []


def test_bug_04_a_failing_message_never_masks_the_applications_error():
    """A timer or a counter that cannot be sent (a None field) leaves the application's exception as it is."""
    client = capture_client()
    bad = {"x": None}

    @timeit("t", fields=bad, client=client)
    def timed():
        raise KeyError("mine")

    @incr_count(name="c", fields=bad, client=client)
    def counted():
        raise KeyError("mine")

    for function in (timed, counted):
        with pytest.raises(KeyError, match="mine"):
            function()
    with pytest.raises(KeyError, match="mine"), client.timer("t", fields=bad):
        raise KeyError("mine")
    assert client.losses["bad_call"] == 3


def test_bug_05_arguments_of_a_decorator_hold_for_every_call():
    """What a decorator was given, as ``severity=2``, is there for the second call too."""
    client = capture_client()

    @timeit("t", severity=2, client=client)
    @incr_count(name="c", severity=2, client=client)
    def work():
        return None

    for _ in range(3):
        work()
    assert [2] * 6 == [msg.severity for msg in sent_messages(client)]


def test_bug_05_the_severity_of_capture_stack_holds_for_every_error():
    """``@capture_stack(severity=2)`` reports the first error and all later ones with severity 2."""
    plugins = {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": "https://KEY@sentry.example.com/1"})}
    client = client_from_dict_config({"stream_class": "heka.streams.DebugCaptureStream", "plugins": plugins})

    @capture_stack(client=client, severity=2)
    def fail():
        raise KeyError("mine")

    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            fail()
    assert [("sentry", 2)] * 3 == [(msg.type, msg.severity) for msg in sent_messages(client)]


def test_bug_06_a_timer_decorator_works_in_another_thread():
    """A function decorated in one thread is timed in another."""
    client = capture_client()

    @client.timer("t")
    def work():
        return threading.current_thread().name

    results = []
    thread = threading.Thread(target=lambda: results.append(work()), name="other")
    thread.start()
    thread.join(60)
    assert results == ["other"]
    assert len(sent_messages(client)) == 1


def test_bug_06_nested_timers_of_one_name_do_not_mix():
    """An inner timer of the same name neither ends nor restarts the outer one, also as one object."""
    client = capture_client()
    with client.timer("t", fields={"who": "outer"}), client.timer("t", fields={"who": "inner"}):
        pass
    assert ["inner", "outer"] == [fields_of(msg)["who"] for msg in sent_messages(client)]

    timer = client.timer("same")
    with timer:
        outer_start = timer.start
        with timer:
            assert timer.start >= outer_start
    assert len(sent_messages(client)) == 4


def test_bug_07_callers_fields_and_config_stay_as_they_were(no_default_client):
    """``incr``, ``gauge`` and ``timer_send`` leave the caller's fields alone, ``get_client`` its configuration."""
    client = capture_client()
    fields = {"zone": "a"}
    client.incr("c", fields=fields)
    client.gauge("g", 1, fields=fields)
    client.timer_send("t", 1, fields=fields)
    assert fields == {"zone": "a"}

    config = {
        "stream_class": "heka.streams.DebugCaptureStream",
        "stream": {"extra": [1]},
        "plugins": {"dummy": ("heka.tests.plugin:config_plugin", {"verbose": True, "override": True})},
        "filters": [("heka.filters.type_severity_max_provider", {"types": {"t": {"severity": 3}}})],
    }
    before = repr(config)
    get_client("bug7", config)
    assert before == repr(config)


def test_bug_08_a_port_may_be_text():
    """``port='5566'`` is one port, for UDP and TCP, alone and in a list."""
    for stream_class in (UdpStream, TcpStream):
        assert [("h", 5566)] == stream_class("h", "5566")._destinations
        assert [("a", 5566), ("b", 77)] == stream_class(["a", "b"], ["5566", 77])._destinations


def accept(server):
    connection, _ = server.accept()
    connection.settimeout(10)
    return connection


def test_bug_09_tcp_reconnects_and_loses_nothing_to_a_closed_connection():
    """The first write after the peer has closed goes out on a new connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        stream = TcpStream("127.0.0.1", server.getsockname()[1], timeout_s=5)
        stream.write(b"one")
        with accept(server) as first:
            assert first.recv(16) == b"one"
        # The peer's close is on its way over loopback; wait until the kernel has it.
        sock = stream._links()[0]._socket
        sock.settimeout(10)
        assert sock.recv(1, socket.MSG_PEEK) == b""
        stream.write(b"two")
        with accept(server) as second:
            assert second.recv(16) == b"two"
        assert stream.lost == 0
        stream.close()


def test_bug_09_the_pid_is_that_of_the_process_that_sends():
    """A client made before a fork sends the child's pid from the child."""
    client = capture_client()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.heka("t")
            os.write(writing, client.stream.msgs[0])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        _, msg = decode_message(pipe.read())
    os.waitpid(child, 0)
    assert child == msg.pid
    assert os.getpid() == client.pid


def test_bug_10_a_log_record_keeps_arguments_traceback_and_logger():
    """HekaHandler sends the formatted text, the traceback, and the logger's name."""
    client = capture_client()
    logger = logging.Logger("app.module")
    logger.addHandler(HekaHandler(client))
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("value %s of %d", "x", 3)
    (msg,) = sent_messages(client)
    assert msg.logger == "app.module"
    assert msg.payload.startswith("value x of 3\nTraceback (most recent call last):\n")
    assert msg.payload.endswith("KeyError: 'lost'")


def test_bug_11_text_around_a_variable_is_kept(monkeypatch):
    """``${NAME}`` is replaced where it stands, several times too; a percent sign is a percent sign."""
    monkeypatch.setenv("HEKA_TEST_HOME", "/home/x")
    client = client_from_text_config(
        """
        [heka]
        stream_class = heka.streams.DebugCaptureStream
        [heka_plugin_dummy]
        provider = heka.tests.plugin:config_plugin
        verbose = true
        path = ${HEKA_TEST_HOME}/a:${HEKA_TEST_HOME}/b
        share = 100%
        signs = %% %(path)s
        """,
        "heka",
    )
    assert {"path": "/home/x/a:/home/x/b", "share": "100%", "signs": "%% %(path)s"} == client.dummy(verbose=True)


def test_bug_12_a_filter_that_fails_is_logged_once_and_lets_the_message_pass(caplog):
    """An error in a filter never reaches the application."""

    def broken(msg):
        raise KeyError("filter")

    def broken_too(msg):
        raise KeyError("filter")

    client = capture_client(filters=[broken, broken_too, lambda msg: msg.type != "stopped"])
    with caplog.at_level(logging.WARNING, "heka"):
        assert client.heka("t") is True
        assert client.heka("t") is True
        assert client.heka("stopped") is False
    assert len(sent_messages(client)) == 2
    assert ["broken ", "broken_too "] == re.findall(r"broken\w* ", caplog.text)
    assert client.losses["filter_failed"] == 6


@pytest.mark.parametrize(("severity", "level"), [(1, logging.CRITICAL), (5, logging.INFO)])
def test_bug_13_severities_1_and_5_reach_the_logging_module(severity, level, caplog):
    """``client.exception()`` and notices are logged, not lost."""
    client = HekaClient(StdLibLoggingStream("bug13"), "", encoder=StdlibPayloadEncoder)
    with caplog.at_level(logging.DEBUG, "bug13"):
        assert client.heka("kind", severity=severity, payload="100% text") is True
    assert [("bug13", level, "kind: 100% text")] == caplog.record_tuples


def test_configuring_twice_with_the_same_plugin_works():
    """The same configuration, applied to one client again, replaces its plugins instead of failing."""
    config = {
        "stream_class": "heka.streams.DebugCaptureStream",
        "plugins": {"dummy": ("heka.tests.plugin:config_plugin", {"verbose": True, "n": 1})},
    }
    client = client_from_dict_config(config)
    config["plugins"]["dummy"][1]["n"] = 2
    assert client is client_from_dict_config(config, client)
    assert {"n": 2} == client.dummy(verbose=True)
    assert isinstance(client.stream, DebugCaptureStream)
    client_from_dict_config({"stream_class": "heka.streams.StdOutStream"}, client)
    assert not hasattr(client, "dummy")
