"""Events that have one cause become one issue; events of different causes do not."""

import pytest

from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.event.summary import summarise
from heka_raven.inbox.web.wording import where


def failing(function="pay", module="shop.views", lineno=10, error="KeyError", value="'x'", in_app=True, **event):
    frames = [
        {"function": function, "module": module, "lineno": lineno, "in_app": in_app},
        {"function": "get", "module": "lib", "in_app": False},
    ]
    return {"exception": {"values": [{"type": error, "value": value, "stacktrace": {"frames": frames}}]}, **event}


def entry(template, *params):
    return {"logentry": {"message": template, "params": list(params)}}


def grouping(event):
    return summarise(read_event(event)).grouping


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (failing(value="'x'"), failing(value="'y'")),
        (failing(lineno=10), failing(lineno=99)),
        (failing(release="1"), failing(release="2")),
        ({"message": "disk 91 % full"}, {"message": "disk 92 % full"}),
        (entry("user %s left", "a"), entry("user %s left", "b")),
        (failing(fingerprint=["mine"]), failing(error="ValueError", fingerprint=["mine"])),
        (failing(fingerprint=["{{ default }}"]), failing()),
        (failing(fingerprint=["{{default}}", "a"]), failing(value="'y'", fingerprint=["{{ default }}", "a"])),
    ],
)
def test_the_same_cause_is_one_issue(one, other):
    """Messages, lines and releases vary; a fingerprint of the client wins."""
    assert grouping(one) == grouping(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (failing(), failing(error="ValueError")),
        (failing(), failing(function="refund")),
        (failing(), failing(module="shop.api")),
        ({"message": "disk full"}, {"message": "disk gone"}),
        ({"message": "x", "logger": "a"}, {"message": "x", "logger": "b"}),
        (failing(), failing(tags={"uwsgi.event": "harakiri"})),
        (failing(fingerprint=["a"]), failing(fingerprint=["b"])),
        (failing(fingerprint=["{{ default }}", "a"]), failing(fingerprint=["{{ default }}", "b"])),
    ],
)
def test_another_cause_is_another_issue(one, other):
    """Type, place, message, logger, kind of event, fingerprint."""
    assert grouping(one) != grouping(other)


def test_the_newest_exception_names_the_event():
    """Chained exceptions come oldest first; the last one is what the app raised."""
    values = [{"type": "KeyError", "value": "'x'"}, {"type": "RuntimeError", "value": "no\nprice"}]
    summary = summarise(read_event({"exception": {"values": values}}))
    assert ("RuntimeError", "RuntimeError: no") == (summary.type, summary.title)


def test_the_innermost_app_frame_is_the_culprit():
    """Without a transaction; frames of libraries do not count where there are others."""
    assert "shop.views in pay" == summarise(read_event(failing())).culprit
    assert "lib in get" == summarise(read_event(failing(in_app=False))).culprit
    assert "GET /pay" == summarise(read_event(failing(transaction="GET /pay"))).culprit


def test_the_logger_stands_where_there_is_no_culprit():
    """So that the list says where a message came from; it does not split issues that were one."""
    event = {"message": "the disk is full", "logger": "shop.jobs"}
    assert "shop.jobs" == summarise(read_event(event)).culprit
    assert "" == summarise(read_event({"message": "the disk is full"})).culprit


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('listen queue of socket "127.0.0.1:8080" (fd: 3) full !!! (101/100)', "listen-queue"),
        ("*** backtrace of 4711 ***\nuwsgi(uwsgi_backtrace+0x2a)", "segfault"),
        ("CRITICAL the payment service does not answer", "uwsgi"),
    ],
)
def test_alarms_of_uwsgi_are_known_by_their_words(said, kind):
    """Without the watch, too, a full queue and a crash stand as such in the host view; only what the plugin sent."""
    alarm = {"message": said, "logger": "mine", "sdk": {"name": "heka-raven.uwsgi", "version": "1"}}
    assert kind == summarise(read_event(alarm)).server_event
    assert "" == summarise(read_event({"message": said})).server_event


@pytest.mark.parametrize(
    "event",
    [
        failing(),
        failing(in_app=False),
        failing(transaction="GET /pay", tags={"uwsgi.event": "harakiri"}),
        {"exception": {"values": [{"type": "A"}, {"type": "B", "stacktrace": {"frames": [None, {}, "x"]}}]}},
        {"stacktrace": {"frames": [{"function": "f", "in_app": True}, {"function": "g", "in_app": False}] * 9}},
        {"exception": {"values": [{"type": "A", "stacktrace": {"frames": []}}]}},
    ],
)
def test_the_brief_reading_indexes_the_same(event):
    """The intake reads less of an event than its page does; issue, title and words are those of the whole."""
    assert summarise(read_event(event)) == summarise(read_event(event, brief=True))


def test_an_empty_event_has_a_title():
    """So that there is something to click."""
    assert "(no message)" == summarise(read_event({})).title


def test_what_is_searched_is_there_once_and_folded():
    """Type, message, culprit, URL, logger, function."""
    event = failing(value="GRÖSSE", request={"url": "https://Example.com/Pay"}, logger="Shop", transaction="GET /pay")
    words = summarise(read_event(event)).search
    for part in ("keyerror", "grösse", "https://example.com/pay", "shop", "get /pay", "shop.views pay"):
        assert part in words


def test_two_functions_of_one_name_differ_by_their_file():
    """A row of the list names file and function, and does not say the function twice."""
    event = failing(function="hello", module="shop.admin", transaction="GET /hello")
    event["exception"]["values"][0]["stacktrace"]["frames"][0]["filename"] = "shop/admin.py"
    summary = summarise(read_event(event))
    assert "shop/admin.py in hello" == summary.place
    assert "shop/admin.py in hello" in summary.search
    assert ["GET /hello", "shop/admin.py in hello"] == where(summary.culprit, summary.place)
    assert ["a/b.py in pay"] == where("a.b in pay", "a/b.py in pay")
    assert ["shop.jobs"] == where("shop.jobs", "")
