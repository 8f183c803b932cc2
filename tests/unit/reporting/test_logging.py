"""RavenHandler: error records become events, lower ones breadcrumbs of the request."""

import collections
import datetime
import decimal
import enum
import fractions
import logging
import queue
import sys
from http import HTTPStatus
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

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
        logger.log(level, [Odd()])
        logger.log(level, "%(a)s", {"a": 1})
        logger.error("end")
    finally:
        logger.propagate = True
    texts = str(last_event(client) if level == logging.INFO else sent_events(client))
    for expected in (f"odd <{__name__}.Odd object> [", "wrong %d", "missing %s %s"):
        assert expected in texts


class Colour(enum.IntEnum):
    RED = 1


class Plain(enum.Enum):
    RED = 1


class Cents(int):
    def __str__(self):
        raise KeyboardInterrupt("the application's code was run")

    __format__ = __index__ = __repr__ = __str__


@pytest.mark.parametrize(
    ("message", "argument", "formatted"),
    [
        ("%d", decimal.Decimal("12.50"), "12"),
        ("%.2f of %s", (decimal.Decimal("12.5"), decimal.Decimal("3.10")), "12.50 of 3.10"),
        ("%s %r %d", (Colour.RED, Colour.RED, Colour.RED), "1 <Colour.RED: 1> 1"),
        ("%s %r", (Plain.RED, Plain.RED), "Plain.RED <Plain.RED: 1>"),
        ("%d %s", (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND), "404 404"),
        ("%d %x %5.1f", (Cents(250), Cents(250), Cents(250)), "250 fa 250.0"),
        ("%d", fractions.Fraction(7, 2), "3"),
        ("%.1f", fractions.Fraction(7, 2), "3.5"),
        ("%s", [1, {"a": decimal.Decimal("1.0")}], "[1, {'a': Decimal('1.0')}]"),
        ("%s", KeyError("basket"), "'basket'"),
        ("%s", Path("/srv/shop"), "/srv/shop"),
        ("%s", datetime.date(2026, 11, 29), "2026-11-29"),
        ("%d", decimal.Decimal("1e999999"), "%d"),
        ("%(count)d of %(all)s", (collections.OrderedDict(count=HTTPStatus.OK, all=Cents(3)),), "200 of 3"),
    ],
)
def test_arguments_are_formatted_as_logging_formats_them(client, logger, message, argument, formatted):
    """Issue 17, item 3: numbers of other types are numbers under %d and %f, and what str() says of them under %s."""
    logger.propagate = False  # to pytest's own handler, which runs the arguments' code
    logger.error(message, *(argument if type(argument) is tuple else (argument,)))
    logger.propagate = True
    assert formatted == last_event(client)["logentry"]["formatted"]


def test_arguments_of_numpy(client, logger):
    """Its scalars are numbers, too."""
    numpy = pytest.importorskip("numpy")
    logger.error("%d %.2f %s %s", numpy.int64(5), numpy.float32(0.5), numpy.uint8(7), numpy.float64(1.5))
    assert "5 0.50 7 1.5" == last_event(client)["logentry"]["formatted"]


class BraceMessage:
    """As the logging cookbook has it."""

    def __init__(self, fmt, /, *args, **kwargs):
        self.fmt, self.args, self.kwargs = fmt, args, kwargs

    def __str__(self):
        return self.fmt.format(*self.args, **self.kwargs)


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_message_objects_keep_their_text(client, logger, environ, level):
    """A message that is no text says what it is, in events and breadcrumbs: once it fails, its class stands there."""
    logger.log(level, BraceMessage("order {} of {who}", 5, who="bob"))
    logger.log(level, ValueError("as a message"))
    logger.propagate = False
    logger.log(level, BraceMessage("{missing}"))
    logger.propagate = True
    logger.error("end")
    found = sent_events(client)
    texts = [event["logentry"]["formatted"] for event in found]
    if level == logging.INFO:
        texts = [crumb["message"] for crumb in found[-1]["breadcrumbs"]["values"]]
    expected = ["order 5 of bob", "as a message", f"<{__name__}.BraceMessage object, its __str__ raised>"]
    assert expected == texts[:3]


@pytest.mark.parametrize("how", ["stack_info", "extra", "frames"])
def test_the_stack_of_a_record(client, logger, how):
    """stack_info=True, and raven's extra={'stack': True}, bring the frames that led to the call, with their values."""

    def work(item):
        if how == "stack_info":
            logger.error("slow", stack_info=True)
        else:
            logger.error("slow", extra={"stack": True if how == "extra" else [sys._getframe()]})

    work("planet")
    event = last_event(client)
    frame = event["stacktrace"]["frames"][-1]
    assert ("work", "planet") == (frame["function"], frame["vars"]["item"])
    assert "stack" not in event["extra"] and "stack_info" not in event["extra"]


def test_an_extra_that_is_called_stack(client, logger):
    """What is no stack of frames is an extra as any other."""
    logger.error("slow", extra={"stack": "lamp"})
    event = last_event(client)
    assert "stacktrace" not in event and "lamp" == event["extra"]["stack"]


def test_the_stack_of_a_record_that_another_thread_handles(client):
    """Its frames are not on this stack: its text is kept, as the logging module's queue keeps it in the message."""
    records = queue.SimpleQueue()
    logger = logging.getLogger("events.queued")
    logger.propagate = False
    handler = QueueHandler(records)
    logger.addHandler(handler)
    listener = QueueListener(records, RavenHandler(client))
    listener.start()
    logger.error("slow", stack_info=True)
    listener.stop()
    logger.removeHandler(handler)
    assert "in test_the_stack_of_a_record_that_another_thread" in last_event(client)["logentry"]["formatted"]
    record = logging.LogRecord("events.made", logging.ERROR, "/no/file.py", 1, "slow", None, None, sinfo="Stack: x")
    RavenHandler(client).handle(record)
    event = last_event(client)
    assert "stacktrace" not in event
    assert "Stack: x" == event["extra"]["stack_info"]


def test_what_is_logged_while_reporting_is_no_event(client, logger):
    """A before_send, and a value's repr, may log, also by another client: it is no event, and no breadcrumb."""
    other = router_client()
    handler = RavenHandler(other, event_level=logging.DEBUG)
    logger.addHandler(handler)

    def before_send(event, hint):
        logger.error("within a report")
        return event

    reporting = router_client(before_send=before_send)
    try:
        raise ValueError("once")
    except ValueError:
        assert reporting.raven() is not None
    finally:
        logger.removeHandler(handler)
    assert ([], []) == (sent_messages(client), sent_messages(other))


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
