"""The relay and the broker: events a second in and out, on this machine, in this run.

    python bench/fleet.py [--events N] [--without-broker]

Events are of about 5 KB on the wire. Each figure is of one process; all share this machine's cores with the client and
the broker, so what a relay costs is given as the processor time of its own process too.
"""

import argparse
import base64
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from heka_raven.formats.envelope import encode_spool_envelope
from heka_raven.spool.ledger import read_snapshot
from heka_raven.spool.spool import Spool
from support.fleet import COMMAND, encode, rss_bytes, spool_names, start_relay, stop
from support.rabbit import HOMES, running_cluster
from support.waiting import wait_for

DSN = "http://key@sentry.example.com/1"
RULE = ("--dsn", "http://*@sentry.example.com/*", "--max-count", "1000000", "--max-bytes", "4G")
RECORD_SIZE = 5_000  # bytes, about: what an event with 20 frames packs to
WAITING = 100_000
CPU_SHARE = 0.25
SLICE_S = 0.04
ROUNDS = 3  # one relay and two in turn; the median counts
TMPFS = "/dev/shm"  # what is left is the relay's own cost, whatever the file system of the temporary directory takes
TICKS = os.sysconf("SC_CLK_TCK")


def make_event(number, size):
    """An event of about *size* bytes of text, which packs to half, as frames with their source and locals do."""
    noise = base64.b64encode(os.urandom(size // 4)).decode()
    frames = [
        {"function": f"f{i}", "lineno": i, "vars": {"a": noise[i * 48 : i * 48 + 48], "b": "value of b " * 5}}
        for i in range(size // 150)
    ]
    return json.dumps({"event_id": f"{number:032x}", "level": "error", "exception": {"values": [{"frames": frames}]}})


def packed_record(number):
    text = make_event(number, 2 * RECORD_SIZE)
    return encode(base64.b64encode(zlib.compress(text.encode(), 6)).decode(), DSN)


def plain_record(number):
    return encode(make_event(number, RECORD_SIZE), DSN)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def send_all(port, data):
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(data)


def captured(path):
    return read_snapshot(str(path))["captured"]


def row(name, events, wall_s, cpu=None, note=""):
    cost = "" if not cpu else f"  {events / cpu:8.0f} a second of its processor  {cpu / events * 1e6:6.0f} µs each"
    print(f"{name:<36} {events / wall_s:8.0f} events/s{cost}  {note}", flush=True)


def bench_relay(directory, events, place):
    for name, make in (("relay, TCP, packed (raven)", packed_record), ("relay, TCP, plain JSON", plain_record)):
        unique = [make(number) for number in range(200)]
        data = b"".join(unique) * (events // 200)
        size = sum(map(len, unique)) // 200
        relay = start_relay(f"{directory}/{make.__name__}", *RULE, listen=("tcp",), stderr=subprocess.DEVNULL)
        try:
            before = cpu_s(relay.process.pid)
            client = multiprocessing.get_context("fork").Process(target=send_all, args=(relay.port("tcp"), data))
            began = time.perf_counter()
            client.start()
            wait_for(lambda: captured(relay.spool) >= events, "the relay to capture", 120)
            wall_s = time.perf_counter() - began
            client.join()
            used = cpu_s(relay.process.pid) - before
            note = f"{size} bytes a record, spool on {place}, RSS {relay.rss_bytes() / 2**20:.0f} MB"
            row(name, events, wall_s, used, note)
        finally:
            stop(relay.process)


def fill(path, count):
    spool = Spool(path, max_count=10**6, max_bytes=4 * 2**30)
    events = [make_event(number, RECORD_SIZE).encode() for number in range(200)]
    for number in range(count):
        spool.ledger.add("captured")
        spool.put(f"{number:032x}", encode_spool_envelope(f"{number:032x}", DSN, "event", events[number % 200]))
    return path


def bench_waiting(directory):
    path = fill(f"{directory}/waiting", WAITING)
    relay = start_relay(path, *RULE, listen=("tcp",), sender="thread", stderr=subprocess.DEVNULL)
    try:
        time.sleep(3)
        print(f"relay with {WAITING:,} events waiting{'':<6} RSS {relay.rss_bytes() / 2**20:.0f} MB")
    finally:
        stop(relay.process)
    return path


def bench_broker(directory, events, waiting):
    with running_cluster(f"{directory}/rabbit") as cluster:
        node = cluster.nodes[0]
        command = [*COMMAND, "send", "--spool", waiting, "--to", node.url]
        publisher = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: read_snapshot(waiting)["delivered"] > 0, "the first delivery")
            before, began, first = cpu_s(publisher.pid), time.perf_counter(), read_snapshot(waiting)["delivered"]
            peak = 0
            while (done := read_snapshot(waiting)["delivered"] - first) < events:
                peak = max(peak, rss_bytes(publisher.pid))
                time.sleep(0.05)
            wall_s = time.perf_counter() - began
            used = cpu_s(publisher.pid) - before
            row("AMQP out, confirmed", done, wall_s, used, f"RSS {peak / 2**20:.0f} MB with {WAITING:,} waiting")
            wait_for(lambda: read_snapshot(waiting)["delivered"] >= 4 * events + 2000, "every delivery", 300)
        finally:
            stop(publisher)
        bench_sharing(directory, node, events)


def bench_sharing(directory, node, events):
    """One relay and two on the same queue: sharing two cores with the broker, then each with a part of a core."""
    cores = f"{os.cpu_count()} cores, shared with the broker"
    for share, note in ((1.0, cores), (CPU_SHARE, f"each runs {CPU_SHARE:.0%} of the time, as on a host of its own")):
        count = events // 4 if share == 1.0 else events // 8
        ratios = []
        for attempt in range(ROUNDS):
            paths = f"{directory}/{share}-{attempt}"
            (alone, alone_cpu), (both, both_cpu) = (bench_consumers(paths, node, n * count, n, share) for n in (1, 2))
            ratios.append((both / alone, 2 * both_cpu / alone_cpu))
        ratio, by_cpu = map(statistics.median, zip(*ratios, strict=True))
        print(f"two relays on one queue{'':<13} {ratio:8.2f} times one, {by_cpu:.2f} for equal processor time ({note})")


@contextlib.contextmanager
def held_back(pids, share):
    """Let processes run a share of each 40 ms, one after the other: their part of a core, whatever else runs."""
    stopping = threading.Event()

    def run():
        while not stopping.is_set():
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
                time.sleep(SLICE_S * share)
                os.kill(pid, signal.SIGSTOP)
            time.sleep(SLICE_S * (1 - len(pids) * share))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=run)
    if share < 1:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        if share < 1:
            thread.join()


def bench_consumers(directory, node, events, count, share):
    paths = [f"{directory}-{count}{n}" for n in range(count)]
    options = (*RULE, "--from", node.url)
    relays = [start_relay(path, *options, listen=(), stderr=subprocess.DEVNULL) for path in paths]
    pids = [relay.process.pid for relay in relays]
    try:
        with held_back(pids, share):
            wait_for(lambda: sum(map(captured, paths)) > 100)
            first, began = sum(map(captured, paths)), time.perf_counter()
            before = sum(map(cpu_s, pids))
            wait_for(lambda: sum(map(captured, paths)) - first >= events - 200, limit_s=120)
            wall_s = time.perf_counter() - began
            done = sum(map(captured, paths)) - first
            used = sum(map(cpu_s, pids)) - before
        rss = max(relay.rss_bytes() for relay in relays)
        name = f"AMQP in, {count} relay(s)" + ("" if share == 1 else f", {share:.0%} of a core each")
        row(name, done, wall_s, used, f"RSS {rss / 2**20:.0f} MB")
        return done / wall_s, done / used
    finally:
        for relay in relays:
            stop(relay.process)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--without-broker", action="store_true")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="bench-fleet-")
    try:
        bench_relay(directory, options.events, directory)
        if os.path.isdir(TMPFS):
            with tempfile.TemporaryDirectory(prefix="bench-fleet-", dir=TMPFS) as memory:
                bench_relay(memory, options.events, TMPFS)
        waiting = bench_waiting(directory)
        print(f"spool: {len(spool_names(waiting)):,} files")
        if options.without_broker or not HOMES:
            print("without a broker: apt-get install rabbitmq-server")
        else:
            bench_broker(directory, options.events, waiting)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
