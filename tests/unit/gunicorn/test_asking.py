"""A process outlives each question for a stack, whatever its threads are at; who may not look there gets none."""

import signal
import subprocess
import sys

import pytest

from heka_raven.anyserver.watcher import Watcher
from heka_raven.eyes.own import STACK_SIGNAL
from heka_raven.eyes.rules import Rules
from heka_raven.gunicorn.kinds import read_stacks
from heka_raven.gunicorn.values import read_frames
from support.waiting import wait_for

PROGRAM = """
import collections, itertools, signal, sys, threading, time
from heka_raven.eyes.own import begin_row, listen
from heka_raven.eyes.running import EYES
from heka_raven.eyes.rules import Rules

spool, main, others, answers, show = sys.argv[1:]
sys.setswitchinterval(0.0005)  # more turns in less time

def call(depth):
    return call(depth - 1) if depth else depth

def calls():
    while True:
        call(50)
        sorted(range(10), key=lambda number: -number)

def waits():
    time.sleep(600)

def loops_in_c():
    collections.deque(itertools.repeat(0), maxlen=0)

if answers == "answers":
    listen()
EYES.add(Rules(show=show == "shown"))

def in_a_request(work):
    begin_row(spool, "shop").begin(b"GET\\n127.0.0.1\\nhttp\\n\\n/\\nshop")
    work()

here = in_a_request if others == "none" else lambda work: work()
for _ in range(0 if others == "none" else 3):
    threading.Thread(target=in_a_request, args=(globals()[others],), daemon=True).start()
here(globals()[main])
"""


class Asked:
    """A process whose threads are in requests, and a watcher that asks it."""

    def __init__(self, folder, main, others="none", answers="answers", show="shown"):
        spool = str(folder / "spool")
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, spool, main, others, answers, show])
        self.watcher = Watcher(self.process.pid, spool, 0, None, Rules())

    def __enter__(self):
        wait_for(self.look, process=self.process)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def look(self):
        self.watcher._find()
        self.told = next(iter(self.watcher._processes.values()), None)
        self.requests = self.told.slots.in_flight(0) if self.told else []
        return self.requests

    def ask(self, number=0):
        """Functions, innermost last, of Python's own answer and of faulthandler's."""
        request = self.requests[number % len(self.requests)]
        data = self.watcher._ask(self.told, request)
        frames, hidden = read_frames((data or b"").partition(b"\n")[2])
        assert not hidden or not any(frame.values for frame in frames)
        stacks, _ = read_stacks(self.watcher._read(self.told))
        assert stacks.keys() <= {0}
        return [frame.function for frame in frames], [frame.function for frame in stacks.get(0, [])]


@pytest.mark.parametrize(
    ("main", "others", "show"), [("calls", "none", "shown"), ("waits", "calls", "hidden"), ("calls", "calls", "shown")]
)
def test_threads_that_run_python(tmp_path, main, others, show):
    """They answer themselves, also without values, and faulthandler, of which some would die, looks at none."""
    with Asked(tmp_path, main, others, show=show) as asked:
        for number in range(60):
            told, dumped = asked.ask(number)
            assert asked.process.poll() is None
            assert [] == dumped
            assert told == [] or "calls" in told
    assert -signal.SIGKILL == asked.process.returncode


@pytest.mark.parametrize("others", ["calls", "waits"])
def test_a_process_that_answers_nothing(tmp_path, others):
    """As under mod_wsgi: faulthandler tells of a thread that stands still, and is not asked of one that runs."""
    with Asked(tmp_path, "waits", others, answers="none") as asked:
        for number in range(10):
            told, dumped = asked.ask(number)
            assert asked.process.poll() is None
            assert [] == told
            assert others == "calls" or "waits" == dumped[-1]


@pytest.mark.parametrize(("main", "others"), [("loops_in_c", "none"), ("waits", "loops_in_c")])
def test_c_code_that_keeps_the_interpreter(tmp_path, main, others):
    """It answers nothing, and faulthandler looks: in the main thread, or in another that keeps that one waiting."""
    with Asked(tmp_path, main, others) as asked:
        wait_for(lambda: any("loops_in_c" == (asked.ask(n)[1] or [""])[-1] for n in range(len(asked.look()))))
        assert asked.process.poll() is None


def test_faulthandler_is_not_sent_to_a_process_that_is_gone(tmp_path):
    """Its number may be another's by then."""
    with Asked(tmp_path, "waits") as asked:
        assert ["waits"] == asked.ask()[0][-1:]
        asked.process.kill()
        asked.process.wait()
        assert ([], []) == asked.ask()
    assert signal.SIGRTMIN + 5 == STACK_SIGNAL
