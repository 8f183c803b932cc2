"""`./run soak MINUTES`: uWSGI with the demo and gunicorn, while everything goes wrong that can; then the account."""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

from heka_raven.spool.ledger import read_snapshot
from soak.servers import Clock, Receiver, gunicorn, uwsgi
from support.waiting import wait_for

DISK = "64m"  # large enough for what waits: it is full when we fill it; --disk 8m: when what waits fills it, too
DRAIN_S = 240
SETTLE_S = 130  # two rounds of housekeeping, which set the level right
MARKED = {"uwsgi": ["/exception", "/capture-stack"], "gunicorn": ["/fail"]}  # answered once the event was captured
OTHERS = ["/stream", "/close", "/bare", "/log-line", "/upload", "/slow"]
DEADLY = ["/segfault", "/harakiri", "/hang", "/kill"]
CLOSED = "closed connection without response"
GROWTH = 1.5  # of memory, from the first minute's end to the end
MORE_FILES = 40  # descriptors; the pool of a sender alone may have 16


class Disk:
    """A small file system of its own for the spools, which can be filled and emptied."""

    def __init__(self, path, size):
        self.path = path
        self._filler = os.path.join(path, "filler")
        os.makedirs(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "soak", path], check=False)
        self.own = done.returncode == 0

    def fill(self):
        if self.own:
            with contextlib.suppress(OSError), open(self._filler, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    def empty(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._filler)

    def close(self):
        if self.own:
            subprocess.run(["umount", self.path], check=True)


class Visitors(threading.Thread):
    """Requests to one server, one after the other, at random."""

    def __init__(self, server, dice, pause_s):
        super().__init__(daemon=True)
        self.server = server
        self.dice = dice
        self.pause_s = pause_s
        self.answered = []  # markers of requests whose answer says that their event was captured
        self.requests = self.deadly = self.silent = 0
        self.over = threading.Event()

    def run(self):
        number = 0
        while not self.over.wait(self.dice.random() * self.pause_s):
            number += 1
            self.requests += 1
            path, draw = self.dice.choice(MARKED[self.server.name]), self.dice.random()
            if self.server.name == "uwsgi" and draw > 0.7:
                path = self.dice.choice(DEADLY if draw > 0.97 else OTHERS)
                self.deadly += path in DEADLY
                self.silent += not self.server.get(path, "PUT" if path == "/upload" else "GET")[0]
                continue
            marker = f"n={id(self)}{number}"
            status, text = self.server.get(f"{path}?{marker}")
            # uWSGI answers an exception by closing the connection, as it does where a worker is killed.
            if status == 500 or (self.server.name == "uwsgi" and CLOSED in text):
                self.answered.append(marker)
            else:
                self.silent += 1


class Troubles:
    """What goes wrong: one thing every few seconds, and each ends again."""

    def __init__(self, servers, receiver, disk, clock, dice):
        self.servers, self.receiver, self.disk, self.clock, self.dice = servers, receiver, disk, clock, dice
        self.kills = Counter()
        self.done = Counter()

    def one(self):
        kinds = ["answer", "answer", "down", "kill", "kill sender", "reload", "clock"]
        kinds += ["disk"] * self.disk.own
        kind = self.dice.choice(kinds)
        self.done[kind] += 1
        getattr(self, f"_{kind.replace(' ', '_')}")()

    def end(self):
        self.disk.empty()
        self.receiver.answer("ok")
        self.receiver.start()

    def _wait(self, most):
        time.sleep(1 + self.dice.random() * most)

    def _answer(self):
        self.receiver.answer(self.dice.choice(["503", "429", "slow", "cut"]))
        self._wait(8)
        self.receiver.answer("ok")

    def _down(self):
        self.receiver.kill()
        self._wait(8)
        self.receiver.start()

    def _disk(self):
        self.disk.fill()
        self._wait(8)
        self.disk.empty()

    def _clock(self):
        self.clock.set(self.dice.choice([-7200, -60, 0, 60, 7200]))
        self._wait(3)

    def _kill(self):
        server = self.dice.choice(self.servers)
        self._end(server, self.dice.choice(server.pids()[1:] or [0]))

    def _kill_sender(self):
        server = self.dice.choice(self.servers)
        pid = server.sender_pid()
        if pid != server.process.pid:
            self._end(server, pid)

    def _end(self, server, pid):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[server.name] += 1
        self._wait(2)

    def _reload(self):
        self.dice.choice(self.servers).process.send_signal(signal.SIGHUP)
        self._wait(5)


def account(server, visitors, received, kills):
    """What became of every event of this server: (the row of the table, what is wrong)."""
    snapshot = read_snapshot(server.spool)
    mine = {marker for one in visitors for marker in one.answered}
    arrived = {query for _, query in received}
    missing = len(mine - arrived)
    lost = sum(snapshot.discarded.values()) - snapshot["discarded.event_processor"]  # doubles, as a rule
    wrong = []
    waiting = len(os.listdir(os.path.join(server.spool, "new")))
    if waiting:
        wrong.append(f"{waiting} still wait")
    if missing > lost + kills:
        wrong.append(f"{missing} of {len(mine)} answered requests have no event, and the ledger has lost {lost}")
    if abs(snapshot.missing) > kills:
        wrong.append(f"the ledger is off by {snapshot.missing}, after {kills} kills: {snapshot.counts}")
    row = {
        "server": server.name,
        "requests": sum(one.requests for one in visitors),
        "captured": snapshot["captured"],
        "delivered": snapshot["delivered"],
        "lost, counted": lost,
        "killed": kills,
        "off by": snapshot.missing,
        "answered": len(mine),
        "not arrived": missing,
    }
    return row, wrong


def soak(minutes, dice, directory, size):
    disk, clock = Disk(os.path.join(directory, "disk"), size), Clock(directory)
    receiver = Receiver(directory)
    servers = [make(directory, receiver.dsn, clock.environment) for make in (uwsgi, gunicorn)]
    if not disk.own:
        print("no full disk: a file system of one's own needs root")
    wrong, first = [], {}
    try:
        for server in servers:
            server.start()
        visitors = [Visitors(server, random.Random(dice.random()), 0.3) for server in servers for _ in range(2)]
        for one in visitors:
            one.start()
        troubles = Troubles(servers, receiver, disk, clock, dice)
        began = time.monotonic()
        until = began + 60 * minutes
        while time.monotonic() < until:
            time.sleep(dice.random() * 3)
            if not first and time.monotonic() - began > min(60, 20 * minutes):
                first = {server.name: server.levels() for server in servers}
            troubles.one()
        troubles.end()
        for one in visitors:
            one.over.set()
        for one in visitors:
            one.join(60)
        last = {server.name: server.levels() for server in servers}
        for server in servers:
            ended = server.process.poll()
            if ended is not None:
                wrong.append(f"{server.name} ended: {ended}")
            elif server.get("/")[0] != 200:
                wrong.append(f"{server.name} answers no more")
        empty = [os.path.join(server.spool, "new") for server in servers]
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not any(map(os.listdir, empty)), "the last event", DRAIN_S)
        time.sleep(min(SETTLE_S, 60 * minutes))
        for server in servers:
            if left := [pid for pid in server.stop() if pid != server.process.pid]:
                print(f"{server.name}: {len(left)} processes outlived it for a while")
        rows = []
        for server in servers:
            mine = [one for one in visitors if one.server is server]
            kills = troubles.kills[server.name] + sum(one.deadly for one in mine)
            row, more = account(server, mine, receiver.lines(), kills)
            rows.append(row)
            wrong += [f"{server.name}: {text}" for text in more]
        wrong += judge_levels(first, last)
        tell(rows, first, last, troubles, receiver)
    finally:
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.stop()
        receiver.kill()
        disk.empty()
        disk.close()
    return wrong


def judge_levels(first, last):
    wrong = []
    for name, (processes, files, size) in last.items():
        before = first.get(name, last[name])
        if processes > before[0] + 2:
            wrong.append(f"{name}: {before[0]} processes became {processes}")
        if files > before[1] + MORE_FILES:
            wrong.append(f"{name}: {before[1]} descriptors became {files}")
        if size > GROWTH * before[2]:
            wrong.append(f"{name}: {before[2] >> 20} MiB became {size >> 20}")
    return wrong


def tell(rows, first, last, troubles, receiver):
    names = list(rows[0])
    print("  ".join(f"{name:>13}" for name in names))
    for row in rows:
        print("  ".join(f"{row[name]:>13}" for name in names))
    ids = [event_id for event_id, _ in receiver.lines()]
    print(f"the receiver took {len(ids)} events, {len(ids) - len(set(ids))} of them a second time")
    print(f"troubles: {', '.join(f'{n} {kind}' for kind, n in sorted(troubles.done.items()))}")
    for name, (processes, files, size) in last.items():
        was = first.get(name, last[name])
        print(
            f"{name}: processes {was[0]} then {processes}, descriptors {was[1]} then {files}, "
            f"MiB {was[2] >> 20} then {size >> 20}"
        )
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(prog="./run soak", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=5)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--disk", default=DISK, help="size of the spools' disk (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the directory, with the servers' logs")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    directory = tempfile.mkdtemp(prefix="hk-soak-")
    os.chmod(directory, 0o755)
    print(f"seed {seed}, {options.minutes:g} minutes, in {directory}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wrong = soak(options.minutes, random.Random(seed), directory, options.disk)
    for text in wrong:
        print(f"WRONG: {text}")
    if not (wrong or options.keep):
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
