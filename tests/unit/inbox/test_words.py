"""What the pages and copies say, and who may ask for them."""

import pytest
from webob import Request, Response
from webob.exc import HTTPException

from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.intake.auth import client_fields, derive, key_of_dsn, read_auth_header
from heka_raven.inbox.intake.quota import Quota
from heka_raven.inbox.web.charts import sparkline
from heka_raven.inbox.web.copies import as_markdown
from heka_raven.inbox.web.guard import COOKIE, Guard
from heka_raven.inbox.web.hostview import MAX_LANES, WIDTH, lanes_of, ticks
from heka_raven.inbox.web.server import ListenError, is_loopback, parse_address
from heka_raven.inbox.web.wording import ago, around, count, figures, iso, machine, marked, tree

TOKEN = "a token of some length"


def asked(path="/", host="127.0.0.1:9000", **headers):
    request = Request.blank(path, headers={key.replace("_", "-"): value for key, value in headers.items()})
    request.host = host
    return request


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost", "[::1]:80", "LOCALHOST:1"])
def test_a_loopback_name_may_read_without_a_token(host):
    """That is the usual, local inbox."""
    assert Guard(None).refuse(asked(host=host)) is None


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.com", "", "10.0.0.1:80", "[::1", "localhost.x:1"])
def test_a_foreign_name_may_not(host):
    """A web page whose name points at 127.0.0.1 must not read the inbox through the visitor's browser."""
    with pytest.raises(HTTPException):
        Guard(None).refuse(asked(host=host))
    assert Guard(None, ["evil.example.com"]).refuse(asked(host="evil.example.com:9")) is None


def test_a_token_is_needed_where_one_is_set():
    """As a header for programs, as a cookie after the form for people; the cookie is not the token."""
    guard = Guard(TOKEN)
    assert guard.refuse(asked(Authorization=f"Bearer {TOKEN}")) is None
    assert guard.refuse(asked("/static/inbox.css")) is None
    assert 303 == guard.refuse(asked("/")).status_int
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": f"{COOKIE}={TOKEN}"}):
        with pytest.raises(HTTPException) as refused:
            guard.refuse(asked("/api/events", **headers))
        assert 401 == refused.value.code
    response = Response()
    assert not guard.log_in("wrong", response)
    assert "Set-Cookie" not in response.headers
    assert guard.log_in(TOKEN, response)
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert guard.refuse(asked(Cookie=cookie.partition(";")[0])) is None
    assert guard.refuse(asked(Cookie="bare; other=1; " + cookie.partition(";")[0])) is None
    assert derive(TOKEN, "key") != derive(TOKEN, "session")


def test_auth_headers_are_read_in_each_spelling():
    """Spaces, case, order and other schemes."""
    expected = {"sentry_version": "7", "sentry_key": "abc", "sentry_client": "x/1"}
    assert expected == read_auth_header("Sentry sentry_version=7, sentry_key=abc,sentry_client=x/1")
    assert expected == read_auth_header("  sentry sentry_version = 7 ,sentry_key= abc, sentry_client=x/1 ")
    for value in ("", "Sentry", "Basic YTpi", "Sentry =", "sentry_key=abc", "Sentry " + "," * 100_000):
        assert {} == read_auth_header(value)
    assert {"sentry_key": "q"} == client_fields({"Authorization": "Bearer x"}, {"sentry_key": "q", "other": "1"})


@pytest.mark.parametrize("value", [None, 5, "", "no dsn", "http://[broken", "http://host/1"])
def test_a_dsn_without_key_gives_none(value):
    """The envelope's header is the client's; it may hold anything."""
    assert "" == key_of_dsn(value)


def test_a_quota_lets_the_rate_pass():
    """As many a second as said, then a pause of whole seconds; zero lets nothing pass; none lets all."""
    quota = Quota(2)
    assert [0, 0, 1] == [quota.pause_s(10.0) for _ in range(3)]
    assert [0, 1] == [quota.pause_s(10.5) for _ in range(2)]
    assert 0 == Quota(0.1).pause_s(1)
    assert 60 == Quota(0).pause_s(1.0)
    assert [0] * 1_000 == [Quota(None).pause_s(1) for _ in range(1_000)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9000", ("127.0.0.1", 9000)), (":0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("web:1", ("web", 1))],
)
def test_addresses(text, expected):
    """A bare port is loopback."""
    assert expected == parse_address("--listen", text)


@pytest.mark.parametrize("text", ["", "x", "host:", "host:-1", "1:65536", "1:٣", ":" * 9])
def test_a_wrong_address_names_the_option(text):
    """And says what is wanted."""
    with pytest.raises(ListenError, match=r"--listen .* want HOST:PORT"):
        parse_address("--listen", text)


def test_only_loopback_is_loopback():
    """A name other than localhost could be any machine."""
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""))


def frame_event(line, caret):
    frames = [{"function": "f", "filename": "a.py", "lineno": 1, "context_line": line}]
    error = {"type": "E", "value": "v", "mechanism": {"data": {"carets": [[0, 1, *caret]]}}}
    return read_event({"exception": {"values": [{**error, "stacktrace": {"frames": frames}}]}})


def test_what_was_filtered_stands_out():
    """Escaped, marked as often as it occurs."""
    assert 'a=<span class="filtered">[Filtered]</span>&amp;b=&lt;' == marked("a=[Filtered]&b=<")


def test_figures_of_the_server_have_units_to_read():
    """Bytes and milliseconds of some size; anything else as it came."""
    rows = [("rss_bytes", "123456789"), ("request_age_ms", "61004"), ("worker", "3"), ("x_ms", "a"), ("y_ms", "12")]
    assert [
        ("rss_bytes", "123456789 (123.5 MB)"),
        ("request_age_ms", "61004 (61.0 s)"),
        *rows[2:],
    ] == figures(rows)


def test_a_long_trace_is_shown_around_the_event():
    """Four to each side; what is at an end has fewer."""
    rows = [{"id": number} for number in range(40)]
    assert list(range(16, 25)) == [row["id"] for row in around(rows, 20)]
    assert [0, 1, 2, 3, 4] == [row["id"] for row in around(rows, 0)]
    assert [35, 36, 37, 38, 39] == [row["id"] for row in around(rows, 39)]


def test_times_and_numbers_in_words():
    """Also those that no calendar has."""
    assert ["now", "now", "5 s ago", "2 min ago", "3 h ago", "4 d ago"] == [
        ago(0, passed) for passed in (-5, 0, 5, 125, 3 * 3_600, 4.5 * 86_400)
    ]
    assert "2023-11-14 22:13:20.250 UTC" == iso(1_700_000_000.25)
    assert "2023-11-14T22:13:20Z" == machine(1_700_000_000.25)
    assert ["", "", ""] == [iso(None), iso(1e300), machine(1e300)]
    assert ["999", "12,345", "1.5M"] == [count(999), count(12_345), count(1_500_000)]


def chain(*links):
    values = [
        {"type": name, "mechanism": {"exception_id": number, "parent_id": parent, "is_exception_group": name == "G"}}
        for name, number, parent in links
    ]
    return read_event({"exception": {"values": values}}).errors


def names(errors):
    return [(error.type, names(error.children)) for error in errors]


def test_exceptions_form_a_tree():
    """By their numbers; a group has its members below it."""
    errors = chain(("C", 3, 1), ("B", 2, 0), ("A", 1, 0), ("G", 0, None))
    assert [("G", [("A", [("C", [])]), ("B", [])])] == names(tree(errors))


def test_exceptions_without_numbers_form_a_chain():
    """Each was caused by the one before it."""
    errors = read_event({"exception": {"values": [{"type": "A"}, {"type": "B"}, {"type": "C"}]}}).errors
    assert [("C", [("B", [("A", [])])])] == names(tree(errors))
    assert [] == tree([])


@pytest.mark.parametrize(
    "links", [[("A", 0, 0)], [("A", 1, 2), ("B", 2, 1)], [("A", 5, 9)], [("A", 1, 1), ("B", 1, 1)]]
)
def test_circles_of_exceptions_end(links):
    """A client's wrong numbers must not hang the page; every exception is shown once."""

    def flat(errors):
        return [name for error in errors for name in [error.type, *flat(error.children)]]

    errors = chain(*links)
    assert sorted(name for name, _, _ in links) == sorted(flat(tree(errors)))


def test_markdown_cannot_be_broken_out_of():
    """Backticks and pipes in values stay inside their code and cells."""
    event = frame_event("a = `b` ``` c", (5, 1, 8))
    event.tags = [("k|`", "v`|``")]
    row = {"happened": 0.0, "title": "E: ```\n# not a heading", "culprit": "", "event_id": "a" * 32}
    text = as_markdown(event, row)
    assert text.startswith("## ")
    assert "\n# not" not in text
    assert "````pytb\n" in text
    assert '  File "a.py", line 1, in f\n    a = `b` ``` c\n        ^^^\n' in text


def mark(event, at, worker="1", host="web", level="error"):
    return {
        "server_event": event, "happened": at, "worker": worker, "server_name": host, "level": level,
        "title": event or "error", "event_id": "a" * 32,
    }  # fmt: skip


def test_hosts_have_a_lane_for_the_server_and_each_worker():
    """By host, the server first, workers by number; a full queue is the server's."""
    rows = [mark("", 5, "10"), mark("", 6, "2"), mark("listen-queue", 7, "2"), mark("", 1, "1", "alpha")]
    lanes, more = lanes_of(rows, 0, 10)
    assert 0 == more
    assert [("alpha", "worker 1"), ("web", "server"), ("web", "worker 2"), ("web", "worker 10")] == [
        (lane.host, lane.name) for lane in lanes
    ]


def test_full_queues_close_together_are_one_span():
    """uWSGI repeats the alarm; the page shows from when to when."""
    lanes, _ = lanes_of([mark("listen-queue", at) for at in (0, 50, 100, 300)], 0, 1_000)
    assert [(0.0, 100.0), (300.0, 4.0)] == [(span.x, span.width) for span in lanes[0].marks]


def test_many_errors_cost_a_bounded_number_of_bars():
    """Events on the same pixels are one bar, with their number."""
    lanes, _ = lanes_of([mark("", at / 1_000) for at in range(5_000)], 0, 5)
    assert len(lanes[0].bars) <= WIDTH / 5
    assert "and 24 more" in lanes[0].bars[0].title
    lanes, more = lanes_of([mark("", 1, str(worker)) for worker in range(MAX_LANES + 7)], 0, 5)
    assert (MAX_LANES, 7) == (len(lanes), more)


@pytest.mark.parametrize("span", [900, 3_600, 21_600, 86_400, 604_800])
def test_the_axis_has_a_handful_of_round_times(span):
    """Inside the picture, for each span."""
    found = ticks(1_700_000_000.0, 1_700_000_000.0 + span)
    assert 4 <= len(found) <= 8
    assert all(0 <= x <= WIDTH and moment % 60 == 0 for x, moment in found)


def test_a_sparkline_has_a_bar_for_each_busy_minute():
    """And says its sum in words."""
    svg = sparkline([0] * 58 + [1, 4])
    assert 2 == svg.count("<rect")
    assert 'aria-label="5 in the last hour"' in svg
    assert "style=" not in svg
