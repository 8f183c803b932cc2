"""What a person says of an issue, when things happened, and what was not taken."""

import json

import pytest

from heka_raven.inbox.intake.intake import Intake, Refusal
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.store.queries import (
    MAX_HOPS,
    count_states,
    get_event,
    get_issue,
    histogram,
    issue_events,
    list_issues,
    list_refused,
    neighbours,
    projects,
    shares,
)
from heka_raven.inbox.store.search import parse_search
from heka_raven.inbox.store.store import AGAIN, KNOWN, MAX_REFUSED, MORE, NEW, Store

NOW = 1_790_000_000.0
HOUR = 3600.0


@pytest.fixture
def store(tmp_path):
    store = Store(str(tmp_path / "inbox.db"))
    yield store
    store.close()


def put(store, number, happened=NOW, *, project="1", at=None, message="m", **event):
    body = {"event_id": f"{number:032x}", "message": message, "timestamp": happened, **event}
    Intake(store, lambda: happened if at is None else at).take_event(project, json.dumps(body).encode())


def one(store, **choice):
    (row,) = list_issues(store, parse_search({"state": "any", **choice}), NOW)[0]
    return row


def test_resolved_until_it_comes_back(store):
    """The next event that happens after it opens the issue again, and says in which release."""
    put(store, 1, NOW - 100)
    store.set_state([one(store).id], "resolved", NOW - 50)
    assert ("resolved", {"resolved": 1}) == (one(store).state, count_states(store))
    assert [] == list_issues(store, parse_search({}), NOW)[0]
    put(store, 2, NOW - 60, release="1.9")  # it happened before and arrives now
    assert "resolved" == one(store).state
    put(store, 3, NOW, release="2.0")
    row = one(store, state="open")
    assert ("open", NOW, "2.0", 3) == (row.state, row.again_at, row.again_release, row.count)
    store.set_state([row.id], "resolved", NOW)
    assert ("resolved", 0.0, "") == (one(store).state, one(store).again_at, one(store).again_release)


@pytest.mark.parametrize(
    ("how", "stays", "opens"),
    [
        ({}, [1, 2, 3, 4, 5], []),
        ({"mute_events": 3}, [1, 2], [3]),
        ({"mute_s": 4 * HOUR}, [1, 2, 3], [4]),
    ],
)
def test_muted(store, how, stays, opens):
    """For good, for a number of events, for a time."""
    put(store, 1, NOW)
    store.set_state([one(store).id], "muted", NOW, **how)
    for hours in stays + opens:
        put(store, 10 + hours, NOW + hours * HOUR)
        assert ("open" if hours in opens else "muted") == one(store).state


def test_what_an_event_is(store):
    """New, more, again, known: what alerts go by."""
    from heka_raven.inbox.event.shape import read_event
    from heka_raven.inbox.event.summary import summarise

    def add(number, happened):
        event = read_event({"event_id": f"{number:032x}", "message": "m", "timestamp": happened})
        return store.add(summarise(event), b"{}", project="1", received=happened)

    assert [NEW, MORE, KNOWN] == [add(1, NOW), add(2, NOW + 1), add(2, NOW + 1)]
    store.set_state([one(store).id], "resolved", NOW + 2)
    assert [AGAIN, MORE] == [add(3, NOW + 3), add(4, NOW + 4)]


def test_it_counts_when_it_happened(store):
    """An event that comes an hour late is an hour old: in the list, in its issue, in the chart, in what is kept."""
    put(store, 1, NOW - 60, message="now")
    put(store, 2, NOW - HOUR / 2, at=NOW, message="late")
    put(store, 3, NOW - 30, message="late")
    put(store, 4, NOW - 2 * HOUR, at=NOW, message="late", level="fatal")
    rows = list_issues(store, parse_search({}), NOW)[0]
    assert [("late", NOW - 30, NOW - 2 * HOUR), ("now", NOW - 60, NOW - 60)] == [
        (row.title, row.last_seen, row.first_seen) for row in rows
    ]
    assert ("error", 2, 1) == (rows[0].level, sum(rows[0].spark), rows[0].spark[29])
    assert [3, 2, 4] == [row["id"] for row in issue_events(store, rows[0].id, 0)]
    near = neighbours(store, get_event(store, f"{2:032x}"))
    assert (f"{4:032x}", f"{3:032x}", 2) == (near["older"], near["newer"], near["at"])
    store.keep = Keep(age_s=HOUR)
    assert 1 == store.trim(NOW)
    assert get_event(store, f"{4:032x}") is None
    assert (NOW - HOUR / 2, 2) == (
        get_issue(store, rows[0].id, NOW).first_seen,
        get_issue(store, rows[0].id, NOW).count,
    )


@pytest.mark.parametrize("happened", [0, 1, NOW + HOUR, None, "soon"])
def test_a_clock_that_cannot_be_right(store, happened):
    """Then the time of arrival stands for it: nothing is deleted at once, nothing happens tomorrow."""
    put(store, 1, happened, at=NOW)
    assert NOW == one(store).last_seen


def test_projects_apart(store):
    """Equal errors of two projects are two issues; one can look at one of them."""
    put(store, 1)
    put(store, 2, project="2")
    put(store, 3, project="2")
    assert ["1", "2"] == projects(store)
    assert [("1", 1), ("2", 2)] == sorted((r.project, r.count) for r in list_issues(store, parse_search({}), NOW)[0])
    for query in ("", "m"):
        assert 2 == one(store, project="2", q=query).count


def test_sorted(store):
    """By last seen, by events, by first seen, by users."""
    for number, (message, happened, user) in enumerate(
        [("many", 1, 1), ("many", 2, 1), ("many", 3, 1), ("old", 0, 1), ("old", 9, 2), ("new", 5, 3)]
    ):
        put(store, number + 1, NOW + happened, message=message, user={"id": str(user)})
    for sort, titles in {"newest": "old new many", "count": "many old new", "first": "new many old"}.items():
        rows = list_issues(store, parse_search({"sort": sort}), NOW)[0]
        assert titles.split() == [row.title for row in rows]
        assert titles.split() == [
            r.title for r in list_issues(store, parse_search({"sort": sort, "level": "error"}), NOW)[0]
        ]
    assert ["old"] == [row.title for row in list_issues(store, parse_search({"sort": "users"}), NOW)[0]][:1]
    assert [2] == [row.users for row in list_issues(store, parse_search({"q": "old"}), NOW)[0]]


def test_shares_and_histogram(store):
    """Where an issue happens: releases, hosts, users, addresses and tags, the commonest first; and when."""
    for number in range(10):
        put(store, number + 1, NOW + number * 10, release="1" if number < 7 else "2", server_name="web",
            user={"id": str(number % 3)}, tags={"payment": "card" if number % 2 else "cash"})  # fmt: skip
    found = {name: (values, total) for name, values, total in shares(store, one(store).id)}
    assert ([("1", 7), ("2", 3)], 10) == found["release"]
    assert ([("web", 10)], 10) == found["host"]
    assert ([("0", 4), ("1", 3), ("2", 3)], 10) == found["user"]
    assert ([("card", 5), ("cash", 5)], 10) == found["payment"]
    assert "url" not in found and "environment" not in found
    bars = histogram(store, one(store))
    assert (10, 1, 1) == (sum(bars), bars[0], bars[-1])


def test_people_are_found(store):
    """By e-mail and name as words, and with ``user:``."""
    put(store, 1, user={"id": "7", "email": "Ann@example.com", "username": "ann"})
    put(store, 2, message="other", user={"id": "8"})
    for query in ("ann@example.com", "user:7", "ANN"):
        assert "m" == one(store, q=query).title


def test_refusals_are_kept(store):
    """Who sent what was not taken, and why; the same again is counted, and there is an end to them."""
    intake = Intake(store, lambda: NOW)
    for number in range(MAX_REFUSED + 20):
        intake.note_refused(f"client {number}", "1", Refusal(400, "bad envelope"))
    for _ in range(3):
        intake.note_refused("raven/6", "2", Refusal(403, "invalid api key"))
    intake.note_refused("raven/6", "2", Refusal(429, "later", 5))  # it comes again by itself
    rows = list_refused(store)
    assert MAX_REFUSED == len(rows)
    assert [("raven/6", 403, "invalid api key", 3)] == [
        (row["client"], row["status"], row["reason"], row["count"]) for row in rows if row["project"] == "2"
    ]


def test_hops_have_an_end():
    """A chain of names is followed for as many steps as slow, harakiri and error need."""
    assert 3 == MAX_HOPS
