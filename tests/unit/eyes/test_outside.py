"""A look from outside with real py-spy, and with programs in its place that hang, crash or say nonsense."""

import os
import subprocess
import sys
import time

import pytest

from heka_raven.eyes import outside
from heka_raven.eyes.rules import Rules
from support.paths import ROOT

CHILD = """
import time
def wait(order, token):
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
wait(20, "planted" + "secret")
"""


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.skipif(outside.find_py_spy() is None, reason="no py-spy")
def test_a_real_process(child):
    """Its values are there, masked; and it is never stopped."""
    frames, why = outside.look_from_outside(child.pid, 0, Rules(), limit_s=30)
    assert "read from outside" == why
    assert {"order": 20, "token": "[Filtered]"} == frames[-1]["vars"]


@pytest.mark.skipif(outside.find_py_spy() is None, reason="no py-spy")
def test_a_process_that_is_gone():
    """Nobody is there: no frames, and why."""
    assert (None, outside.FAILED) == outside.look_from_outside(2**22 - 1, 0, Rules(), limit_s=30)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("sleep 1000 & wait", outside.TOO_LONG),
        ("kill -SEGV $$", outside.FAILED),
        ("echo nonsense", outside.NOTHING),
        ("exec yes", outside.TOO_LONG),
        ("echo Permission Denied >&2; exit 1", outside.NOT_PERMITTED),
    ],
)
def test_a_reader_that_does_not_work(tmp_path, monkeypatch, script, why):
    """It is ended with all that it started, in time."""
    program = tmp_path / "py-spy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(outside, "find_py_spy", lambda: str(program))
    descriptors, began = len(os.listdir("/proc/self/fd")), time.monotonic()
    assert (None, why) == outside.look_from_outside(os.getpid(), 0, Rules(), limit_s=1)
    assert time.monotonic() - began < 10
    assert descriptors == len(os.listdir("/proc/self/fd"))


def test_no_reader(monkeypatch):
    """Without py-spy there is one reason."""
    monkeypatch.setattr(outside, "find_py_spy", lambda: None)
    assert (None, outside.NOT_INSTALLED) == outside.look_from_outside(os.getpid(), 0, Rules())


SCOPES = [
    line.split("\t")
    for line in (ROOT / "tests" / "data" / "ptrace_scopes.tsv").read_text().splitlines()
    if line[:1] not in ("#", "")
]


@pytest.mark.parametrize(("held", "words"), SCOPES)
def test_what_yama_forbids(tmp_path, held, words):
    """What is missing is said: each scope of Yama has its words; a kernel without Yama has none."""
    file = tmp_path / "proc" / "sys" / "kernel" / "yama" / "ptrace_scope"
    file.parent.mkdir(parents=True)
    if held != "-":
        file.write_text(held + "\n")
    assert words.strip("-") == outside.ptrace_scope(str(tmp_path))
