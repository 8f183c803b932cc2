"""RavenHandler: error records become events, lower ones breadcrumbs of the request."""

import logging

import pytest

from heka.exceptions import ConfigError
from heka.holder import CLIENT_HOLDER
from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.logging import RavenHandler
from heka_raven.raven_plugin import RavenClient
from support.events import last_event, router_client, sent_events
from support.scope import enter_request


@pytest.fixture
def client():
    return router_client()


@pytest.fixture
def logger(client):
    logger = logging.getLogger("events.app")
    logger.setLevel(logging.DEBUG)
    handler = RavenHandler(client)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


@pytest.fixture
def environ():
    environ = {}
    token = enter_request(lambda given: scope.RequestFacts(transaction="GET /x"), environ)
    yield environ
    scope.CURRENT.reset(token)


@pytest.mark.parametrize(
    ("message", "args", "formatted"),
    [
        ("login password=%s of %s", ("planted", "bob"), "login password=[Filtered] of bob"),
        ("token: %r", ("planted",), "token: '[Filtered]'"),
        ("hello %(password)s", ({"password": "planted"},), "hello [Filtered]"),
        ("connect %s", ("https://u:planted@h",), "connect https://[Filtered]@h"),
    ],
)
def test_parameters_of_a_message_are_as_private_as_its_text(client, logger, environ, message, args, formatted):
    """A parameter that the text calls private is masked beside it, and in a breadcrumb."""
    logger.warning(message, *args)
    logger.error(message, *args)
    event = last_event(client)
    assert formatted == event["logentry"]["formatted"]
    assert formatted == event["breadcrumbs"]["values"][0]["message"]
    assert "planted" not in repr(event)


def test_error_records_become_events(client, logger):
    """An error record is an event: template, parameters, text, level, logger, where it was logged, extra."""
    logger.error("bad %s: %d", "thing", 5, extra={"own": 1, "password": "x", "tags": {"t": 1}, "user": {"id": 3}})
    event = last_event(client)
    assert {"message": "bad %s: %d", "params": ["thing", 5], "formatted": "bad thing: 5"} == event["logentry"]
    assert ("error", "events.app") == (event["level"], event["logger"])
    assert "test_logging in test_error_records_become_events" == event["culprit"]
    assert (1, "[Filtered]") == (event["extra"]["own"], event["extra"]["password"])
    assert ({"t": "1"}, {"id": "3"}) == (event["tags"], event["user"])


def test_exceptions_of_records(client, logger):
    """The exception of a record is reported, as an exception, once."""
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("while %s", "working")
        assert client.raven() is None
    event = last_event(client)
    assert "KeyError" == event["exception"]["values"][0]["type"]
    assert "while working" == event["logentry"]["formatted"]
    assert 1 == len(sent_messages(client))


def test_lower_records_are_breadcrumbs_of_the_request(client, logger, environ):
    """In a request lower records are kept, the last 100, and go with the request's event; private values do not."""
    for number in range(150):
        logger.info("step %d token=abc", number)
    logger.error("failed")
    event = last_event(client)
    crumbs = event["breadcrumbs"]["values"]
    assert 100 == len(crumbs)
    assert ("step 149 token=[Filtered]", "info", "events.app") == (
        crumbs[-1]["message"],
        crumbs[-1]["level"],
        crumbs[-1]["category"],
    )
    assert "GET /x" == event["transaction"]


def test_outside_a_request_nothing_is_kept(client, logger):
    """Outside a request lower records leave nothing behind."""
    logger.info("step")
    logger.error("failed")
    assert "breadcrumbs" not in last_event(client)


def test_breadcrumbs_do_not_cross_requests(client, logger):
    """The breadcrumbs of one request never show in another's event."""
    for number in range(2):
        token = enter_request(lambda given: scope.RequestFacts(), {})
        logger.info("step of %d", number)
        logger.error("failed")
        scope.CURRENT.reset(token)
    assert [["step of 0"], ["step of 1"]] == [
        [crumb["message"] for crumb in event["breadcrumbs"]["values"]] for event in sent_events(client)
    ]


class Odd:
    def __repr__(self):
        raise KeyboardInterrupt("the application's code was run")

    __str__ = __format__ = __int__ = __len__ = __bool__ = __repr__


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_arguments_are_not_asked(client, logger, environ, level):
    """Arguments of a record are shown without running their code; a record that does not format is still reported."""
    logger.propagate = False
    try:
        logger.log(level, "odd %s %r", Odd(), [Odd()])
        logger.log(level, "wrong %d", "x")
        logger.log(level, "missing %s %s", 1)
        logger.log(level, Odd())
        logger.log(level, "%(a)s", {"a": 1})
        logger.error("end")
    finally:
        logger.propagate = True
    texts = str(last_event(client) if level == logging.INFO else sent_events(client))
    for expected in (f"odd <{__name__}.Odd object> [", "wrong %d", "missing %s %s"):
        assert expected in texts


def test_own_loggers_are_left_alone(client):
    """What this package logs never becomes an event."""
    handler = RavenHandler(client)
    for name in ("heka_raven", "heka_raven.x", "heka", "raven.base", "sentry.errors"):
        handler.handle(logging.LogRecord(name, logging.ERROR, "f", 1, "m", None, None))
    assert [] == sent_messages(client)


def test_event_level():
    """``event_level`` says from where on records are events; a wrong one is refused."""
    client = router_client()
    handler = RavenHandler(client, event_level="warning")
    handler.handle(logging.LogRecord("a", logging.WARNING, "f", 1, "m", None, None))
    assert "warning" == last_event(client)["level"]
    with pytest.raises(ConfigError, match="event_level: 'loud'"):
        RavenHandler(client, event_level="loud")


@pytest.mark.parametrize("wrong", ["https://k@h/1", RavenClient("")])
def test_what_reports_nothing_is_refused(wrong):
    """raven's SentryHandler takes a DSN or a raven client: here they are refused at once, not passed over."""
    with pytest.raises(ConfigError, match=f"client: a {type(wrong).__name__} is not allowed"):
        RavenHandler(wrong)


def test_finds_the_client():
    """Without a client the named one is used, or the default one, as of each record; without one nothing happens."""
    client = router_client()
    handler = RavenHandler(client_name="events-logging")
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", None, None)
    handler.handle(record)
    CLIENT_HOLDER.set_client("events-logging", client)
    try:
        handler.handle(record)
    finally:
        CLIENT_HOLDER.delete_client("events-logging")
    assert 1 == len(sent_messages(client))


def test_levels(client, logger):
    """critical is fatal; the levels of the logging module and those between have one of Sentry's."""
    logger.critical("c")
    logger.log(45, "between")
    assert ["fatal", "error"] == [event["level"] for event in sent_events(client)]


def test_configured_by_dict(client):
    """logging.config can make it."""
    import logging.config

    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"raven": {"class": "heka_raven.logging.RavenHandler", "level": "INFO", "client": client}},
            "loggers": {"events.dict": {"handlers": ["raven"]}},
        }
    )
    logging.getLogger("events.dict").error("m")
    assert 1 == len(sent_messages(client))
