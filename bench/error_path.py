"""What one error costs the request that it ends: beside its peers, by stages, with hostile values, and in memory.

    python bench/error_path.py

The standard workload of bench/peers.py: 17 frames with locals and source, in a request, written into the spool. Then
the same with rows and models of SQLAlchemy and pydantic (bench/_rows.py).
The spool is a directory of $TMPDIR; what its file system takes for a file of that size stands beside it: ext4 without a
journal takes ten times as long in the minutes after many files were deleted.
Times are CPU times of the thread, the least of many rounds, of this machine and this run; the peers' rounds are
interleaved with ours, so that what else the machine does hits all alike. The first table needs sentry-sdk and bugsnag.
"""

import contextlib
import gc
import itertools
import logging
import os
import resource
import shutil
import sys
import tempfile
import time

import peers

from heka.holder import get_client
from heka_raven.capture.values import Walker
from heka_raven.events.encode import encode_event
from heka_raven.events.event import build_event
from heka_raven.middleware.request import describe

ROUNDS, CALLS = 60, 3


def failing(app):
    with contextlib.suppress(ValueError):
        peers.drive(app)


def least_us(function, rounds=ROUNDS, calls=CALLS):
    times = []
    for _ in range(rounds):
        started = time.thread_time()
        for _ in range(calls):
            function()
        times.append((time.thread_time() - started) / calls * 1e6)
    return min(times)


def beside_its_peers(title, workload):
    apps = {}
    for name in ("bare", "ours", "bugsnag", "sentry"):
        try:
            apps[name] = peers.MAKE[name](workload)
        except ImportError:
            print(f"{name} is not installed: left out")
    times = {name: [] for name in apps}
    for app in apps.values():
        failing(app)
    for _ in range(ROUNDS):
        for name, app in apps.items():
            gc.collect(0)
            started = time.thread_time()
            for _ in range(CALLS):
                failing(app)
            times[name].append((time.thread_time() - started) / CALLS * 1e6)
    least = {name: min(found) for name, found in times.items()}
    print(f"{title:<28}{'CPU us':>10}{'over bare':>12}{'of ours':>10}")
    for name, value in least.items():
        over = value - least["bare"]
        ratio = over / (least["ours"] - least["bare"])
        print(f"{name:<28}{value:>10.0f}{over:>12.0f}{ratio:>9.1f}x")
    return apps["ours"]


def by_stages(client):
    reporter = client.raven.reporter
    try:
        peers.app_err(dict(peers.ENVIRON), peers.start_response)
    except ValueError as exc:
        error = exc

    def capture():
        walker = Walker(time.thread_time, reporter.scrubber, is_library=reporter.is_library)
        return reporter.capturer.exceptions(error, error.__traceback__.tb_next, walker, {"type": "generic"})

    facts = describe(dict(peers.ENVIRON))
    walker = Walker(time.thread_time, reporter.scrubber)
    event = build_event(event_id="a" * 32, now=0.0, level="error", logger="", static=reporter.static, walker=walker,
                        exceptions=capture(), facts=facts)  # fmt: skip
    data = encode_event(event)
    stages = {
        "describe the request": lambda: describe(dict(peers.ENVIRON)),
        "capture, locals masked": capture,
        "scrub the rest": lambda: reporter.scrubber.scrub_event(event),
        f"encode ({len(data):,} bytes)": lambda: encode_event(event),
        "write into the spool": lambda: client.stream.write_event("a" * 32, "http://a@127.0.0.1:9/1", data),
    }
    spool, numbers = client.stream.spool.path, itertools.count()

    def write_by_hand():
        name = f"by-hand-{next(numbers)}"
        fd = os.open(f"{spool}/tmp/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, data)
        os.close(fd)
        os.rename(f"{spool}/tmp/{name}", f"{spool}/dead/{name}")

    stages["of that open, write, rename"] = write_by_hand
    print(f"\n{'stage':<28}{'CPU us':>10}")
    for name, function in stages.items():
        print(f"{name:<28}{least_us(function):>10.0f}")


class Node:
    def __init__(self, nodes):
        self.name = "n" * 100
        self.nodes = nodes
        for n in range(40):
            setattr(self, f"attribute_{n}", nodes)


def graph(depth):
    return Node([graph(depth - 1) for _ in range(3)] if depth else [])


def tables():
    try:
        import pandas
    except ImportError:
        return {}
    wide = pandas.DataFrame({f"column {n}": range(100) for n in range(5000)})
    return {"a table of 5,000 columns": wide, "50 tables": [wide.copy() for _ in range(50)]}


def hostile(client):
    class Slow:
        def __repr__(self):
            time.sleep(5)

    def recurse(depth, value):
        return recurse(depth - 1, value) if depth else 1 / 0

    values = {
        "50 MB of text": "x" * 50_000_000,
        "3 million items": list(range(3_000_000)),
        "a repr that takes 5 s": [Slow()],
        "a dict of 10,000 keys": {f"key {n}": "x" * 100 for n in range(10_000)},
        "50 x 50 x 50 x 50 items": [[[["x" * 400] * 50] * 50] * 50] * 50,
        "control characters": ["\x01" * 400] * 50,
        "a graph of objects": graph(6),
        **tables(),
    }
    sizes = []
    write = client.stream.write_event
    client.stream.write_event = lambda event_id, dsn, payload, *more: sizes.append(len(payload)) or True
    print(f"\n{'hostile, 900 frames deep':<28}{'CPU ms':>10}{'bytes':>12}")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(2000)
    try:
        for name, value in values.items():
            took = []
            for _ in range(3):
                try:
                    recurse(900, value)
                except ZeroDivisionError as exc:
                    started = time.thread_time()
                    client.raven(exc_info=exc)
                    took.append((time.thread_time() - started) * 1000)
            print(f"{name:<28}{min(took):>10.1f}{sizes[-1]:>12,}")
    finally:
        sys.setrecursionlimit(limit)
        client.stream.write_event = write


def rss_kb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def memory(client, app, count):
    client.stream.write_event = lambda *args: True
    for _ in range(500):
        failing(app)
    gc.collect()
    before = rss_kb()
    for _ in range(count):
        failing(app)
    gc.collect()
    print(f"\nRSS after {count:,} errors: {rss_kb() - before:+,} KB")


def main():
    logging.disable(logging.CRITICAL)
    folders = []
    make = tempfile.mkdtemp
    tempfile.mkdtemp = lambda *args, **kwargs: folders.append(make(*args, **kwargs)) or folders[-1]
    try:
        app = beside_its_peers("one error", peers.app_err)
        try:
            import _rows
        except ImportError:
            print("SQLAlchemy or pydantic is not installed: rows and models are left out")
        else:
            print()
            beside_its_peers("one error, rows and models", _rows.make_app())
            print()
            beside_its_peers("the same, 12 variables", _rows.make_app(plain=True))
        client = get_client("bench")
        by_stages(client)
        hostile(client)
        memory(client, app, int(os.environ.get("BENCH_ERRORS", "100000")))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
