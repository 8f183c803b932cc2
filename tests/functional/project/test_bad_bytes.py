"""Bad bytes for the readers in Python: what once broke one, and some of today."""

import gc
import os
import random

import pytest

from bad_bytes import TARGETS, run
from bad_bytes.http import AUTH, Http


@pytest.mark.parametrize("runs", [200, pytest.param(20_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("target", TARGETS)
def test_bad_bytes(target, runs):
    """Seeds, every input that ever broke it, and mutated ones: no invariant of a target breaks."""
    seed = os.getpid()
    done, broken = run(target, random.Random(seed), runs=runs)
    assert (runs, []) == (done, broken), f"seed {seed}"


@pytest.mark.parametrize("sent", [1_000_000, 2_000_000], ids=["cut off", "whole"])
@pytest.mark.parametrize("path", [b"/api/1/envelope/", b"/data/import"])
def test_the_file_of_a_body_is_closed(tmp_path, path, sent):
    """Whoever hangs up, and whoever reads it: a file left to the collector is a warning, and an error here."""
    target = Http(str(tmp_path))
    with target.connect() as sock:
        lines = (b"POST " + path + b" HTTP/1.1", b"Host: 127.0.0.1", AUTH, b"Content-Length: 2000000", b"", b"")
        answer = target.talk(sock, [b"\r\n".join(lines) + b"x" * sent])
        assert (b" 400 " in answer) == (sent == 2_000_000)
    target.turn()
    target.finish()
    gc.collect()
