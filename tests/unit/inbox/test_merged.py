"""What an issue's events have in common is told truly, and within bounds."""

import json

import pytest

from heka_raven.inbox.event.merged import MAX_NAMES, MAX_ROWS, MAX_VALUE, facts_of, merge
from heka_raven.inbox.store.queries import MAX_MERGED, MAX_MERGED_BYTES, newest_bodies
from heka_raven.inbox.web.app import make_app
from heka_raven.inbox.web.lead import columns_of


def merged(*events):
    return {section.name: section for section in merge(facts_of(event) for event in events)}


def event(number, **keys):
    frames = [{"function": "f", "vars": {"n": number, "currency": "'gbp'"}}, {"in_app": False, "vars": {"x": 1}}]
    return {
        "exception": [{"type": "E", "value": "v", "stacktrace": {"frames": frames}}],
        "release": "2.4", "tags": {"payment": "card", "n": str(number)}, "user": {"id": number, "plan": "free"},
        "request": {"method": "GET", "url": f"http://x/{number}",
                    "headers": {"Accept": "*/*", "X-Request-Id": f"{number}"}},
        "extra": {"feature": "new", "retries": number % 2}, "contexts": {"runtime": {"name": "CPython"}}, **keys,
    }  # fmt: skip


def test_what_is_the_same_and_what_differs():
    """Tags, release, URL, user, extra and the failing frame's locals, each by its name."""
    found = merged(*(event(number) for number in range(6)))
    assert [("payment", "card")] == found["Tags"].same
    assert ("release", "2.4") in found["Event"].same
    assert [("plan", "free")] == found["User"].same
    assert [("method", "GET")] == found["Request"].same
    assert [("Accept", "*/*")] == found["Headers"].same
    assert [("feature", "new")] == found["Extra"].same
    assert [("currency", "'gbp'")] == found["Locals of the failing frame"].same
    assert [("name", "CPython")] == found["runtime"].same
    (user,) = found["User"].different
    assert ("id", [], 6, 6) == (user.name, user.values, user.distinct, user.count)
    (extra,) = found["Extra"].different
    assert ("retries", [("0", 3), ("1", 3)], 2, 6) == (extra.name, extra.values, extra.distinct, extra.count)
    assert [] == found["Headers"].different  # ids of requests always differ
    assert [] == found["Tags"].different  # their shares say more


def test_what_only_some_events_have_is_not_the_same():
    """One value in two of three events differs from none."""
    found = merged(event(1, extra={"a": 1}), event(1, extra={"a": 1}), event(1, extra={}))
    (a,) = found["Extra"].different
    assert ([], [("1", 2)], 1, 2) == (found["Extra"].same, a.values, a.distinct, a.count)


@pytest.mark.parametrize("raw", [{}, {"exception": 3, "tags": 4, "user": [], "extra": "x", "contexts": [1]},
                                 {"exception": {"values": [None]}}, {"exception": [{"stacktrace": {"frames": [1]}}]},
                                 {"contexts": {"runtime": None}}])  # fmt: skip
def test_an_odd_event_is_compared_too(raw):
    """Whatever its parts are."""
    merge([facts_of(raw), facts_of(event(1))])


def test_large_events_are_cut():
    """Names, values and rows have limits."""
    large = event(1, extra={f"k{n}": "v" * 9_999 for n in range(999)})
    facts = facts_of(large)
    assert MAX_NAMES == len([name for section, name in facts if section == "Extra"])
    assert MAX_VALUE == max(map(len, facts.values()))
    assert MAX_ROWS == len(merged(large)["Extra"].same)


def test_only_so_many_events_are_read(tmp_path):
    """The newest, and so many bytes of them as can be read in a moment."""
    app = make_app(str(tmp_path / "inbox.db"))
    for number in range(MAX_MERGED + 5):
        app.intake.take_event("1", json.dumps({"message": "small", "timestamp": number + 1e9}).encode())
    bodies = newest_bodies(app.store, 1)
    assert (MAX_MERGED, MAX_MERGED + 4 + 1e9) == (len(bodies), json.loads(bodies[0])["timestamp"])
    for number in range(8):
        padded = {"message": "large", "extra": {"x": "y" * 900_000, "n": number}}
        app.intake.take_event("1", json.dumps(padded).encode())
    assert MAX_MERGED_BYTES // 900_000 + 1 == len(newest_bodies(app.store, 2))
    app.close()


def rows(*changes):
    base = {
        "message": "m",
        "title": "t",
        "method": "GET",
        "url": "/",
        "server_name": "web-1",
        "user": "",
        "release": "",
    }
    return [{**base, **change} for change in changes]


def test_the_table_has_the_columns_in_which_events_differ():
    """What is the same in all is no column; of a single event there is what it has."""
    assert [("Server", ["web-1", "web-2"])] == columns_of(rows({}, {"server_name": "web-2"}))
    assert [("Message", ["a", "b"])] == columns_of(rows({"message": "a\nmore"}, {"message": "b"}))
    assert [] == columns_of(rows({}, {}))
    assert ["Message", "Request", "Server"] == [name for name, _ in columns_of(rows({}))]
