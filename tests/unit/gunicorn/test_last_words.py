"""A process that crashes is held by its last words until somebody reads them, and by nobody else."""

import os
import signal
import subprocess
import sys

import pytest

from heka_raven.gunicorn.kinds import read_stacks
from heka_raven.gunicorn.last_words import LastWords, is_readable, make_pipes
from heka_raven.spool.watched import close_all
from support.waiting import still, wait_for

CRASHES = """
import ctypes, faulthandler, os, sys, threading, time
faulthandler.enable(file=int(sys.argv[1]), all_threads=True)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def crash():
    os.abort() if sys.argv[2] == "abort" else ctypes.string_at(0)
crash()
"""


@pytest.fixture
def pipe():
    reads, writes = make_pipes(1)
    yield reads, writes
    close_all(reads)
    close_all(writes)


def start(writes, how):
    return subprocess.Popen([sys.executable, "-c", CRASHES, str(writes[0]), how], pass_fds=writes)


@pytest.mark.parametrize("how", ["abort", "segfault"])
def test_it_waits_until_it_is_read(pipe, how):
    """It lives while its words are not read, tells its thread first, and then dies of its signal, with all words."""
    reads, writes = pipe
    words = LastWords(reads)
    process = start(writes, how)
    wait_for(lambda: [0] == words.begun())
    assert still(process.poll, 0.3) is None
    thread = words.thread(0)
    assert still(process.poll, 0.3) is None
    words.let_go(0)
    assert -(signal.SIGABRT if how == "abort" else signal.SIGSEGV) == process.wait(60)
    stacks, current = read_stacks(words.take(0))
    assert thread == current
    assert ["<module>", "crash"] == [frame.function for frame in stacks[thread]][:2]
    assert "" == words.take(0)


def test_nobody_is_there(pipe):
    """Without a reader it dies at once."""
    reads, writes = pipe
    close_all(reads)
    assert -signal.SIGSEGV == start(writes, "segfault").wait(60)


def test_words_of_before(pipe):
    """The thread of a crash before is not that of this one."""
    reads, writes = pipe
    words = LastWords(reads)
    for number in (1, 2):
        os.write(writes[0], b"Fatal Python error: a\nCurrent thread 0x%d (most recent call first)" % number)
        assert number == words.thread(0)


def test_what_is_no_word_of_a_crash(pipe):
    """Whatever is written is read to its end, and only so much of it is kept; there is no thread in it."""
    reads, writes = pipe
    words = LastWords(reads)
    for text in (b"Current thread", b"\xff" * 4000):
        os.write(writes[0], text)
        assert 0 == words.thread(0)
    assert not is_readable(reads[0], 0)
    os.write(writes[0], b"Fatal Python error: again\n")
    assert "Fatal Python error: again\n" == words.take(0)
