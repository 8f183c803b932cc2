"""What it costs a worker to be read, and what many harakiris leave behind."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from support.values import APP
from support.waiting import wait_for
from support.watch import WATCH, in_background

full = pytest.mark.full
pytestmark = pytest.mark.timeout(600)
MOST_STOPPED_MS = 50
LOOKS = 3
# Runs all the time, holds the interpreter, and notes its longest pause. The time for which it was ready to run and
# other processes had the processor (schedstat) is none.
SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double ready(int fd)
{
    char text[128] = "";
    long long ran = 0, waited = 0;
    if (pread(fd, text, sizeof text - 1, 0) > 0) sscanf(text, "%lld %lld", &ran, &waited);
    return waited / 1e6;
}

double longest_pause_ms(double seconds)
{
    int fd = open("/proc/thread-self/schedstat", O_RDONLY);
    double began = now(), at = began, waited = ready(fd), longest = 0;
    while (at - began < seconds * 1e3) {
        double then = now(), more = ready(fd), pause = then - at - (more - waited);
        if (pause > longest) longest = pause;
        at = then;
        waited = more;
    }
    close(fd);
    return longest;
}
"""
READ = """
    if what == "be_read":
        number = 41
        shop = ctypes.PyDLL(os.path.abspath("libpause.so"))
        shop.longest_pause_ms.restype = ctypes.c_double
        pause = shop.longest_pause_ms(ctypes.c_double(5))
        start("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
        return [b"%f" % pause]
    if what in KINDS:"""


def test_being_read_stops_no_worker(serve, receiver, tmp_path):
    """A worker that is read from outside while it runs pauses for less than 50 ms, by its own count."""
    (tmp_path / "pause.c").write_text(SOURCE)
    command = ["gcc", "-shared", "-fPIC", "-O1", "pause.c", "-o", "libpause.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    lines = "sentry-watch = true\nsentry-watch-values = true\nsentry-watch-slow = 1\nprocesses = 1\n"
    app = APP.replace("\n    if what in KINDS:", READ)
    server = serve(lines, app=app, env={"TEST_DSN": receiver.dsn})
    wait_for(lambda: "spawned uWSGI sentry reader" in server.text(), server.text)
    pauses = []
    while len(pauses) < LOOKS:
        count = len(receiver.events)
        pause = float(server.get("/be_read")[1])
        wait_for(lambda count=count: len(receiver.events) > count, server.text)
        if "read from outside" == receiver.events[-1]["contexts"]["uwsgi"]["values"]:  # else it had no time
            pauses.append(pause)
    assert min(pauses) < MOST_STOPPED_MS  # the least: the machine itself may stand still for a moment


def open_files(server):
    """The descriptors of each process; of the sender without its connections, which come and go."""
    found, sender = {}, server.sender_pid()
    for pid in server.pids():
        with contextlib.suppress(FileNotFoundError):  # it, or one of its descriptors, has just gone
            folder = f"/proc/{pid}/fd"
            targets = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
            found[pid] = sum(not (pid == sender and target.startswith("socket:")) for target in targets)
    return found


def memory_kb(server, pids):
    """Of the processes that outlive all workers, with what they share; and how much of that lies in shared memory."""
    found = {}
    for pid in pids:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        found[pid] = int(fields["VmRSS"].split()[0]), int(fields["RssShmem"].split()[0])
    return found


@full
@pytest.mark.timeout(1800)
def test_a_thousand_harakiris_leave_nothing_behind(serve, receiver):
    """Each is told once; no process, no descriptor and no file is left, and master, sender and reader have the memory
    that they had before."""
    at_once, rounds = 50, 20
    no_storm = "sentry-watch-storm = 1000\nsentry-watch-storm-seconds = 10\n"
    lines = f"{WATCH}{no_storm}sentry-watch-values = true\nharakiri = 1\nprocesses = {at_once}\n"
    server = serve(lines, app=APP, env={"TEST_DSN": receiver.dsn})
    wait_for(lambda: "spawned uWSGI sentry reader" in server.text(), server.text)
    server.sender_pid()
    for done in range(rounds + 1):
        in_background(server, *["/sleep_in_python"] * at_once)
        wait_for(lambda n=done + 1: len(receiver.events) >= n * at_once, server.text, limit_s=120)
        wait_for(lambda n=done + 1: server.text().count("Respawned uWSGI worker") >= n * at_once, server.text)
        if done == 0:
            wait_for(server._answers, server.text)
            before = open_files(server)
            memory = memory_kb(server, before)
    wait_for(server._answers, server.text)
    wait_for(lambda: len(open_files(server)) <= len(before), lambda: f"{before} {open_files(server)}")
    assert {"harakiri"} == {event["tags"]["uwsgi.event"] for event in receiver.events}
    assert len(receiver.events) == (rounds + 1) * at_once
    after = open_files(server)
    lasting = sorted(before.keys() & after.keys())
    had_files, has_files = [before[pid] for pid in lasting], [after[pid] for pid in lasting]
    had_memory, has_memory = [memory[pid] for pid in lasting], list(memory_kb(server, lasting).values())
    print(f"{rounds * at_once} harakiris; {len(before)} and {len(after)} processes; of those that last: descriptors",
          had_files, has_files, "KiB in all and shared", had_memory, has_memory)  # fmt: skip
    assert len(lasting) >= 4  # master, sender, reader, and what starts them
    assert all(has <= had for had, has in zip(had_files, has_files, strict=True))
    for (had, had_shared), (has, has_shared) in zip(had_memory, has_memory, strict=True):
        assert has < had + 4096 and has_shared < had_shared + 1024
    assert [] == os.listdir(server.spool / "tmp")
