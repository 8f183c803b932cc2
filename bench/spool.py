"""What handing an event to the spool costs a request: `./run bench spool`, or `python bench/spool.py`.

A 30 KB event, written by `SpoolStream.write_event`: into an empty spool and into one where 100,000 files wait, in the
folder for temporary files ($TMPDIR) and on tmpfs, and with ``durability = power``. Median and 99th percentile over many
writes. The peer is what no spool can go below: open, write, close and rename, one after the other, in a loop.

ext4 without a journal passes over every inode that was freed in the last five minutes: there a second run so soon after
the first, which deletes its files, measures that (a millisecond an event). With a journal it makes no difference.
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
TURNS = 10
POWER_WRITES = 100
WAITING = 100_000
LIMITS_US = {"disk": 60.0, "tmpfs": 30.0}
MAX_GROWTH = 0.30
DSN = "https://public@sentry.example/1"


PAYLOAD = b'{"x":"' + b"y" * (SIZE - 8) + b'"}'


def bare(folder, number, writes):
    """Sorted microseconds of *writes* files of that size, made by the four system calls alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    times = []
    for i in range(writes):
        name = f"{number + i:020d}-{os.getpid()}-{i:032x}.env"
        temporary, final = f"{folder}/tmp/{name}", f"{folder}/new/{name}"
        began = time.perf_counter_ns()
        fd = os.open(temporary, flags, 0o600)
        os.write(fd, PAYLOAD)
        os.close(fd)
        os.rename(temporary, final)
        times.append((time.perf_counter_ns() - began) / 1000)
    return sorted(times)


def measure(stream, writes):
    """Sorted microseconds of *writes* hand-overs."""
    times = []
    for i in range(writes):
        event_id = f"{i:032x}"
        began = time.perf_counter_ns()
        stream.write_event(event_id, DSN, PAYLOAD)
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
            for part in ("tmp", "new"):
                os.makedirs(f"{folder}/bare/{part}")
            measure(empty, 200)
            # In turns, here and below, so that what else the machine does falls on both.
            turns = [(bare(f"{folder}/bare", 1000 * i, 300), measure(empty, 300)) for i in range(TURNS)]
            least = show(f"{kind}, the system calls alone", sorted(t for times, _ in turns for t in times))
            ours = show(f"{kind}, empty spool", sorted(t for _, times in turns for t in times), LIMITS_US[kind])
            missed += ours > LIMITS_US[kind]
            print(f"  {kind}, hand-over against the system calls alone: x {ours / least:.2f}")
            full = SpoolStream(path=f"{folder}/full", **options)
            plant(full, WAITING)
            pairs = [(measure(empty, 300), measure(full, 300)) for _ in range(TURNS)]
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
