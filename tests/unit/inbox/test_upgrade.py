"""An inbox of an older version is opened, and nothing in it is lost."""

import sqlite3

import pytest

from heka_raven.inbox.intake.intake import Intake
from heka_raven.inbox.store import upgrade
from heka_raven.inbox.store.alerting import due_alerts
from heka_raven.inbox.store.queries import get_body, get_event, issue_events, list_issues, list_refused, related
from heka_raven.inbox.store.rules import parse_rules
from heka_raven.inbox.store.schema import TABLES, VERSION, StoreError
from heka_raven.inbox.store.search import parse_search
from heka_raven.inbox.store.store import Store
from support.paths import DATA

NOW = 1_790_000_000.0  # when the events of tests/data/inbox_version1.sql arrived


def written(path, version):
    """A file of that version; one of version 3 has two columns more than 2."""
    with sqlite3.connect(path) as db:
        db.executescript((DATA / f"inbox_version{min(version, 2)}.sql").read_text())
        if version == 3:
            db.executescript(upgrade._PLACES + "PRAGMA user_version = 3;")
    db.close()
    return path


@pytest.fixture
def old(tmp_path):
    return written(tmp_path / "inbox.db", 1)


def shape_of(path):
    """The tables, columns, indexes and triggers of a database."""
    with sqlite3.connect(path) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
        columns = {name: {row[1] for row in db.execute(f"PRAGMA table_info('{name}')")} for name in names}
    db.close()
    return columns


def test_nothing_is_lost(old):
    """Every event with its body and its relatives; issues part by project and go by when things happened."""
    store = Store(str(old))
    rows = [get_event(store, f"{n:032x}") for n in range(1, 7)]
    assert all(get_body(store, row["id"]) for row in rows)
    issues = list_issues(store, parse_search({}), NOW)[0]
    assert [("1", 1, "alone"), ("1", 3, "KeyError: 'x'"), ("2", 1, "KeyError: 'x'"), ("2", 1, "alone")] == sorted(
        (issue.project, issue.count, issue.title) for issue in issues
    )
    assert sorted(issues, key=lambda issue: -issue.last_seen) == issues
    (three,) = [issue for issue in issues if issue.count == 3]
    assert (NOW - 9999, NOW - 30) == (three.first_seen, three.last_seen)
    assert [3, 1, 6] == [row["id"] for row in issue_events(store, three.id, 0)]
    assert [3, 4] == [row["id"] for row in related(store, rows[2])]
    found = list_issues(store, parse_search({"q": "keyerror", "project": "2"}), NOW)[0]
    assert [(1, 1)] == [(issue.matching, issue.count) for issue in found]
    assert ["1"] == [issue.project for issue in list_issues(store, parse_search({"q": "a:b"}), NOW)[0]]
    store.close()


def test_it_goes_on(old):
    """New events join the issues that were there, and deleting leaves no count behind."""
    store = Store(str(old))
    intake = Intake(store, lambda: NOW + 100)
    frames = {"stacktrace": {"frames": [{"module": "shop", "function": "pay", "in_app": True}]}}
    intake.take_event("2", b'{"exception":%s,"user":{"id":"9"}}' % str(
        [{"type": "KeyError", "value": "x", **frames}]).replace("'", '"').replace("True", "true").encode())  # fmt: skip
    issues = {(i.project, i.title.partition(":")[0]): i for i in list_issues(store, parse_search({}), NOW)[0]}
    assert (2, 1) == (issues["2", "KeyError"].count, issues["2", "KeyError"].users)
    store.delete_all()
    assert ([], False) == list_issues(store, parse_search({"state": "any"}), NOW)
    assert 0 == store.reader.execute("SELECT count(*) FROM minute WHERE count != 0").fetchone()[0]
    store.close()


def test_states_counts_and_refusals_of_version_2_stay(tmp_path):
    """Version 2's issues are as they were; where an event comes from is known from the next one on."""
    store = Store(str(written(tmp_path / "inbox.db", 2)))
    again, muted = list_issues(store, parse_search({"state": "any", "sort": "count"}), NOW)[0]
    assert ("open", "2.0", 3, 2, "") == (again.state, again.again_release, again.count, again.users, again.place)
    assert ("muted", 1, "alone") == (muted.state, muted.count, muted.title)
    assert ["too large"] == [row["reason"] for row in list_refused(store)]
    assert all(get_body(store, row) for row in range(1, 5))
    frames = b'{"frames":[{"module":"shop","filename":"shop.py","function":"pay"}]}'
    Intake(store, lambda: NOW + 100).take_event("1", b'{"exception":[{"type":"KeyError","stacktrace":%s}]}' % frames)
    issue = list_issues(store, parse_search({}), NOW)[0][0]
    assert (again.id, 4, "shop.py in pay") == (issue.id, issue.count, issue.place)
    store.close()


def everything_in(path):
    """Each row of each table, whatever columns it has."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}
    db.close()
    return rows


@pytest.mark.parametrize("version", [2, 3])
def test_no_row_and_no_value_is_lost(version, tmp_path):
    """Every row of every table is there with every value that it had."""
    path = written(tmp_path / "inbox.db", version)
    before = everything_in(path)
    Store(str(path)).close()
    after = everything_in(path)
    assert {"alert"} == set(after) - set(before)
    for name, rows in before.items():
        assert rows == [{key: row[key] for key in rows[0]} for row in after[name]], name


def test_version_3_goes_on_with_alerts(tmp_path):
    """An issue that was resolved in it is told when it comes back."""
    store = Store(str(written(tmp_path / "inbox.db", 3)), rules=parse_rules("new,again", ("a",), "warning"))
    store.set_state([1], "resolved", NOW + 50)
    frames = b'{"frames":[{"module":"shop","filename":"shop.py","function":"pay"}]}'
    Intake(store, lambda: NOW + 100).take_event("1", b'{"exception":[{"type":"KeyError","stacktrace":%s}]}' % frames)
    assert [("again", 4)] == [(alert.reason, alert.count) for alert in due_alerts(store, "a", NOW + 100)]
    store.close()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_tables_are_those_of_a_new_inbox(version, tmp_path):
    """Upgraded or made anew: the same tables, columns, indexes and triggers."""
    old = written(tmp_path / "inbox.db", version)
    Store(str(old)).close()
    Store(str(tmp_path / "new.db")).close()
    assert shape_of(tmp_path / "new.db") == shape_of(old)
    Store(str(old)).close()  # once more: it is today's now


def test_an_upgrade_that_fails_leaves_the_file(old):
    """A file that cannot be brought up is told of, and is as it was."""
    with sqlite3.connect(old) as db:
        db.execute("CREATE TABLE issue_user (x)")  # somebody's own
    db.close()
    before = shape_of(old)
    with pytest.raises(StoreError, match="issue_user"):
        Store(str(old))
    assert before == shape_of(old)


def test_an_inbox_of_a_later_version_is_refused(tmp_path):
    """It may hold what we would destroy."""
    path = tmp_path / "inbox.db"
    with sqlite3.connect(path) as db:
        db.executescript(f"{TABLES} PRAGMA user_version = {VERSION + 1};")
    db.close()
    with pytest.raises(StoreError, match=f"found {VERSION + 1}"):
        Store(str(path))
