"""A sample of `./run faults`, and every fault that it has found so far."""

import os
import subprocess
import sys

import pytest

from support.paths import ROOT, TESTS

pytestmark = [pytest.mark.full, pytest.mark.timeout(1200)]

SAMPLE_S = 8


def faults(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "faults", *arguments],
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def names():
    return faults("--list").stdout.split()


@pytest.mark.parametrize("scenario", names())
def test_a_sample(scenario):
    """Of every scenario, faults by chance for some seconds: whatever fails, nothing is lost or in two places."""
    done = faults("--seconds", str(SAMPLE_S), "--seed", str(os.getpid()), scenario)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("scenario", "only"),
    [
        pytest.param(
            "c-ledger-fold", "^(read|openat|newfstatat) .*error", id="c: a ledger that could not be read was lost"
        ),
        pytest.param("c-ledger-fold", "^unlinkat .*ENOENT", id="c: a ledger that was not removed was counted twice"),
        pytest.param("ledger-fold", "^(openat|unlink) .*ENOENT", id="python: likewise"),
        pytest.param("ledger-fold", "^close .*EIO", id="an error of close() was raised"),
        pytest.param("c-sender-200", "^(newfstatat|openat) .*ENOENT", id="a file that was said to be gone lay in new/"),
        pytest.param("c-sender-200", "^getdents64 ", id="a listing that was cut short was taken for whole"),
        pytest.param("python-writer", "^newfstatat ", id="a ledger file was left behind and counted twice"),
        pytest.param("python-writer", r"^newfstatat \d+\+", id="a disk without stat made it raise"),
        pytest.param("python-sender-200", "^unlink [123] ", id="a file that was not removed at once was sent twice"),
        pytest.param("python-sender-200", r"^openat [12].*\+", id="without descriptors, a traceback"),
        pytest.param("python-sender-400", "^unlink .*EACCES", id="a file that was moved to dead/ was not counted"),
        pytest.param("python-sender-200", "^pwrite64 ", id="the last counts were not written"),
        pytest.param(
            "c-sender-400", "^(linkat|unlinkat|write|pwrite64) .*KILL", id="in new/ and dead/: counted for ever"
        ),
        pytest.param("amqp-consumer", "^pwrite64 .*EIO", id="nor the relay's"),
        pytest.param(
            "retry-dead", r"^(newfstatat|openat) \d+\+", id="an event was taken over that could not be counted"
        ),
        pytest.param(
            "amqp-consumer", "^sendto .*ECONNRESET", id="the harness itself: what comes again was not waited for"
        ),
        pytest.param("relay-intake", "^close .*EIO", id="the close of a connection ended the relay"),
        pytest.param("relay-intake", "^epoll_ctl .*error", id="a connection that could not be watched ended the relay"),
    ],
)
def test_what_was_found(scenario, only):
    """What failed once is tried whole."""
    done = faults("--only", only, scenario)
    assert 0 == done.returncode, done.stdout + done.stderr
