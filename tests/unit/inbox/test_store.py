"""The database: grouping, searching, deleting, keeping."""

import itertools
import json
import os
import sqlite3
import stat
import threading

import pytest

from heka_raven.inbox.intake.intake import Intake, Limits, Refusal
from heka_raven.inbox.store.keep import Keep, KeepError, parse_keep
from heka_raven.inbox.store.queries import (
    choices,
    get_body,
    get_event,
    get_issue,
    list_events,
    list_issues,
    neighbours,
    related,
    totals,
)
from heka_raven.inbox.store.search import parse_search, tag_query
from heka_raven.inbox.store.store import TRIM_EVERY, Store, StoreError

NOW = 1_700_000_000.0


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "inbox.db"))
    yield store
    store.close()


def put(store, number, at=NOW, **event):
    event = {"event_id": f"{number:032x}", **event}
    return Intake(store, lambda: at).take_event("1", json.dumps(event).encode())


def error(kind="KeyError", value="'x'", **event):
    return {"exception": {"values": [{"type": kind, "value": value}]}, **event}


def titles(store, query="", **choice):
    rows, _ = list_issues(store, parse_search({"q": query, **choice}), NOW)
    return [row.title for row in rows]


def numbers(rows):
    return [int(row["event_id"], 16) for row in rows]


def test_issues_count_and_date_their_events(store):
    """First and last seen, the count, and the last hour minute by minute; the newest event names the issue."""
    put(store, 1, NOW - 3_000, **error(value="old"))
    put(store, 2, NOW - 10, **error("ValueError"))
    put(store, 3, NOW, message="other")
    put(store, 4, NOW, **error(value="new", fingerprint=["{{ default }}"]))
    rows, more = list_issues(store, parse_search({}), NOW)
    assert 0 == more
    assert [("other", 1), ("ValueError: 'x'", 1)] == [(row.title, row.count) for row in rows[1:3]]
    rows = {row.title: row for row in rows}
    assert 4 == len(rows)
    put(store, 5, NOW, **error(value="old"))
    [row] = [row for row in list_issues(store, parse_search({}), NOW)[0] if row.count == 2]
    assert (NOW - 3_000, NOW) == (row.first_seen, row.last_seen)
    assert 60 == len(row.spark)
    assert (1, 1) == (row.spark[59], row.spark[9])


def test_one_event_id_is_stored_once(store):
    """Threads that deliver the same event at once: one row."""
    threads = [threading.Thread(target=put, args=(store, 7), kwargs=error()) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (1, 1) == (totals(store)[0], len(list_events(store)))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("keyerror", {1}),
        ("KEY", {1}),
        ("gbp", {1}),
        ("shop.example.com/pay", {1}),
        ("KeyError: 'GBP'", {1}),
        ("\"KeyError: 'GBP'\"", {1}),
        ("https://shop.example.com/pay", {1}),
        ("-https://shop.example.com/pay", {2, 3}),
        ("failed twice", {2}),
        ('"failed twice"', {2}),
        ('"twice failed"', set()),
        ("-keyerror", {2, 3}),
        ("!payment:card", {2, 3}),
        ("payment:card", {1}),
        ('city:"New York"', {2}),
        ("city:New*", {2}),
        ("city:New", set()),
        ("city:* payment:*", set()),
        ("city:* -payment:*", {2}),
        ("payment:* -city:x", {1}),
        ("url:/pay", {1}),
        ("-url:/pay", {2, 3}),
        ("level:warning", {2}),
        ("host:web-1", {1, 3}),
        ("logger:shop.*", {2}),
        ("host:web-1 payment:card", {1}),
        ("payment:card city:x", set()),
        ("server_name:web-1 -keyerror", {3}),
        ("100%", {3}),
        ("a_b", {3}),
        ("host:web_1", set()),
        ("k*r", {1}),
        ("*" * 400, {1, 2, 3}),
        ("tr\u00c4ger", {3}),
        ("' OR 1=1 --", set()),
        ("payment:' OR '1'='1", set()),
        ("url:%", set()),
        ('"', {1, 2, 3}),
        (":", {1}),
        ("is:open gbp", {1}),
        ("is:resolved", set()),
        ("payment:card is:any", {1}),
        ("\x00", set()),
    ],
)
def test_search(store, query, expected):
    """Words, phrases, tags, columns, with - or !, with *; nothing else has a meaning, least of all SQL's own.

    A title and an address are found by pasting them, colons and all.
    """
    put(store, 1, **error("KeyError", "'GBP'", server_name="web-1", tags={"payment": "card"},
        request={"url": "https://shop.example.com/pay"}))  # fmt: skip
    put(store, 2, message="failed twice", level="warning", logger="shop.mail", tags={"city": "New York"})
    put(store, 3, message="100% of a_b Träger", server_name="web-1", level="info")
    found = {int(get_event_of(store, title), 16) for title in titles(store, query)}
    assert expected == found


@pytest.mark.parametrize(
    "title",
    [
        "gaierror: [Errno -2] Name or service not known",
        "job 12:30:00 failed",
        "std::bad_alloc",
        "ValueError: bad:value",
        "!important: -- nothing",
        "-1 is not a number",
        "is: this * a (title)?",
        'he said "no": never',
    ],
)
def test_a_pasted_title_is_found(store, title):
    """Whatever of it looks like a tag, a column, NOT or a state."""
    put(store, 1, message=title)
    put(store, 2, message="something else")
    assert [title] == titles(store, title)


def get_event_of(store, title):
    return next(row["event_id"] for row in list_events(store) if row["title"] == title)


def test_filters(store):
    """Level, release, environment, and who noticed; together they all hold, and the count is what matches."""
    put(store, 1, **error(release="1", environment="prod"))
    put(store, 2, **error(release="2", environment="prod", level="fatal"))
    put(store, 3, message="harakiri", tags={"uwsgi.event": "harakiri"}, release="2")
    assert ["KeyError: 'x'"] == titles(store, kind="app")
    assert ["harakiri"] == titles(store, kind="server")
    assert ["harakiri", "KeyError: 'x'"] == titles(store, release="2")
    assert [] == titles(store, release="2", environment="test")
    assert ["KeyError: 'x'"] == titles(store, "keyerror", level="fatal")
    [row] = list_issues(store, parse_search({"level": "fatal"}), NOW)[0]
    assert (1, 2) == (row.matching, row.count)
    assert (["1", "2"], ["prod"]) == (choices(store, "release"), choices(store, "environment"))


def test_pages_of_issues(store):
    """Fifty a page; the next one goes on where this one ended, with and without a search."""
    for number in range(120):
        put(store, number, message=f"m {'z' * (number + 1)}")
    for query in ("", "m"):
        seen, page, more = [], 0, True
        while more:
            rows, more = list_issues(store, parse_search({"q": query, "page": str(page)}), NOW)
            seen += [row.last_event for row in rows]
            page += 1
        assert 3 == page
        assert sorted(seen, reverse=True) == seen
        assert 120 == len(set(seen))


def test_related_events(store):
    """Same trace, same request id, or the event that a suspect had reported, and what those name; others not."""
    trace = {"contexts": {"trace": {"trace_id": "a" * 32}}}
    put(store, 1, NOW, message="app", timestamp=NOW - 2, **trace)
    put(store, 2, NOW, message="log", timestamp=NOW - 3, **trace)
    put(store, 3, NOW, message="stranger", contexts={"trace": {"trace_id": "b" * 32}})
    suspect = {"contexts": {"uwsgi": {"suspect": {"url": "/", "event_id": f"{1:032x}"}}}}
    put(store, 4, NOW, message="harakiri", tags={"uwsgi.event": "harakiri"}, timestamp=NOW, **suspect)
    assert [2, 1, 4] == numbers(related(store, get_event(store, f"{1:032x}")))
    assert [2, 1, 4] == numbers(related(store, get_event(store, f"{4:032x}")))
    assert [3] == numbers(related(store, get_event(store, f"{3:032x}")))


def test_a_slow_request_and_its_harakiri_are_related(store):
    """They began at one moment in one process; another request of that process did not."""

    def watch(number, at, age_ms, pid="77"):
        extra = {"worker": "3", "core": "0", "pid": pid, "request_age_ms": str(age_ms)}
        put(store, number, message="x", timestamp=at, server_name="web", tags={"uwsgi.event": "slow"}, extra=extra,
            request={"method": "GET", "url": "/slow"})  # fmt: skip

    watch(1, NOW + 0.9, 1_000)
    watch(2, NOW + 60.2, 60_150)
    watch(3, NOW + 60.2, 2_000)
    watch(4, NOW + 60.2, 60_150, pid="78")
    assert [1, 2] == numbers(related(store, get_event(store, f"{1:032x}")))
    assert [3] == numbers(related(store, get_event(store, f"{3:032x}")))


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_slow_harakiri_and_error_of_one_request_find_each_other(store, order):
    """In whatever order they arrive: the slow one and the harakiri began together, the harakiri names the error."""
    extra = {"worker": "3", "core": "0", "pid": "77"}
    request = {"method": "GET", "url": "/slow"}
    suspect = {"uwsgi": {"suspect": {**request, "pid": 77, "core": 0, "age_s": 60.0, "event_id": f"{3:032x}"}}}
    server = {"server_name": "web", "request": request}
    events = {
        1: {"message": "slow", "timestamp": NOW - 50, "tags": {"uwsgi.event": "slow"},
            "extra": {**extra, "request_age_ms": "10000"}, **server},
        2: {"message": "harakiri", "timestamp": NOW, "tags": {"uwsgi.event": "harakiri"},
            "contexts": suspect, **server},
        3: {**error(), "timestamp": NOW - 30, "server_name": "web"},
    }  # fmt: skip
    for number in order:
        put(store, number, NOW, **events[number])
    for number in order:
        assert [1, 3, 2] == numbers(related(store, get_event(store, f"{number:032x}")))


def test_neighbours_are_of_the_same_issue(store):
    """Older and newer step through one issue."""
    for number in (1, 2, 3):
        put(store, number, **error())
        put(store, number + 10, message="other")
    near = neighbours(store, get_event(store, f"{2:032x}"))
    assert {"older": f"{1:032x}", "newer": f"{3:032x}", "first": f"{1:032x}", "last": f"{3:032x}", "at": 2} == near


def test_deleting_leaves_nothing_behind(store, tmp_path):
    """Event, body, words, tags, links, minutes and the empty issue go; the counts agree."""
    put(store, 1, **error(tags={"a": "b"}))
    put(store, 2, NOW - 60, **error(tags={"a": "b"}))
    issue = get_event(store, f"{1:032x}")["issue"]
    assert store.delete_event(f"{2:032x}")
    assert not store.delete_event(f"{2:032x}")
    row = get_issue(store, issue, NOW)
    assert (1, 1, NOW) == (row.count, sum(row.spark), row.last_seen)
    assert store.delete_issue(issue)
    assert not store.delete_issue(issue)
    with sqlite3.connect(tmp_path / "inbox.db") as db:
        for table in ("event", "issue", "body", "words", "tag", "link", "minute"):
            assert 0 == db.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
        assert (0, 0) == db.execute("SELECT events, bytes FROM total").fetchone()
    db.close()


def test_deleting_the_newest_event_shows_the_one_before(store):
    """The list's order, dates and words follow: what the deleted event said is said nowhere any more."""
    put(store, 1, NOW - 100, **error(fingerprint=["one"]))
    put(store, 2, NOW - 50, message="other")
    put(store, 3, NOW, **error("TypeError", "secret", fingerprint=["one"], level="fatal", culprit="secret"))
    assert ["TypeError: secret", "other"] == titles(store)
    store.delete_event(f"{3:032x}")
    assert ["other", "KeyError: 'x'"] == titles(store)
    rows, _ = list_issues(store, parse_search({}), NOW)
    assert (NOW - 100, "error", "") == (rows[1].last_seen, rows[1].level, rows[1].culprit)


@pytest.mark.parametrize(
    ("keep", "left"),
    [(Keep(events=30), 30), (Keep(age_s=20), 21), (Keep(size=1), 0), (Keep(), 100), (Keep(age_s=20, events=5), 5)],
)
def test_keep(tmp_path, keep, left):
    """The oldest go first, by each limit; the counts agree with what is there."""
    store = Store(str(tmp_path / "inbox.db"), keep)
    for number in range(100):
        put(store, number, NOW - 99 + number, **error(f"E{number % 3}"))
    store.trim(NOW)
    rows = list_events(store, limit=1_000)
    assert list(range(99, 99 - left, -1)) == numbers(rows)
    events, size, _ = totals(store)
    assert left == events
    assert (size == 0) == (left == 0)
    counts = [row.count for row in list_issues(store, parse_search({}), NOW)[0]]
    assert left == sum(counts)
    store.close()


def test_an_archive_from_the_future_deletes_nothing(tmp_path):
    """A file's date is somebody's word: taken for now, it would make everything that is kept too old."""
    store = Store(str(tmp_path / "inbox.db"), Keep(age_s=30 * 86_400))
    put(store, 1)
    intake = Intake(store, Clock())
    for number in range(2, 2 + TRIM_EVERY):
        intake.take_event("import", b'{"event_id":"%032x"}' % number, received=NOW + 100 * 86_400)
    assert 1 + TRIM_EVERY == totals(store)[0]
    assert NOW == get_event(store, f"{2:032x}")["received"]
    store.close()


def test_events_come_back_as_they_were(store):
    """The JSON that a client sent is what the inbox gives out."""
    body = b'{ "event_id":"%032x", "extra": {"n": 1.10} }' % 5
    Intake(store, Clock()).take_event("1", body)
    assert body == get_body(store, get_event(store, f"{5:032x}")["id"])


@pytest.mark.parametrize("text", ["x", "0d", "-1", "3y", "1.5gb", "30d;5", "d", "9" * 20, "30d,5d", "1,2", "1gb,1mb"])
def test_a_wrong_keep_names_the_part(text):
    """One line says what is wrong with it."""
    with pytest.raises(KeepError):
        parse_keep(text)


def test_keep_reads_each_unit():
    """Minutes to weeks, kB to GB, a bare number, in any order; nothing means everything."""
    assert Keep(30 * 86_400, 100_000, 10**9) == parse_keep("30d,100000,1gb")
    assert Keep(90 * 60, None, 5_000_000) == parse_keep(" 5MB , 90m")
    assert Keep() == parse_keep("")


def test_the_file_is_private(tmp_path):
    """Events hold private data: nobody else may read the database or its log."""
    store = Store(str(tmp_path / "new" / "inbox.db"))
    put(store, 1)
    for name in os.listdir(tmp_path / "new"):
        assert 0o600 == stat.S_IMODE(os.stat(tmp_path / "new" / name).st_mode)
    assert 0o700 == stat.S_IMODE(os.stat(tmp_path / "new").st_mode)
    store.close()


def test_a_file_that_is_no_inbox_is_left_alone(tmp_path):
    """Another program's database, or no database, is refused and not changed."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to look at\n" * 50)
    for path in (other, text):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=path.name):
            Store(str(path))
        assert before == path.read_bytes()


def test_limits_of_the_intake(store):
    """The size of an event, the key, the version and the rate."""
    clock = Clock()
    intake = Intake(store, clock, Limits(key="right", max_event=1_000, rate=2))
    with pytest.raises(Refusal, match="1,000 bytes") as refused:
        intake.take_event("1", b'{"a":"%s"}' % (b"x" * 1_000))
    assert 413 == refused.value.status
    for fields, status in (
        ({}, 401),
        ({"sentry_key": "wrong"}, 403),
        ({"sentry_key": "right", "sentry_version": "1"}, 400),
        ({"sentry_key": "right", "sentry_version": "\u0663"}, 400),
        ({"sentry_key": "right", "sentry_version": "9" * 9_999}, 400),
    ):
        with pytest.raises(Refusal) as refused:
            intake.check(fields)
        assert status == refused.value.status
    good = {"sentry_key": "right"}
    intake.check(good)
    intake.check(good)
    with pytest.raises(Refusal) as refused:
        intake.check(good)
    assert (429, 1) == (refused.value.status, refused.value.retry_after_s)
    clock.now += 1
    intake.check(good)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("payment", "card"),
        ("with space", "New York"),
        ("a:b", "c:d"),
        ("url", "https://example.com/?q=1"),
        ("level", "high"),
        ("quoted", 'a "b" c'),
        ("star", "a*b"),
    ],
)
def test_a_tag_of_the_event_page_finds_its_event(store, key, value):
    """Whatever the tag's key and value hold, also where the key is the name of a column: the link finds the event."""
    put(store, 1, message="with it", tags={key: value})
    put(store, 2, message="without", tags={"other": "x"}, level="warning")
    found = list_issues(store, parse_search({"q": tag_query(key, value)}), NOW)[0]
    assert ["with it"] == [row.title for row in found]


def test_a_user_is_found_by_every_name(store):
    """``user:`` looks at id, e-mail and user name; a text that only looks like one does not count."""
    intake = Intake(store, lambda: NOW)
    intake.take_event("1", b'{"message":"one","user":{"id":"4711","email":"Ann@Example.com","username":"annie"}}')
    intake.take_event("1", b'{"message":"ann@example.com 4711 wrote","user":{"id":"8"}}')

    def found(query):
        return sorted(row.title for row in list_issues(store, parse_search({"q": query}), NOW)[0])

    for query in ("user:ann@example.com", "user:4711", "user:annie", "user:ANN*", "user:example one"):
        assert ["one"] == found(query)
    assert ["ann@example.com 4711 wrote"] == found("-user:annie")
    assert 2 == len(found("ann@example.com"))
