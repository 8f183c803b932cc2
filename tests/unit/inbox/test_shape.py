"""Events of any version and any malice are read into typed, bounded values."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.inbox.event.bounded import MAX_PAIRS, moment, pairs, pretty, text
from heka_raven.inbox.event.older_protocols import level_name
from heka_raven.inbox.event.shape import MAX_FRAMES, event_id_of, read_event
from heka_raven.inbox.event.summary import summarise

LEGACY = json.loads((Path(__file__).parent.parent.parent / "data" / "inbox_raven_v3.json").read_bytes())


def frame(**keys):
    return {"function": "f", "filename": "a.py", "lineno": 3, "context_line": "    return rate[currency]", **keys}


def one_error(*frames, **keys):
    error = {"type": "KeyError", "value": "'x'", "stacktrace": {"frames": list(frames)}, **keys}
    return {"exception": {"values": [error]}}


def test_a_flat_legacy_event_reads_like_a_new_one():
    """``sentry.interfaces.*``: exception and stack are joined, quotes of locals' names taken off, levels named."""
    event = read_event(LEGACY)
    [error] = event.errors
    assert ("ZeroDivisionError", "integer division or modulo by zero") == (error.type, error.value)
    assert ["basic", "exception_call1", "exception_call2"] == [frame.function for frame in error.frames]
    assert [("y", "5"), ("x", "5")] == [(node.name, node.text) for node in error.frames[1].locals]
    assert "error" == event.level
    assert 1385683200.0 == event.timestamp
    assert "goldapp in exception_call2" == event.culprit


def test_columns_come_from_the_carets():
    """1-based, end excluded: the failing expression is marked, nothing beside it."""
    line = "    return rate[currency]"
    found = read_event(one_error(frame(), mechanism={"data": {"carets": [[0, 3, 12, 3, 26]]}})).errors[0].frames[0]
    start, end = found.carets
    assert "rate[currency]" == line[start:end]


@pytest.mark.parametrize(
    "caret",
    [[0, 3, 0, 3, 5], [0, 3, 9, 3, 2], [9, 3, 1, 3, 5], [0, 4, 1, 4, 5], [0, 3, 1], "x", [None] * 5, [-1, 3, 1, 3, 4]],
)
def test_impossible_columns_are_ignored(caret):
    """A client's wrong numbers mark nothing."""
    event = read_event(one_error(frame(), mechanism={"data": {"carets": [caret]}}))
    assert event.errors[0].frames[0].carets is None


def test_a_range_beyond_the_line_ends_with_it():
    """A range over several lines, or one too far, marks to the end of the shown line."""
    for caret in ([0, 3, 12, 5, 2], [0, 3, 12, 3, 99_999]):
        found = read_event(one_error(frame(), mechanism={"data": {"carets": [caret]}})).errors[0].frames[0]
        assert (11, 25) == found.carets


def test_a_bare_column_marks_one_character():
    """Other clients send ``colno`` only."""
    assert (4, 5) == read_event(one_error(frame(colno=5))).errors[0].frames[0].carets


def test_long_stacks_keep_both_ends():
    """The outermost 50 and the innermost 200 frames are kept, and it is said."""
    event = read_event(one_error(*[frame(function=f"f{i}") for i in range(1_000)]))
    error = event.errors[0]
    assert MAX_FRAMES == len(error.frames)
    assert ("f0", "f999") == (error.frames[0].function, error.frames[-1].function)
    assert "750 of 1,000 frames" in error.omitted


def test_tables_say_what_they_leave_out():
    """100,000 keys become 200 rows and a count."""
    rows = pairs({f"k{i}": i for i in range(100_000)})
    assert MAX_PAIRS + 1 == len(rows)
    assert "99,800 more" == rows[-1][1]


def test_a_large_value_costs_only_what_is_shown():
    """A value is written until its limit, not to its end."""
    bomb = {"a": [list(range(1_000))] * 1_000}
    shown = pretty(bomb)
    assert len(shown) <= 2_000
    assert shown.endswith("…")


def test_a_template_is_filled_without_following_its_widths():
    """``%999999999d`` and a thousand repetitions of a large value stay small."""
    for template, params in (
        ("%999999999d", [1]),
        ("%.999999999f", [1.0]),
        ("%(a)s" * 1_600, {"a": "x" * 1_000_000}),
        ("%*d", [999_999_999, 1]),
    ):
        event = read_event({"logentry": {"message": template, "params": params}})
        assert len(event.message) <= 8_192
    assert "7 of 9: 100 %" == read_event({"logentry": {"message": "%d of %s: 100 %%", "params": [7, 9]}}).message
    assert "x %s" == read_event({"logentry": {"message": "%s %s", "params": ["x"]}}).message


@pytest.mark.timeout(20)
def test_templates_that_look_like_work_are_quick():
    """Zeros, flags and names without end after a percent sign are no formats."""
    for template in ("%" + "0" * 8_000, "%" + "-+ #0" * 1_600, "%(" + "a" * 8_000, "%0" * 4_000, "%." + "9" * 8_000):
        read_event({"logentry": {"message": template * 1, "params": ["x"] * 100}})


def test_the_trace_comes_from_the_request_s_headers_too():
    """A client without a trace of its own passes on what the request came in with."""
    for name, value in (("Sentry-Trace", "a" * 32 + "-bbbb-1"), ("traceparent", "00-" + "a" * 32 + "-bbbb-01")):
        assert "a" * 32 == read_event({"request": {"headers": {name: value}}}).trace_id
    assert "" == read_event({"request": {"headers": {"sentry-trace": "x", "traceparent": "-" * 99}}}).trace_id


def test_a_request_comes_in_each_form():
    """Headers and a query are shown the same, as an object and a text or as the pairs of other clients."""
    headers = [("Accept", "a, b"), ("X", "1")]
    query = [("a", "1"), ("b", "x y"), ("c", "")]
    texts = {"headers": dict(headers), "query_string": "a=1&b=x+y&c="}
    pairs = {"headers": [list(pair) for pair in headers], "query_string": [list(pair) for pair in query]}
    objects = {"headers": dict(headers), "query_string": dict(query)}
    for request in (texts, pairs, objects):
        read = read_event({"request": {"url": "http://h/", "method": "GET", **request}}).request
        assert (headers, query) == (read.headers, read.query)
    old = {"sentry.interfaces.Http": {"url": "http://h/", "method": "GET", **texts}}
    read = read_event(old).request
    assert (headers, query) == (read.headers, read.query)


def test_tags_come_in_each_form_and_once():
    """A mapping, pairs, objects; a key named twice counts once."""
    for tags in ({"a": 1, "b": "x"}, [["a", 1], ["b", "x"]], [{"key": "a", "value": 1}, {"key": "b", "value": "x"}]):
        assert [("a", "1"), ("b", "x")] == read_event({"tags": tags}).tags
    assert [("a", "2")] == read_event({"tags": [["a", 1], ["a", 2], ["b", ""], "c", ["d"]]}).tags


def test_disguising_characters_are_made_visible():
    """Control characters and those that turn the writing direction do not reach a page."""
    assert "a\ufffdb␀c␛[31m" == text("a\u202eb\x00c\x1b[31m")
    assert "keeps\nlines\tand ümläuts" == text("keeps\r\nlines\tand ümläuts")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2013-11-29T00:00:00Z", 1385683200.0),
        ("2013-11-29T00:00:00", 1385683200.0),
        ("2013-11-29T01:00:00.1234567+01:00", 1385683200.123456),
        ("2013-11-29T00:00:00.5Z", 1385683200.5),
        (1385683200, 1385683200.0),
        (1385683200.25, 1385683200.25),
        ("yesterday", None),
        ("0001-01-01T00:00:00+23:59", None),
        (float("inf"), None),
        (-5, None),
        (True, None),
        (None, None),
        ([], None),
        ("9" * 100_000, None),
    ],
)
def test_times_are_read_in_each_form(value, expected):
    """Numbers, ISO with any fraction and zone; what is no time is none."""
    assert expected == moment(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (40, "error"),
        ("30", "warning"),
        ("warn", "warning"),
        ("CRITICAL", "fatal"),
        (55, "fatal"),
        ("?", "error"),
        ("²", "error"),
    ],
)
def test_levels_have_five_names(value, expected):
    """Numbers of Python's logging and other clients' names; what is unknown is an error."""
    assert expected == level_name(value)


def test_ids_are_32_hex_digits_or_none():
    """They become a part of addresses: nothing else may pass."""
    assert "0123456789abcdef" * 2 == event_id_of("01234567-89AB-cdef-0123-456789abcdef")
    for value in ("x" * 32, "0" * 31, "../" * 10, None, 5, ["0" * 32], "0" * 32 + "\n0"):
        assert "" == event_id_of(value)


def test_server_events_name_the_requests_in_flight():
    """The suspect first, then the bystanders, oldest first; an event id links them."""
    uwsgi = {
        "worker": 3,
        "suspect": {"method": "POST", "url": "/pay", "age_s": 60.5, "worker": 3, "event_id": "a" * 32, "user": "7"},
        "bystanders": [{"url": "/new", "age_s": 1}, {"url": "/old", "age_ms": 9_000}, {}, "x"],
    }
    event = read_event({"tags": {"uwsgi.event": "harakiri"}, "contexts": {"uwsgi": uwsgi}})
    assert ["/pay", "/old", "/new"] == [item.url for item in event.in_flight]
    assert [("user", "7")] == event.in_flight[0].facts
    assert ("harakiri", "3") == (event.server_event, event.worker)
    assert f"event:{'a' * 32}" in summarise(event).links
    assert [("uwsgi", [("worker", "3")])] == event.contexts


def test_the_watch_s_own_words_are_read():
    """Its request is the suspect; the other requests are lines; the worker stands in ``extra``."""
    extra = {
        "worker": "3", "pid": "77", "core": "0", "request_age_ms": "60200", "rss_bytes": "1000",
        "other_requests": "GET /p/1 for 400 ms on worker 1 core 0\n"
        "(a request that is not read yet)  for 9 ms on worker 2 core 1\n"
        "GET /a for b for 1000 ms on worker 4 core 0\nrubbish\n",
    }  # fmt: skip
    event = read_event(
        {
            "tags": {"uwsgi.event": "harakiri"},
            "extra": extra,
            "request": {"method": "POST", "url": "http://x/pay"},
            "exception": {"values": [{"type": "harakiri", "value": "uWSGI killed worker 3 after 60 s in POST /pay"}]},
        }
    )
    suspect, *others = event.in_flight
    assert ("suspect", "http://x/pay", 60.2, "3", "0", "77") == (
        suspect.role, suspect.url, suspect.age_s, suspect.worker, suspect.core, suspect.pid,
    )  # fmt: skip
    assert [("/a for b", 1.0, "4"), ("/p/1", 0.4, "1"), ("", 0.009, "2")] == [
        (item.url, item.age_s, item.worker) for item in others
    ]
    assert ("3", "uWSGI killed worker 3 after 60 s in POST /pay") == (event.worker, summarise(event).title)
    assert "other_requests" not in dict(event.extra)


def test_gunicorn_s_watch_is_a_server_s():
    """What gunicorn's watch tells is a server event, with its sentence as the title, its worker and its requests."""
    said = "gunicorn killed worker 7 after 30 s in GET /report at q (a.py:5)"
    suspect = {"method": "GET", "path": "/report", "age_ms": 30_700}
    event = read_event(
        {
            "tags": {"gunicorn.event": "timeout"},
            "logentry": {"formatted": said},
            "exception": {"values": [{"type": "gunicorn timeout", "value": said}]},
            "contexts": {"gunicorn": {"worker": 7, "suspect": suspect, "bystanders": [{**suspect, "path": "/b"}]}},
        }
    )
    assert ("timeout", "7", said) == (event.server_event, event.worker, summarise(event).title)
    assert [("suspect", "/report"), ("bystander", "/b")] == [(item.role, item.url) for item in event.in_flight]


def test_requests_in_flight_may_be_a_text():
    """The plugin's ``extra`` holds texts only; one that is no JSON is ignored."""
    event = read_event({"extra": {"suspect": '{"url": "/pay", "age_s": 2}', "bystanders": '[{"url": "/p"}]', "a": "b"}})
    assert ["/pay", "/p"] == [item.url for item in event.in_flight]
    assert [("a", "b")] == event.extra
    assert [] == read_event({"extra": {"suspect": "{", "bystanders": "[" * 70_000}}).in_flight


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"tags": {"uwsgi.event": "harakiri"}}, "harakiri"),
        ({"sdk": {"name": "heka-raven.uwsgi", "version": "1"}}, "uwsgi"),
        ({"logger": "uwsgi.sentry", "sentry.interfaces.Message": {"message": "x"}}, "uwsgi"),
        ({"sdk": {"name": "heka-raven", "version": "1"}, "logger": "app"}, ""),
    ],
)
def test_the_server_s_events_are_known(event, expected):
    """By the watch's tag, the plugin's name, or, in version 3, its logger."""
    assert expected == read_event(event).server_event


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=15,
)
KEYS = [
    "exception", "sentry.interfaces.Exception", "stacktrace", "threads", "request", "tags", "extra", "user", "contexts",
    "breadcrumbs", "fingerprint", "message", "logentry", "level", "timestamp", "event_id", "modules", "sdk", "culprit",
]  # fmt: skip
INNER = ["values", "frames", "stacktrace", "mechanism", "data", "carets", "headers", "vars", "trace", "uwsgi"]
shaped = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), shaped, max_size=8))
def test_no_shape_of_event_breaks_the_reader(event):
    """Whatever stands where: it is read and summarised, and the given event is not changed."""
    before = json.dumps(event, default=str)
    summary = summarise(read_event(event))
    assert len(summary.title) <= 300
    read_event(event, brief=True)
    assert before == json.dumps(event, default=str)
