"""Which events are told, to whom, and how often: the rules, and the alerts in the database."""

import itertools
import json
from types import SimpleNamespace

import pytest

from heka_raven.inbox.alerts.message import MAX_LISTED, Names, as_json
from heka_raven.inbox.alerts.notifier import RETRY_S, Notifier
from heka_raven.inbox.alerts.targets import Outcome, Target, TargetError, parse_targets
from heka_raven.inbox.intake.intake import Intake
from heka_raven.inbox.store.alerting import MAX_KEPT, PAUSE_S, due_alerts, list_alerts, standings
from heka_raven.inbox.store.rules import RulesError, parse_quiet, parse_rules
from heka_raven.inbox.store.store import Store

NOW = 1_790_000_000.0
NAMES = Names("http://inbox.example.com", {"1": "shop"}, "3 events in 5 min")


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


class World:
    """A store with rules, an intake and a notifier, on one clock; *answers* are what the target says, then success."""

    def __init__(self, path, on="new,again,3/5m", targets=("a",), level="warning", quiet=None):
        self.clock = Clock()
        self.store = Store(str(path), rules=parse_rules(on, targets, level))
        self.intake = Intake(self.store, self.clock)
        self.answers, self.told = [], []
        self.target = Target("a", self._send)
        self.notifier = Notifier(self.store, [self.target], NAMES, quiet, clock=self.clock)
        self.number = 0

    def _send(self, message):
        self.told.append(message)
        return self.answers.pop(0) if self.answers else Outcome()

    def put(self, kind="E", after_s=0.0, **event):
        self.clock.now += after_s
        self.number += 1
        body = {"event_id": f"{self.number:032x}", "exception": [{"type": kind, "value": "x"}], **event}
        self.intake.take_event("1", json.dumps({"timestamp": self.clock.now, **body}).encode())
        return self.store.reader.execute("SELECT max(issue) FROM event").fetchone()[0]

    def turn(self, after_s=0.0):
        """What the target is told now, as (issue, reason)."""
        self.clock.now += after_s
        if not self.notifier.turn(self.target):
            return []
        return [(alert["issue"], alert["reason"]) for alert in self.told[-1].document["alerts"]]


@pytest.fixture
def world(tmp_path):
    found = World(tmp_path / "inbox.db")
    yield found
    found.store.close()


def test_a_new_issue_is_told_once(world):
    """The first event of an issue is told; the next is not."""
    issue = world.put()
    assert [(issue, "new")] == world.turn()
    world.put()
    assert [] == world.turn(100)
    assert ["sent"] == [row["state"] for row in list_alerts(world.store)]


def test_an_issue_that_comes_back_is_told(world):
    """Resolved, and there again: with the release that it came back in."""
    issue = world.put()
    world.turn()
    world.store.set_state([issue], "resolved", world.clock.now)
    world.put(after_s=100, release="shop@2")
    assert [(issue, "again")] == world.turn()
    assert "again, in shop@2" == world.told[-1].document["alerts"][0]["why"]


def test_a_busy_issue_is_told_once_in_its_time(world):
    """N events in M minutes; then not again before M minutes are over, and only for N that are new."""
    issue = world.put()
    world.turn()
    world.put(after_s=100)
    assert [] == world.turn()
    world.put(after_s=1)
    assert [(issue, "often")] == world.turn()
    for _ in range(9):
        world.put(after_s=10)
    assert [] == world.turn()
    world.put(after_s=300)
    world.put()
    assert [] == world.turn(), "two are not three"
    world.put()
    assert [(issue, "often")] == world.turn()
    assert "3 events in 5 min" == world.told[-1].document["alerts"][0]["why"]


def test_what_arrives_late_is_not_often(world):
    """Events that happened over an hour, delivered at once, are no N in M minutes."""
    world.put()
    world.turn()
    for n in range(9):
        world.put(after_s=1, timestamp=world.clock.now - 3_600 + n * 360)
    assert [] == world.turn(100)


@pytest.mark.parametrize("state", ["resolved", "muted"])
def test_issues_that_were_put_away_are_not_told(world, state):
    """A muted one is quiet however many come; events from before a resolve open nothing."""
    issue = world.put()
    world.turn()
    world.clock.now += 100
    world.store.set_state([issue], state, world.clock.now)
    for _ in range(5):
        world.put(timestamp=world.clock.now - (50 if state == "resolved" else 0))
    assert [] == world.turn(100)


def test_levels_below_the_wanted_one_are_not_told(world):
    """--notify-level: info is below warning, fatal above it."""
    world.put("A", level="info")
    assert [] == world.turn()
    assert [(world.put("B", level="fatal"), "new")] == world.turn()


def test_imported_events_are_not_told(world, tmp_path):
    """They happened to somebody else, or long ago; with or without a date."""
    from heka_raven.inbox.intake.archive import import_file

    event = b'{"event_id":"%s","message":"m","level":"error"}' % (b"a" * 32)
    (tmp_path / "one.env").write_bytes(b'{}\n{"type":"event","length":%d}\n%s\n' % (len(event), event))
    with open(tmp_path / "one.env", "rb") as file:
        assert (1, 0) == import_file(world.intake, file)
    assert [] == world.turn()
    assert [] == list_alerts(world.store)


def test_never_more_than_one_a_minute_for_an_issue(world):
    """New, resolved and again within a minute: the second waits until the minute is over; other issues do not."""
    issue = world.put()
    assert [(issue, "new")] == world.turn()
    world.store.set_state([issue], "resolved", world.clock.now)
    world.put(after_s=10)
    other = world.put("F")
    assert [(other, "new")] == world.turn(1)
    assert [] == world.turn(PAUSE_S - 12)
    assert [(issue, "again")] == world.turn(2)


def test_many_issues_at_once_are_one_message(world):
    """A flood of new issues is told in one message, which lists the first of them; then there is a pause."""
    for n in range(MAX_LISTED + 5):
        world.put(f"E{n}")
    assert MAX_LISTED == len(world.turn())
    assert (5, f"and {5} more: http://inbox.example.com/") == (
        world.told[-1].document["more"],
        world.told[-1].text.splitlines()[-1],
    )
    world.put("another")
    assert [] == world.turn(1)
    assert 1 == len(world.turn(10))


def test_retries_are_bounded(world):
    """A target that is down is tried again, slower and slower; in the end the alert has failed, and says why."""
    issue = world.put()
    world.answers = [Outcome("it is down")] * 20
    at = []
    for _ in range(4_000):
        if world.turn(5):
            at.append(world.clock.now - NOW)
    assert len(RETRY_S) + 1 == len(at)
    assert [60, 120, 300, 900, 1_800, 3_600] == [round((b - a) / 30) * 30 for a, b in itertools.pairwise(at)]
    (row,) = list_alerts(world.store)
    assert ("failed", "it is down", 7, issue) == (row["state"], row["error"], row["tries"], row["issue"])
    (one,) = standings(world.store, ("a",))
    assert (1, 0, "it is down") == (one.failed, one.waiting, one.error)
    world.answers = []
    world.put("F")
    world.turn(4_000)
    assert "" == standings(world.store, ("a",))[0].error, "it is said until something arrives again"


def test_what_would_fail_again_is_not_tried_again(world):
    """A refusal that is final is one try."""
    world.put()
    world.answers = [Outcome("no such address", True)]
    world.turn()
    assert [("failed", 1)] == [(row["state"], row["tries"]) for row in list_alerts(world.store)]


def test_a_server_that_asks_for_time_gets_it(world):
    """Retry-After longer than our own pause is kept."""
    world.put()
    world.answers = [Outcome("it answered with status 429", False, 1_000.0)]
    world.turn()
    assert [] == world.turn(999)
    assert 1 == len(world.turn(2))


def test_quiet_hours(tmp_path):
    """Nobody is told meanwhile; what came up is told in one message when they are over."""
    minute = SimpleNamespace(quiet=True)
    quiet = SimpleNamespace(covers=lambda _: minute.quiet)
    world = World(tmp_path / "inbox.db", quiet=quiet)
    world.put("E"), world.put("F")
    assert [] == world.turn(30)
    minute.quiet = False
    assert 2 == len(world.turn(60))
    world.store.close()


@pytest.mark.parametrize(
    ("text", "minute", "covered"),
    [
        ("22:00-07:00", 22 * 60, True),
        ("22:00-07:00", 7 * 60 - 1, True),
        ("22:00-07:00", 7 * 60, False),
        ("22:00-07:00", 12 * 60, False),
        ("12:30-13:00", 12 * 60 + 29, False),
        ("12:30-13:00", 12 * 60 + 30, True),
        ("12:30-13:00", 13 * 60, False),
        ("00:00-23:59", 0, True),
    ],
)
def test_quiet_hours_may_go_over_midnight(text, minute, covered):
    """From the first minute on, up to the last, which is not part of them."""
    assert covered == parse_quiet(text).covers(minute)
    assert text == str(parse_quiet(text))


def test_a_restart_forgets_nothing(world, tmp_path):
    """What waited, waits; what was being sent is sent again; the minute of an issue goes on."""
    issue = world.put()
    world.turn()
    world.store.set_state([issue], "resolved", world.clock.now)
    world.put(after_s=5)
    world.put("F")
    world.store.writing
    with world.store.writing() as db:
        db.execute("UPDATE alert SET state = 'sending' WHERE state = 'waiting'")
    world.store.close()
    again = World(tmp_path / "inbox.db")
    again.clock.now = world.clock.now + 1
    again.notifier.start()
    again.notifier.stop()
    assert [] == again.told, "the threads had no time for a turn"
    assert [(issue + 1, "new")] == again.turn()
    assert [(issue, "again")] == again.turn(PAUSE_S)
    again.store.close()


def test_a_target_that_is_gone_has_failed(world, tmp_path):
    """Taken out of --notify: its alerts do not wait for ever, and nobody else gets them."""
    world.put()
    world.store.close()
    again = World(tmp_path / "inbox.db", targets=("b",))
    again.notifier._targets = [Target("b", again._send)]
    again.notifier.start()
    again.notifier.stop()
    (row,) = list_alerts(again.store)
    assert ("failed", "it is not in --notify any more") == (row["state"], row["error"])
    again.store.close()


def test_what_comes_up_while_it_is_sent_is_not_lost(world):
    """An alert made while another of its issue is under way is told afterwards."""
    issue = world.put()

    def send(message):
        world.store.set_state([issue], "resolved", world.clock.now)
        world.put(after_s=1)
        return Outcome()

    world.notifier.turn(Target("a", send))
    assert [(issue, "again")] == world.turn(100)


def test_two_targets_are_told_apart(tmp_path):
    """Each has its own alerts; that one is down holds up the other in nothing."""
    world = World(tmp_path / "inbox.db", targets=("a", "b"))
    issue = world.put()
    assert [(issue, "new")] == world.turn()
    assert ([], [issue]) == (
        due_alerts(world.store, "a", world.clock.now),
        [alert.issue for alert in due_alerts(world.store, "b", world.clock.now)],
    )
    world.store.close()


def test_a_target_that_raises_is_a_failed_try(world):
    """And its text, which may quote a secret, is shown nowhere."""
    world.put()

    def send(message):
        raise RuntimeError("https://hooks.example.com/SECRET")

    world.notifier.turn(Target("a", send))
    (row,) = list_alerts(world.store)
    assert ("waiting", "RuntimeError in the inbox itself") == (row["state"], row["error"])


def test_what_is_settled_is_kept_within_bounds(world):
    """The page shows the last; the table does not grow for ever."""
    for n in range(MAX_KEPT + 50):
        world.put(f"E{n}")
    world.turn()
    world.put("another")
    world.turn(PAUSE_S + 1)
    assert MAX_KEPT == len(list_alerts(world.store, 1_000))


def test_a_deleted_issue_takes_its_alerts_along(world):
    """Nobody is told of what is not there any more."""
    issue = world.put()
    world.store.delete_issue(issue)
    assert ([], []) == (world.turn(), list_alerts(world.store))


def test_the_json_says_what_the_page_shows(world):
    """All keys, so that a new one shows as a difference here and in the documentation."""
    world.put("KeyError", release="shop@1", environment="live", server_name="web-1", transaction="/pay")
    world.turn()
    document = as_json(world.told[-1])
    link = f"http://inbox.example.com/event/{1:032x}"
    assert {
        "version": 1,
        "text": f"New: KeyError: x — /pay (error, live, shop@1, web-1, 1 event)\n{link}",
        "inbox": "http://inbox.example.com/",
        "more": 0,
        "alerts": [
            {
                "reason": "new", "why": "new", "issue": 1, "event_id": f"{1:032x}", "link": link,
                "title": "KeyError: x", "culprit": "/pay", "level": "error", "project": "shop", "count": 1,
                "first_seen": "2026-09-21T14:13:20Z", "last_seen": "2026-09-21T14:13:20Z",
                "release": "shop@1", "environment": "live", "server_name": "web-1",
            }
        ],
    } == document  # fmt: skip


def test_a_title_calls_nobody(world):
    """A title is what a visitor wrote: no link, no @channel and no second line in a chat or a mail's subject."""
    world.put("<!channel> <http://evil|click> @here\r\nBcc: x@example.com & co")
    world.turn()
    message = world.told[-1]
    assert "&lt;!channel&gt; &lt;http://evil|click&gt; @\N{ZERO WIDTH SPACE}here" in message.text
    assert "&amp; co" in message.text
    assert 2 == len(message.text.splitlines())
    assert 1 == len(message.subject.splitlines())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://hooks.example.com/services/T0/SECRET", "https://hooks.example.com/…"),
        ("https://user:SECRET@example.com:8443", "https://example.com:8443"),
        ("http://example.com/?token=SECRET", "http://example.com/…"),
        ("smtps://u:SECRET@mx.example.com/a@b.de,c@d.de", "mail to a@b.de, c@d.de by mx.example.com"),
        ("mailto:root@localhost", "mail to root@localhost"),
        ("cat --token SECRET", "command cat …"),
    ],
)  # fmt: skip
def test_a_name_shows_no_secret(text, shown):
    """Pages and logs have the name alone."""
    (target,) = parse_targets([text])
    assert shown == target.name
    assert "SECRET" not in repr(target)


def test_equal_names_are_told_apart():
    """Two hooks of one host are two targets."""
    found = parse_targets(["https://a.example.com/1", "https://a.example.com/2", "https://b.example.com/1"])
    assert ["https://a.example.com/…", "https://a.example.com/… (2)", "https://b.example.com/…"] == [
        target.name for target in found
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "ftp://SECRET", "https://", "https:///SECRET", "http://host:99999/SECRET", "https://ho st/SECRET",
        "smtp://SECRET@host", "smtp://host/not-an-address", "smtp://host/a@b.c?cc=SECRET", "mailto:", "mailto:a@b@",
        "no-such-command-here SECRET", "cat 'SECRET", "/etc/passwd SECRET", "https://host/SEC\nRET", "smtp://host:0/a@b.c",
        "smtp://host/a@b.c?from=x%0ay@z.example.com",
    ],
)  # fmt: skip
def test_what_is_no_target_is_one_line_without_a_secret(text):
    """The message says what is wrong and quotes nothing."""
    with pytest.raises(TargetError) as caught:
        parse_targets([text])
    assert 1 == len(str(caught.value).splitlines())
    assert "SECRET" not in str(caught.value)


def test_too_many_targets():
    """Each has a thread."""
    with pytest.raises(TargetError, match="at most 10"):
        parse_targets(["mailto:a@example.com"] * 11)


@pytest.mark.parametrize("text", ["", "old", "10/5", "1/5m", "10/0m", "2000/5m", "10/5m,3/1m", "10/2000m", "new;again"])
def test_what_is_no_rule_is_refused(text):
    """With what would be right."""
    with pytest.raises(RulesError):
        parse_rules(text, (), "warning")


@pytest.mark.parametrize("text", ["22-7", "24:00-01:00", "10:00-10:00", "10:00", "10:60-11:00", ""])
def test_what_is_no_time_of_day_is_refused(text):
    """With what would be right."""
    with pytest.raises(RulesError):
        parse_quiet(text)
