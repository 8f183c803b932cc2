"""RavenClient: raven's API, our engine, heka's delivery."""

import base64
import datetime
import logging
import sys
import zlib

import pytest

from heka.holder import CLIENT_HOLDER
from heka.testing import sent_messages
from heka_raven.raven_plugin import RavenClient
from support.events import DSN, frames_of, last_event, router_client, sent_events, spool_client
from support.spools import spooled_items


@pytest.fixture
def heka():
    return router_client()


@pytest.fixture
def raven(heka):
    return RavenClient(heka_client=heka)


def test_is_a_raven_client(raven):
    """It is raven's own Client, so raven's integrations take it; no hook is installed unless asked for."""
    import raven as library

    assert isinstance(raven, library.Client)
    assert not hasattr(sys.excepthook, "raven_client")


def test_encode_and_decode():
    """encode gives base64 of zlib of JSON; decode takes it as text, as bytes, and without base64."""
    client = RavenClient()
    data = {"a": "ü", "when": datetime.datetime(2013, 11, 29)}
    encoded = client.encode(data)
    assert b'"a": "' in zlib.decompress(base64.b64decode(encoded))
    for payload in (encoded, encoded.decode(), base64.b64decode(encoded)):
        assert "ü" == client.decode(payload)["a"]


@pytest.mark.parametrize(
    "payload", ["no base64!", b"\xff", base64.b64encode(b"no zlib"), base64.b64encode(zlib.compress(b"[]"))]
)
def test_decode_refuses(payload):
    """What is no payload raises ValueError."""
    with pytest.raises(ValueError, match="not a raven payload"):
        RavenClient().decode(payload)


def test_decode_bombs():
    """A payload that unpacks to more than 16 MiB is refused before it is unpacked."""
    with pytest.raises(ValueError, match="more than"):
        RavenClient().decode(base64.b64encode(zlib.compress(b"x" * 20_000_000)))


def test_capture_exception(heka, raven):
    """captureException reports through heka, with contexts, tags, extra, breadcrumbs, level and fingerprint."""
    raven.user_context({"id": 5})
    raven.tags_context({"ctx": "t"})
    raven.extra_context({"ctx": "e"})
    raven.http_context({"url": "http://h/x", "method": "GET", "headers": {"Authorization": "hidden"}})
    raven.captureBreadcrumb(message="clicked", category="ui", data={"n": 1})
    try:
        1 / 0
    except ZeroDivisionError:
        event_id = raven.captureException(
            extra={"own": 1, "password": "hidden"}, tags={"own": "t"}, level="fatal", fingerprint=["f"]
        )
    assert event_id == raven.last_event_id
    event = last_event(heka)
    assert (event_id, "fatal", ["f"]) == (event["event_id"], event["level"], event["fingerprint"])
    assert {"ctx": "t", "own": "t"} == event["tags"]
    assert ("e", 1, "[Filtered]") == tuple(event["extra"][name] for name in ("ctx", "own", "password"))
    assert {"id": "5"} == event["user"]
    assert "http://h/x" == event["request"]["url"]
    (crumb,) = event["breadcrumbs"]["values"]
    assert ("clicked", "ui", {"n": 1}) == (crumb["message"], crumb["category"], crumb["data"])
    assert "1 / 0" in frames_of(event)[-1]["context_line"]
    assert "hidden" not in str(event)


def test_capture_message(heka, raven):
    """captureMessage sends the template, its parameters and the text; with a stack if asked."""
    assert raven.captureMessage("hi %s", params=("x",), level="info", stack=True)
    event = last_event(heka)
    assert {"message": "hi %s", "params": ["x"], "formatted": "hi x"} == event["logentry"]
    assert "info" == event["level"]
    assert "test_capture_message" == event["stacktrace"]["frames"][-1]["function"]


def test_outside_an_exception(heka, raven):
    """captureException with nothing in flight sends nothing."""
    assert raven.captureException() is None
    assert [] == sent_messages(heka)


def test_capture_exceptions_decorator(heka, raven):
    """raven's decorator and context manager report and re-raise."""

    @raven.capture_exceptions
    def fail():
        raise KeyError("k")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(KeyError), raven.capture_exceptions():
        raise KeyError("k")
    assert 2 == len(sent_messages(heka))


def test_ignore_exceptions(heka):
    """raven's ignore_exceptions and sample_rate are honoured."""
    for options, sent in (({"ignore_exceptions": ["KeyError"]}, 0), ({"sample_rate": 0}, 0), ({"sample_rate": 1}, 1)):
        try:
            raise KeyError
        except KeyError:
            RavenClient(heka_client=heka, **options).captureException()
        assert sent == len(sent_messages(heka))


def test_once_with_client_raven(heka, raven):
    """What RavenClient reported, client.raven does not report again."""
    try:
        raise KeyError
    except KeyError:
        assert raven.captureException()
        assert heka.raven() is None


def test_date_and_time(heka, raven):
    """A date given is the event's timestamp."""
    raven.captureMessage("m", date=datetime.datetime(2013, 11, 29, 0, 0, 0, 125000))
    assert "2013-11-29T00:00:00.125000Z" == last_event(heka)["timestamp"]


@pytest.mark.parametrize("dsn", [DSN, "udp://a:b@h:9001/2", "https://nosecret@h/1", "http://a@[::1]:9000/p/1"])
def test_a_dsn_of_its_own(heka, dsn):
    """A DSN of its own is reported to, whatever raven's parser thinks of it; options reach the event."""
    client = RavenClient(dsn, heka_client=heka, release="r1", environment="e1", name="web9", tags={"a": "b"})
    assert client.is_enabled()
    client.captureMessage("m")
    event = last_event(heka)
    assert ("r1", "e1", "web9", "b") == (
        event["release"],
        event["environment"],
        event["server_name"],
        event["tags"]["a"],
    )


def test_finds_the_client(tmp_path, monkeypatch, caplog):
    """Without a client it uses the named one, or with a DSN one of its own on the spool, or the default one."""
    named = router_client()
    CLIENT_HOLDER.set_client("events-raven", named)
    try:
        RavenClient(client_name="events-raven").captureMessage("m")
        assert 1 == len(sent_messages(named))
    finally:
        CLIENT_HOLDER.delete_client("events-raven")
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    assert RavenClient(DSN).captureMessage("own")
    assert "own" == spooled_items(tmp_path / "spool")[0][2]["logentry"]["formatted"]
    assert RavenClient(client_name="no such client").captureMessage("m") is None
    assert not RavenClient(client_name="no such client").is_enabled()


def test_send_and_send_encoded(tmp_path):
    """send scrubs and delivers a finished event; send_encoded delivers a payload as it is."""
    client = RavenClient(heka_client=spool_client(tmp_path / "spool"))
    extra = {"password": "x", "when": datetime.date(2013, 1, 1)}
    assert "a" * 32 == client.send(event_id="a" * 32, message="m", extra=extra)
    assert "b" * 32 == client.send_encoded(client.encode({"event_id": "b" * 32}))
    events = [event for _, _, event in spooled_items(tmp_path / "spool")]
    assert "[Filtered]" == events[0]["extra"]["password"]
    assert {"event_id": "b" * 32} == events[1]


def test_logging_handler(heka, raven):
    """raven's own SentryHandler delivers through heka, with the record's text, level, logger, extra and exception."""
    from raven.handlers.logging import SentryHandler

    logger = logging.getLogger("events-sentry-handler")
    handler = SentryHandler(raven)
    logger.addHandler(handler)
    try:
        logger.error("bad %s", "thing", extra={"own": 1, "stack": True})
        try:
            raise KeyError("k")
        except KeyError:
            logger.exception("while %s", "working")
    finally:
        logger.removeHandler(handler)
    first, second = sent_events(heka)
    assert "bad thing" == first["logentry"]["formatted"]
    assert ("error", "events-sentry-handler", 1) == (first["level"], first["logger"], first["extra"]["own"])
    assert "test_logging_handler" == first["stacktrace"]["frames"][-1]["function"]
    assert ("KeyError", "while working") == (second["exception"]["values"][0]["type"], second["logentry"]["formatted"])


def test_odd_data(heka, raven):
    """Whatever is passed, the call does not raise."""

    class Odd:
        def __repr__(self):
            raise KeyboardInterrupt

        __str__ = __bool__ = __eq__ = __len__ = __iter__ = __repr__

    for kwargs in ({"data": {"request": 5, "user": 7, "logentry": 9}}, {"extra": {"o": Odd()}}, {"tags": {"o": Odd()}}):
        raven.captureMessage("m", **kwargs)
    for name in ("extra", "tags", "data", "level", "fingerprint", "params", "stack", "date"):
        raven.captureMessage("m", **{name: Odd()})
    raven.captureMessage(5)
    raven.captureMessage(Odd())
    assert 13 == len(sent_messages(heka))
    assert not [event for event in sent_events(heka) if event["logentry"]["formatted"].startswith("heka-raven:")]
