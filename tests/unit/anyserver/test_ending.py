"""What the end of a process was, by as much as a stranger knows of it."""

import pytest

from heka_raven.anyserver.ending import death_of, last_words
from heka_raven.events.server import Sentence, sentence

KILLED, TERMINATED, CRASHED, STATUS_3 = 9, 15, 11 | 128, 3 << 8


@pytest.mark.parametrize(
    ("status", "named", "in_order", "in_flight", "kind"),
    [
        (None, None, False, True, "ended"),
        (None, None, False, False, None),
        (None, None, True, True, None),
        (None, 11, False, True, "segfault"),
        (None, 6, False, False, "abort"),
        (CRASHED, None, False, False, "segfault"),
        (KILLED, None, False, False, "killed"),
        (TERMINATED, None, False, True, None),
        (STATUS_3, None, True, False, None),
        (STATUS_3, None, False, True, "exit"),
        (0, None, True, True, None),
    ],
)
def test_what_an_end_is(status, named, in_order, in_flight, kind):
    """An end of which nobody tells is an event only with a request in it; one in order is none."""
    assert kind == death_of(status, named, in_order, in_flight)[0]


def test_last_words():
    """The last crash that faulthandler wrote, after a stack that somebody asked for before."""
    asked = 'Thread 0x1 (most recent call first):\n  File "a.py", line 1 in a\n'
    crash = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x2"
    assert (crash, 11) == last_words(asked + crash)
    assert ("", None) == last_words(asked)
    assert 6 == last_words("Fatal Python error: Aborted\n")[1]


def test_the_sentence_of_an_end():
    """It says no more than is known."""
    said = Sentence("waitress", "ended", "process 7", request="GET /a", age_ms=2300)
    assert "waitress's process 7 ended after 2.3 s in GET /a" == sentence(said)
