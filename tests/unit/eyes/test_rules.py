"""What applications call private, told to a reader of another process."""

import pytest

from heka_raven.eyes.rules import HIDDEN, Rules, from_the_job_on, read_rules


def test_a_line_says_what_it_was_made_of():
    """What one process writes another reads."""
    rules = Rules(("iban", "größe"), ("token_type",), True, True)
    assert rules == read_rules(rules.line())
    assert b"\n" not in rules.line()


def test_several_applications():
    """What one calls private is; what is shown, all allow."""
    one = Rules(("iban",), ("token_type", "auth_kind"), True, True)
    two = Rules(("iban", "pin"), ("token_type",), False, True)
    assert Rules(("iban", "pin"), ("token_type",), False, True) == read_rules(one.line() + b"\n\n" + two.line())
    assert not read_rules(one.line() + b"\n" + Rules(show=False).line()).show


def test_nobody_told():
    """Without an application's own rules those of the package hold."""
    assert Rules() == read_rules(b"\n")


@pytest.mark.parametrize("text", [b"-", b"[]", b"[1, [], false, true]", b"[[1], [], false, true]", b"\xff", b"{}", b"7",
                                  b"[[], [], 0, true]", b"[[], [], false]"])  # fmt: skip
def test_what_cannot_be_read_shows_nothing(text):
    """Rules that are torn or too long are none: nobody knows what is private."""
    assert HIDDEN == read_rules(Rules().line() + b"\n" + text)


def test_frames_of_a_job():
    """What calls a job holds its arguments without their names: of a job's frames only its own are shown."""
    frames = [
        "/v/celery/app/trace.py",
        "/v/celery/app/base.py",
        "/v/celery/app/trace.py",
        "/srv/tasks.py",
        "/v/time.py",
    ]
    assert ["/srv/tasks.py", "/v/time.py"] == from_the_job_on(frames, str)
    assert ["/srv/app.py"] == from_the_job_on(["/srv/app.py"], str)
    assert [] == from_the_job_on(["/v/rq/job.py"], str)
