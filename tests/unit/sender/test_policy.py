"""Envelopes, throttle, policy, schedule, options: no file, no socket."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka.convert import _FALSE, _TRUE, to_flag
from heka.exceptions import ConfigError
from heka_raven.formats.envelope import EnvelopeError, encode_spool_envelope, parse_envelope
from heka_raven.reporting.throttle import MAX_KEYS, Throttle
from heka_raven.sender.limits import Limits
from heka_raven.sender.options import OPTIONS, SenderOptions, sender_options
from heka_raven.sender.policy import MAX_BACKOFF_S, backoff_s, redirect_target
from heka_raven.sender.request import RequestError, build_request
from heka_raven.sender.schedule import Schedule
from heka_raven.streams import threads_run

ID = "0123456789abcdef" * 2
DSN = "https://abc:def@sentry.example/1"


@given(st.binary(max_size=2000), st.sampled_from(["event", "raven"]))
def test_envelope_round_trip(payload, kind):
    """Whatever the payload, also with newlines, it comes back byte for byte."""
    header, items = parse_envelope(encode_spool_envelope(ID, DSN, kind, payload, {"timeout_s": 5}))
    assert {"event_id": ID, "dsn": DSN, "hk": {"timeout_s": 5}} == header
    assert [(kind, payload)] == [(item.type, item.payload) for item in items]


@given(st.binary(max_size=300))
def test_garbage_is_an_error_of_ours(data):
    """Bytes that are no envelope raise EnvelopeError, and RequestError where something should be sent from them."""
    try:
        parse_envelope(data)
    except EnvelopeError:
        pass
    with pytest.raises(RequestError):
        build_request(data, 0.0)


@given(st.integers(0, 400))
def test_cut_files_are_refused(cut):
    """A file that lost its end is refused: it must not go out as half an event."""
    data = encode_spool_envelope(ID, DSN, "event", b'{"a":"' + b"x" * 300 + b'"}')
    if cut < len(data) - 1:  # the last newline may be missing
        with pytest.raises(RequestError):
            build_request(data[:cut], 0.0)


def test_items_without_length():
    """An item without length ends at its line's end; empty lines are skipped (the specification's examples)."""
    data = (
        b'{"event_id":"a"}\n{"type":"event"}\n{"x":1}\n\n{"type":"attachment","length":3}\na\nb\n{"type":"event"}\n{}'
    )
    _, items = parse_envelope(data)
    assert [("event", b'{"x":1}'), ("attachment", b"a\nb"), ("event", b"{}")] == [(i.type, i.payload) for i in items]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]\n",
        b"{}\nx\n",
        b'{}\n{"type":"event","length":9}\nabc',
        b'{}\n{"type":"event","length":2}\nabc\n',
        b'{}\n{"type":"event","length":-1}\nabc\n',
        b'{}\n{"type":"event","length":"3"}\nabc\n',
        b'{}\n{"type":"event","length":true}\na\n',
        b"{" + b" " * 70000 + b"}\n",
    ],
)
def test_wrong_envelopes(data):
    """Each wrong envelope is refused with a reason."""
    with pytest.raises(EnvelopeError) as caught:
        parse_envelope(data)
    assert str(caught.value)


def test_throttle():
    """The first N of a fingerprint in a window go; the next that goes tells how many did not."""
    throttle = Throttle.parse("3/60s")
    assert [True] * 3 + [False] * 5 == [throttle.admit("a", t).allowed for t in range(8)]
    assert throttle.admit("b", 8.0).allowed
    after = throttle.admit("a", 60.0)
    assert (True, 5) == (after.allowed, after.held_back)
    assert 0 == throttle.admit("a", 61.0).held_back


def test_throttle_survives_a_clock_that_goes_back():
    """A clock set back starts a new window; it does not silence a fingerprint for as long as it was set back."""
    throttle = Throttle.parse("1/10")
    throttle.admit("a", 1000.0)
    assert not throttle.admit("a", 1001.0).allowed
    assert throttle.admit("a", 5.0).allowed


def test_throttle_forgets():
    """Memory is bounded: the fingerprint that reported least recently makes room."""
    throttle = Throttle(1, 1e5)
    for key in range(MAX_KEYS + 10):
        throttle.admit(key, 0.0)
    assert MAX_KEYS == len(throttle._windows)
    assert throttle.admit(0, 1.0).allowed
    assert not throttle.admit(MAX_KEYS, 1.0).allowed


@pytest.mark.parametrize("text", ["", "5", "0/60s", "5/0", "-1/60", "5/60w", "5/60s/2", "a/b", "9999999/60", "1/8d"])
def test_throttle_refuses(text):
    """A setting that means nothing is refused, by name."""
    with pytest.raises(ConfigError, match="max_per_fingerprint"):
        Throttle.parse(text)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_stays_in_bounds(failures, dice):
    """1 s to 60 s, with jitter, whatever the number of failures."""
    assert 1.0 <= backoff_s(failures, dice) <= MAX_BACKOFF_S


def test_backoff_grows():
    """Each round waits longer, up to the limit."""
    assert [1, 2, 4, 8, 16, 32, 60, 60] == [backoff_s(n, 0.5) for n in range(1, 9)]


def test_limits_persist():
    """What a sender wrote, the next takes over; what is over or unreadable is left out; a day is the longest."""
    limits = Limits()
    limits.pause("a", {"": 60.0, "error": 10.0}, 1000.0)
    limits.pause("b", {"error": 5.0}, 1000.0)
    again = Limits()
    again.load_state(limits.to_state(1006.0), 1006.0)
    assert (54.0, 0.0) == (again.seconds_left("a", 1006.0), again.seconds_left("b", 1006.0))
    state = {"version": 1, "limits": {"c": {"": 9e12, "error": "x"}, "d": 5, "e": {"": float("nan")}}}
    again.load_state(state, 1000.0)
    assert (86400.0, 0.0) == (again.seconds_left("c", 1000.0), again.seconds_left("e", 1000.0))
    for broken in (None, [], {"version": 2, "limits": {"a": {"": 2000}}}, {"version": 1}):
        empty = Limits()
        empty.load_state(broken, 1000.0)
        assert 0.0 == empty.seconds_left("a", 1000.0)


def test_a_clock_set_back_does_not_lengthen_a_pause_beyond_a_day():
    """The clock goes back a year: the pause lasts a day at most."""
    limits = Limits()
    limits.pause("a", {"": 60.0}, 1e9)
    assert 86400.0 == limits.seconds_left("a", 1e9 - 3e7)


@pytest.mark.parametrize("location", ["https://[::1", "https://sentry.example:x/", "https://sentry.example:99999/", ""])
def test_redirects_that_are_no_urls(location):
    """A Location that is no URL is not followed and raises nothing."""
    assert redirect_target("https://sentry.example/api/", location) is None


def names(n):
    return [f"{i:020d}-1-{ID}.env" for i in range(n)]


def test_schedule_takes_the_oldest_first():
    """Fresh names come out in order, and those that were held before the newer ones of their DSN."""
    schedule = Schedule(4, Limits())
    first, second, third = names(3)
    schedule.found([first, second])
    assert first == schedule.next(0, 0)
    began = schedule.begin(first, "a", 0, 0)
    schedule.end(first, "a", began, 0, 0.5, failed=True, finished=False)
    assert second == schedule.next(0, 0)
    assert schedule.begin(second, "a", 0, 0) is None
    schedule.found([first, second, third])
    assert [first, second, third] == [schedule.next(0, 100) for _ in range(3)]


def test_schedule_forgets_a_dsn_without_work():
    """A relay meets thousands of DSNs: only those that wait, are under way or fail are looked through."""
    schedule = Schedule(8, Limits())
    for name, failed in zip(names(20), [False] * 10 + [True] * 10, strict=True):
        schedule.found([name])
        began = schedule.begin(schedule.next(0, 0), name, 0, 0)
        assert 1 == schedule.in_flight
        schedule.end(name, name, began, 0.0, 0.0, failed=failed, finished=not failed)
    assert 10 == len(schedule._destinations)
    for name in names(20)[10:]:
        assert name == schedule.next(0, 100)
        schedule.end(name, name, schedule.begin(name, name, 0, 100), 100, 0.0, failed=False, finished=True)
    assert ({}, 0) == (schedule._destinations, schedule.waiting)


def test_one_probe_while_a_backoff_lasts():
    """While a DSN backs off nothing goes; then exactly one; its success opens the door."""
    schedule = Schedule(8, Limits())
    schedule.found(names(5))
    rounds = [(schedule.next(0, 0), schedule.begin(name, "a", 0, 0)) for name in names(3)]
    for name, began in rounds:
        schedule.end(name, "a", began, 0.0, 0.0, failed=True, finished=False)
    assert schedule.begin(schedule.next(0, 0.5), "a", 0, 0.5) is None
    probe = schedule.next(0, 1.1)
    began = schedule.begin(probe, "a", 0, 1.1)
    assert began is not None
    assert schedule.begin(schedule.next(0, 1.1), "a", 0, 1.1) is None
    schedule.end(probe, "a", began, 1.2, 0.0, failed=False, finished=True)
    assert schedule.begin(schedule.next(0, 1.2), "a", 0, 1.2) is not None


def test_one_step_per_round():
    """Sixteen connections that fail at once are one failure: the first backoff is a second, not a minute."""
    schedule = Schedule(20, Limits())
    schedule.found(names(15))
    begun = [(name, schedule.begin(schedule.next(0, 0), "a", 0, 0)) for name in names(15)]
    for name, began in begun:
        schedule.end(name, "a", began, 0.0, 0.5, failed=True, finished=False)
    assert schedule.ready(0, 1.3)


def test_a_hanging_server_leaves_connections_to_the_others():
    """One DSN never takes all connections."""
    schedule = Schedule(8, Limits())
    schedule.found(names(20))
    taken = 0
    while (name := schedule.next(0, 0)) is not None and schedule.begin(name, "slow", 0, 0) is not None:
        taken += 1
    assert 6 == taken
    name = schedule.next(0, 0)
    assert schedule.begin(name, "other", 0, 0) is not None


def test_one_try_is_one_try():
    """With once, what was tried is waited for no longer, however it ended: only what was not tried is."""
    schedule = Schedule(1, Limits(), once=True)
    first, second = names(2)
    schedule.found([first, second])
    assert 2 == schedule.waiting
    began = schedule.begin(schedule.next(0, 0), "a", 0, 0)
    schedule.end(first, "a", began, 0, 0.5, failed=True, finished=False)
    assert 1 == schedule.waiting
    assert schedule.begin(schedule.next(0, 0), "a", 0, 0) is None
    assert 1 == schedule.waiting


def test_expired_events_need_a_reason():
    """Only events of a DSN that fails or is paused are given up for their age, each with its counter."""
    limits = Limits()
    schedule = Schedule(8, limits)
    old, limited, fine, young = names(4)
    schedule.found([old, limited, fine, young])
    limits.pause("quiet", {"": 60.0}, 0)
    for name, key in ((old, "down"), (limited, "quiet"), (fine, "up")):
        assert name == schedule.next(0, 0)
        began = schedule.begin(name, key, 0, 0)
        if began is not None:
            schedule.end(name, key, began, 0, 0.5, failed=key == "down", finished=key == "up")
    assert {old: "discarded.network_error", limited: "discarded.ratelimit_backoff"} == dict(
        schedule.expired(young, 0, 0)
    )
    assert 1 == schedule.waiting


def test_options_from_text():
    """Every option may be text, as INI files give it."""
    options = sender_options(
        {"connections": "3", "timeout_s": "2.5", "rate_limit": "DISCARD", "client_reports": "no", "compress": "gzip"}
    )
    assert (3, 2.5, "discard", False, "gzip") == (
        options.connections,
        options.timeout_s,
        options.rate_limit,
        options.client_reports,
        options.compress,
    )


def test_the_words_of_a_flag():
    """The same as for every other boolean of an ini."""
    for word in (*_TRUE, *_FALSE):
        assert sender_options({"client_reports": word.upper()}).client_reports is to_flag("a", word)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("connections", "0"),
        ("connections", "many"),
        ("connections", 2.5),
        ("connections", None),
        ("timeout_s", "nan"),
        ("timeout_s", -1),
        ("max_age_s", "inf"),
        ("rate_limit", "wait"),
        ("compress", "br"),
        ("proxy", "socks://user:hunter2@h"),
        ("ca_file", "/nonexistent/ca.pem"),
        ("client_reports", "maybe"),
        ("nonsense", 1),
    ],
)
def test_wrong_options(key, value):
    """A wrong option is refused by an error that names it, and never quotes a proxy's password."""
    with pytest.raises(ConfigError, match=key) as caught:
        sender_options({key: value})
    assert "hunter2" not in str(caught.value)


def test_every_option_has_a_converter():
    """No option can be set unchecked."""
    assert {field.name for field in fields(SenderOptions)} == set(OPTIONS)


@pytest.mark.parametrize(
    ("opt", "expected"),
    [
        ({}, False),
        ({"enable-threads": True}, True),
        ({"enable-threads": b"true"}, True),
        ({b"threads": b"4"}, True),
        ({"threads": b"1"}, False),
        ({"gevent": b"100"}, True),
        ({"enable-threads": b"false"}, False),
        ({"master": True}, False),
    ],
)
def test_uwsgi_threads(opt, expected):
    """Threads run under uWSGI with enable-threads or threads, not otherwise."""
    assert expected == threads_run(opt)


@pytest.mark.parametrize(("moved", "left"), [(-7200.0, 50.0), (-0.5, 50.5), (3600.0, 0.0)])
def test_limits_when_the_clock_is_set(moved, left):
    """Set back by hours, a minute of quiet stays a minute; a clock that is slewed, or set forward, moves nothing."""
    limits = Limits()
    limits.follow_clock(10_000.0, 50.0)
    limits.pause("a", {"": 60.0}, 10_000.0)
    limits.follow_clock(10_010.0 + moved, 60.0)
    assert left == limits.seconds_left("a", 10_010.0 + moved)


@pytest.mark.parametrize(("moved", "left"), [(-7200.0, 60.0), (-1.0, 60.0), (20.0, 40.0), (3600.0, 0.0)])
def test_limits_when_the_clock_is_set_between_two_senders(moved, left):
    """Nobody waits longer than the server asked for when it was written, by however much the clock was set back."""
    before, after = Limits(), Limits()
    before.pause("a", {"": 60.0}, 10_000.0)
    after.load_state(before.to_state(10_000.0), 10_000.0 + moved)
    assert left == after.seconds_left("a", 10_000.0 + moved)
