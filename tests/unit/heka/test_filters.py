"""Filters, and the logging module in both directions."""

import logging

import pytest

from heka.client import HekaClient
from heka.encoders import StdlibPayloadEncoder
from heka.filters import (
    severity_max_provider,
    type_blacklist_provider,
    type_severity_max_provider,
    type_whitelist_provider,
)
from heka.logging import LOGLEVEL_MAP, SEVERITY_MAP, HekaHandler, hook_logger
from heka.message import first_value
from heka.streams import StdLibLoggingStream
from heka.testing import assert_message, capture_client, sent_messages


def kinds(client):
    return [(msg.type, msg.severity) for msg in sent_messages(client)]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: severity_max_provider(4), [("a", 3), ("b", 4)]),
        (lambda: severity_max_provider("4"), [("a", 3), ("b", 4)]),
        (lambda: type_blacklist_provider(["a", "x"]), [("b", 4), ("bc", 5)]),
        (lambda: type_blacklist_provider("bc"), [("a", 3), ("b", 4)]),
        (lambda: type_whitelist_provider(["a", "x"]), [("a", 3)]),
        (lambda: type_whitelist_provider("bc"), [("bc", 5)]),
        (lambda: type_severity_max_provider({"b": {"severity": 3}, "bc": {"severity": 5}}), [("a", 3), ("bc", 5)]),
    ],
)
def test_filters(make, expected):
    """Each provider's filter lets pass what it should; a single type is no set of letters."""
    client = capture_client(filters=[make()])
    for kind, severity in (("a", 3), ("b", 4), ("bc", 5)):
        client.heka(kind, severity=severity)
    assert expected == kinds(client)


def test_every_filter_must_agree_and_may_change_the_message():
    """Filters are asked in order; what one writes into the message is sent."""

    def mark(msg):
        msg.logger = "marked"
        return True

    client = capture_client(filters=[mark, type_whitelist_provider("a")])
    assert [True, False] == [client.heka("a"), client.heka("b")]
    (msg,) = sent_messages(client)
    assert msg.logger == "marked"
    assert client.passes_filters(msg) is True
    msg.type = "b"
    assert client.passes_filters(msg) is False


@pytest.fixture
def logger():
    """A logger of its own, without handlers."""
    logger = logging.getLogger("heka_test_logger")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True


def test_a_hooked_logger_sends(logger):
    """Level, text, name and loglevel of each record go out; hooking twice sends once."""
    client = capture_client()
    hook_logger(logger.name, client)
    hook_logger(logger.name, client)
    hook_logger(logger.name, other := capture_client())
    for level in (10, 20, 30, 40, 50, 25):
        logger.log(level, "at %d", level)
    messages = sent_messages(client)
    assert len(messages) == len(sent_messages(other)) == 6
    assert [7, 6, 4, 3, 2, 4] == [msg.severity for msg in messages]
    assert [10, 20, 30, 40, 50, 25] == [first_value(msg, "loglevel") for msg in messages]
    assert_message(messages[0], type="oldstyle", payload="at 10", logger=logger.name)


def test_a_formatter_is_used(logger):
    """The handler honours ``setFormatter``, as handlers do."""
    handler = HekaHandler(capture_client())
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    logger.addHandler(handler)
    logger.info("x")
    (msg,) = sent_messages(handler.heka_client)
    assert msg.payload == "<x>"


def test_a_record_that_cannot_be_formatted_does_not_reach_the_application(capsys):
    """It goes to ``handleError``, and the next record is sent."""
    handler = HekaHandler(capture_client())
    for text, args in (("%d", ("no number",)), ("next", ())):
        handler.handle(logging.LogRecord("app", logging.INFO, __file__, 1, text, args, None))
    assert ["next"] == [msg.payload for msg in sent_messages(handler.heka_client)]
    assert "Logging error" in capsys.readouterr().err


def test_a_loop_through_logging_ends(logger):
    """A client that writes into the logger it is hooked on sends each record once."""
    client = HekaClient(StdLibLoggingStream(logger.name), "loop", encoder=StdlibPayloadEncoder)
    seen = []
    listener = logging.Handler()
    listener.emit = lambda record: seen.append(record.getMessage())
    hook_logger(logger.name, client)
    logger.addHandler(listener)
    logger.warning("once")
    assert ["oldstyle: once", "once"] == seen


def test_what_heka_says_of_itself_is_not_sent_through_heka():
    """A broken client hooked on its own warnings does not feed on them."""
    client = capture_client()
    hook_logger("heka", client)
    try:
        HekaClient(None, "idle").heka("t")
    finally:
        logging.getLogger("heka").handlers.clear()
    assert sent_messages(client) == []


def test_the_stdlib_stream_logs(caplog):
    """Type and payload of each message are logged at its level, on the named logger or the root."""
    client = HekaClient(StdLibLoggingStream(), "", encoder=StdlibPayloadEncoder)
    with caplog.at_level(logging.DEBUG):
        client.heka("a_very_long_type", severity=3, payload="grüße %s")
        client.heka("ütf8_type_", severity=7, payload="p")
        client.heka("t", severity=4, payload="p", fields={"loglevel": 45})
        client.heka("t", severity=4, payload="p", fields={"loglevel": "no number"})
    assert [
        ("root", 40, "a_very_lon: grüße %s"),
        ("root", 10, "ütf8_type: p"),
        ("root", 45, "t: p"),
        ("root", 30, "t: p"),
    ] == caplog.record_tuples
    with pytest.raises(NotImplementedError):
        StdlibPayloadEncoder().decode(b"")


def test_maps_between_severities_and_levels_are_whole():
    """Every severity has a level; every standard level has a severity."""
    assert set(range(8)) == set(LOGLEVEL_MAP)
    assert {0, 10, 20, 30, 40, 50} == set(SEVERITY_MAP)
