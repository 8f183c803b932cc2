"""What handing an event to the spool costs a request: `./run bench spool`, or `python bench/spool.py`.

A 30 KB event, written by `SpoolStream.write_event`: into an empty spool and into one where 100,000 files wait, on this
directory's file system and on tmpfs, and with ``durability = power``. Median and 99th percentile over many writes.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from heka_raven.streams import SpoolStream

SIZE = 30_000  # bytes, a usual event with locals
WRITES = 3000
POWER_WRITES = 100
WAITING = 100_000
LIMITS_US = {"disk": 60.0, "tmpfs": 30.0}
MAX_GROWTH = 0.30
DSN = "https://public@sentry.example/1"


def measure(stream, writes=WRITES):
    """Sorted microseconds of *writes* hand-overs."""
    payload = b'{"x":"' + b"y" * (SIZE - 8) + b'"}'
    times = []
    for i in range(writes):
        event_id = f"{i:032x}"
        began = time.perf_counter_ns()
        stream.write_event(event_id, DSN, payload)
        times.append((time.perf_counter_ns() - began) / 1000)
    return sorted(times)


def plant(stream, count):
    """*count* small events that wait, counted as such."""
    for i in range(count):
        stream.write_event(f"{i:032x}", DSN, b"{}")


def show(what, times, limit_us=None):
    median = statistics.median(times)
    limit = "" if limit_us is None else f"   limit {limit_us:g}: {'met' if median <= limit_us else 'MISSED'}"
    print(f"  {what:<34} {median:8.1f} {times[int(len(times) * 0.99)]:9.1f}{limit}")
    return median


def main():
    places = [("disk", tempfile.gettempdir())]
    if os.path.isdir("/dev/shm"):
        places.append(("tmpfs", "/dev/shm"))
    print(f"hand-over of a {SIZE:,} byte event, microseconds         median       p99")
    missed = 0
    for kind, parent in places:
        folder = tempfile.mkdtemp(prefix="heka-raven-bench-", dir=parent)
        try:
            options = {"sender": "off", "max_count": 10 * WAITING, "max_bytes": 1 << 40}
            empty = SpoolStream(path=f"{folder}/empty", **options)
            measure(empty, 200)
            missed += show(f"{kind}, empty spool", measure(empty), LIMITS_US[kind]) > LIMITS_US[kind]
            full = SpoolStream(path=f"{folder}/full", **options)
            plant(full, WAITING)
            # In turns, so that what else the machine does falls on both.
            pairs = [(measure(empty, 500), measure(full, 500)) for _ in range(10)]
            before = statistics.median(statistics.median(times) for times, _ in pairs)
            after = statistics.median(statistics.median(times) for _, times in pairs)
            show(f"{kind}, {WAITING:,} files waiting", sorted(t for _, times in pairs for t in times))
            growth = after / before - 1
            missed += abs(growth) > MAX_GROWTH
            print(f"  {kind}, difference {100 * growth:+.0f} % (limit ±{100 * MAX_GROWTH:.0f} %)")
            power = SpoolStream(path=f"{folder}/power", durability="power", **options)
            show(f"{kind}, durability = power", measure(power, POWER_WRITES))
        finally:
            shutil.rmtree(folder)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
