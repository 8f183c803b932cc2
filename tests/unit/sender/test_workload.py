"""How busy the workers are, seen from outside."""

import os
import subprocess
import sys
import threading
import time

import pytest

from heka_raven.sender.workload import Workload

TRIES = 5  # the machine may stop everything within one


def share_of(work):
    """What `Workload` says of a thread that does *work* until told to stop, over 0.3 seconds."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        workload = Workload()
        workload.share([thread], time.monotonic())
        time.sleep(0.3)
        return workload.share([thread], time.monotonic())
    finally:
        stop.set()
        thread.join()


def compute(stop):
    while not stop.is_set():
        sum(range(1000))


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="needs a Linux kernel with schedstat")
def test_a_worker_that_computes():
    """It counts as busy, also where it has to queue for a processor with many others."""
    rivals = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(4)]
    try:
        assert any(share_of(compute) > 0.6 for _ in range(TRIES))
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()


def test_a_worker_that_waits():
    """It uses nothing, so others are hired beside it."""
    assert any(share_of(lambda stop: stop.wait()) < 0.2 for _ in range(TRIES))


def test_a_system_without_schedstat():
    """There what the whole process computes stands for it: too few workers rather than too many."""
    workload = Workload()
    thread = threading.Thread()
    workload.share([thread], time.monotonic())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert workload.share([thread], time.monotonic()) > 0
