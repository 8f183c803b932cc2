"""Bad bytes for what reads others' bytes in Python: each target begins with its invariant.

    python tests/bad_bytes.py [--seconds N] [--runs N] [--seed N] [TARGET ...]

An input that broke an invariant is kept in tests/fuzz/corpus/TARGET, and tried again by every test run.
"""

# ruff: noqa: E402 - the path comes before the imports

import argparse
import contextlib
import hashlib
import io
import json
import logging
import mmap
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import orjson
from webob import Request

from heka_raven import build_client
from heka_raven.cli import decode
from heka_raven.events.server import Sentence
from heka_raven.eyes.answers import read_answer, write_answer
from heka_raven.eyes.dump import read_dump
from heka_raven.eyes.rules import Rules, read_rules
from heka_raven.eyes.slots import ROW_SIZE, SLOTS, Slots
from heka_raven.gunicorn import values
from heka_raven.gunicorn.c_stack import read_c_stack
from heka_raven.gunicorn.event import EventMaker, request_of
from heka_raven.gunicorn.kinds import SEGFAULT, read_stacks
from heka_raven.inbox.web.app import make_app
from heka_raven.spool.ledger import read_snapshot

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
DATA = ROOT / "tests" / "data"
MEMORY = "/dev/shm"
ODD = [
    None,
    True,
    -1,
    0,
    2**63,
    -(2**70),
    1e308,
    "",
    "x" * 3000,
    "\0",
    "\ud800",
    [],
    {},
    [[]],
    {"": ""},
    "NaN",
    "1" * 5000,
]
PIECES = [
    b"\x1e",
    b"\x1f",
    b"\0",
    b"\n",
    b"{",
    b"}",
    b"[" * 200,
    b'"',
    b"\\u0000",
    b"\xff" * 8,
    b"\xe2\x80",
    b"1e999",
    b"-1",
]
STACK = b"""Fatal Python error: Segmentation fault

Current thread 0x00007f0000000007 (most recent call first):
  File "/srv/shop/views.py", line 12 in view
  File "/srv/shop/app.py", line 3 in application

Current thread's C stack trace (most recent call first):
  Binary file "/usr/lib/libpython3.14.so", at _Py_DumpStack+0x2f [0x7f0000000010]
  Binary file "/lib/libc.so.6", at +0x3bf90 [0x7f0000000011]
  Binary file "/srv/fast.so", at work+0x9 [0x7f0000000012]
"""


def mutate_bytes(dice, data):
    """One to four of the ways in which bytes go wrong."""
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, kind = dice.randrange(len(data) + 1), dice.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = dice.randrange(256)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + dice.randint(1, 40)]
        elif kind == 3:
            data[at:at] = dice.choice(PIECES)
        elif kind == 4:
            data[at:at] = dice.randbytes(dice.randint(1, 20))
        else:
            data[at:at] = data[: dice.randrange(len(data) + 1)]
    return bytes(data[:200_000])


def mutate_json(dice, value):
    """*value* with some of its parts of another kind."""
    if dice.random() < 0.03:
        return dice.choice(ODD)
    if isinstance(value, dict):
        return {(str(dice.choice(ODD)) if dice.random() < 0.01 else k): mutate_json(dice, v) for k, v in value.items()}
    if isinstance(value, list):
        return [mutate_json(dice, item) for item in value] * (dice.randrange(3) if dice.random() < 0.02 else 1)
    return value


def dump(value):
    return json.dumps(value).encode("utf-8", "surrogatepass")


class Target:
    """What reads bytes. ``feed`` raises where an invariant broke."""

    name = ""

    def __init__(self, place):
        self.place = place

    def seeds(self):
        raise NotImplementedError

    def feed(self, data):
        raise NotImplementedError

    def finish(self):
        """What must hold after all of them."""

    def make(self, dice, seeds):
        return mutate_bytes(dice, dice.choice(seeds))


class Inbox(Target):
    """Whatever an envelope is: 200 and its event is shown, or a refusal of one line, never a 500."""

    name = "inbox"
    most = 500  # events; then the store begins anew

    def __init__(self, place):
        super().__init__(place)
        self.number = self.stored = 0
        self.app = None
        self.begin()

    def begin(self):
        self.number, self.stored = self.number + 1, 0
        self.path = os.path.join(self.place, f"inbox{self.number}.db")
        self.app = make_app(self.path)

    def seeds(self):
        found = [path.read_bytes() for path in sorted((DATA / "sdks").glob("*.env"))]
        return [data for data in found if len(data) < 60_000]

    def make(self, dice, seeds):
        data = dice.choice(seeds)
        if dice.random() < 0.5:
            return mutate_bytes(dice, data)
        lines = data.split(b"\n")
        for at, line in enumerate(lines):
            with contextlib.suppress(ValueError):
                lines[at] = dump(mutate_json(dice, json.loads(line)))
                if at > 0 and b'"length"' in lines[at - 1]:
                    head = json.loads(lines[at - 1])
                    if isinstance(head, dict) and dice.random() < 0.9:
                        lines[at - 1] = dump({**head, "length": len(lines[at])})
        return b"\n".join(lines)

    def ask(self, path, method="GET", body=b"", **headers):
        request = Request.blank(
            path, method=method, body=body, headers={"X-Sentry-Auth": "Sentry sentry_key=k", **headers}
        )
        reply = request.get_response(self.app)
        if reply.status_int >= 500:
            raise AssertionError(f"{path}: {reply.status_int}")
        return reply

    def feed(self, data):
        reply = self.ask("/api/1/envelope/", "POST", data)
        if reply.status_int != 200:
            if "\n" in reply.headers.get("X-Sentry-Error", "\n"):
                raise AssertionError("a refusal that is not one line")
            return
        event_id = reply.json.get("id")
        if not event_id or self.ask(f"/api/events/{event_id}").status_int != 200:
            return  # an envelope without an event
        self.stored += 1
        for path in (f"/event/{event_id}", f"/event/{event_id}/markdown", f"/event/{event_id}/curl"):
            if self.ask(path, Accept="text/html").status_int != 200:
                raise AssertionError(f"{path} is not shown")
        if self.stored >= self.most:
            self.finish()
            self.begin()

    def finish(self):
        for path in ("/", "/hosts", "/data", "/api/events"):
            assert self.ask(path, Accept="text/html").status_int == 200, path
        self.app.close()
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            assert ("ok",) == db.execute("PRAGMA integrity_check").fetchone()
            events, bodies = (db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("event", "body"))
        assert events == bodies, f"{events} events, {bodies} bodies"
        for path in Path(self.place).glob("inbox*"):
            path.unlink()


class Decode(Target):
    """`heka-raven decode` writes lines of JSON with the nine keys, or says in one line why not."""

    name = "decode"
    KEYS = frozenset({"uuid", "timestamp", "type", "logger", "severity", "payload", "pid", "hostname", "fields"})

    def seeds(self):
        from support.fleet import encode, event_json

        records = [encode(event_json(n, 300), "http://key@sentry.example.com/1") for n in range(3)]
        envelopes = [path.read_bytes() for path in sorted((DATA / "sdks").glob("py*.env"))]
        raven = [
            case.encode() for case in _texts(json.loads((DATA / "raven_payloads.json").read_text())) if len(case) > 200
        ]
        return [*records, records[0] * 3, *envelopes, *raven[:8]]

    def feed(self, data):
        out, err = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        try:
            for unpack in (False, True):
                with contextlib.suppress(decode.DecodeError):
                    decode._decode(io.BytesIO(data), "auto", unpack)
            said = sys.stdout.buffer.getvalue()
        finally:
            sys.stdout, sys.stderr = out, err
        for line in said.splitlines():
            assert orjson.loads(line).keys() == self.KEYS


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


class Watch(Target):
    """Whatever a worker left in its row and its memory files, its death is one event of valid JSON."""

    name = "watch"

    def __init__(self, place):
        super().__init__(place)
        self.slots = Slots(mmap.mmap(-1, ROW_SIZE))
        self.file = os.memfd_create("bad-bytes")
        spool = os.path.join(place, "spool")
        options = {"stream_sender": "off", "max_per_fingerprint": "1000000/1s"}
        self.client = build_client("http://key@127.0.0.1:9/1", stream_path=spool, **options)
        self.maker = EventMaker(self.client, "27")
        self.new = os.path.join(spool, "new")

    def seeds(self):
        self.slots.begin_row(0, 7, 1)
        self.slots.answer(0, b'{"transaction": "GET /a", "user": {"id": 1}, "trace": {"trace_id": "ab"}}')
        self.slots.tell_rules(0, b"+password\n-name")
        shown = {"file": "/srv/shop/views.py", "line": 12, "function": "view", "vars": {"a": 1, "b": {"c": [None]}}}
        answer = dump({"frames": [shown]})
        outside = dump([{"thread_id": 7, "os_thread_id": 7, "frames": [{"name": "view", "filename": "/a.py", "line": 1,
                         "locals": [{"name": "a", "arg": True, "repr": "{'b': [1, 'x', ...]}"}]}]}])  # fmt: skip
        row = bytes(self.slots.memory[:200])
        slot = b"\7" + bytes(11) + b"GET\n10.0.0.1\n/a?b=c\nhttp://shop.example"
        return [b"\n#\n".join((row, slot, STACK, self.written(answer), outside))]

    def written(self, answer):
        """The memory file, as a worker writes it."""
        os.ftruncate(self.file, 0)
        write_answer(self.file, values.EXIT, answer)
        return os.pread(self.file, len(answer) + 64, 0)

    def make(self, dice, seeds):
        parts = dice.choice(seeds).split(b"\n#\n")
        at = dice.randrange(len(parts))
        if at >= 3 and dice.random() < 0.6:
            skip = len(self.written(b"")) if at == 3 else 0
            text = dump(mutate_json(dice, json.loads(parts[at][skip:])))
            parts[at] = self.written(text) if skip else text
        else:
            parts[at] = mutate_bytes(dice, parts[at])
        return b"\n#\n".join(parts)

    def feed(self, data):
        row, slot, stack, answer, outside = [*data.split(b"\n#\n", 4), b"", b"", b"", b""][:5]
        memory = self.slots.memory
        memory[:4096] = row[:4096].ljust(4096, b"\0")
        for place in (0, SLOTS - 1):
            at = 4096 + place * 1024
            memory[at : at + 1024] = slot[:1016].ljust(1016, b"\0") + b"\1" * 8
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, answer, 0)
        rows = list(self.slots.rows())
        running = self.slots.in_flight(0)
        text = stack.decode("utf-8", "replace")
        stacks, current = read_stacks(text)
        shown = values.read_frames(read_answer(self.file, values.EXIT))
        read_dump(outside, 7, 7, read_rules(self.slots.rules(0)), time.process_time)
        read_dump(outside, 7, 7, Rules(), time.process_time)
        self.maker.report(
            Sentence("gunicorn", SEGFAULT, signal=11),
            worker={"worker": rows[0].worker if rows else 0, "pid": 7},
            suspect=running[0] if running else None,
            bystanders=[request_of(request, 10**18) for request in running],
            frames=shown or stacks.get(current, []),
            native=read_c_stack(text),
            answer=self.slots.take_answer(0),
            now_ns=10**18,
        )
        made = os.listdir(self.new)
        if len(made) != 1:
            counts = {name: n for name, n in read_snapshot(os.path.dirname(self.new)).counts.items() if n}
            raise AssertionError(f"{len(made)} events: {counts}")
        path = os.path.join(self.new, made[0])
        event = json.loads(Path(path).read_bytes().split(b"\n")[2])
        os.unlink(path)
        assert event["exception"]["values"], event


TARGETS = {one.name: one for one in (Inbox, Decode, Watch)}


def corpus(name):
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def run(name, dice, seconds=0.0, runs=0, keep=False):
    """Feed mutated bytes; (runs, what broke)."""
    logging.disable(logging.CRITICAL)
    place = tempfile.mkdtemp(prefix="hk-bytes-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    until, done, broken = time.monotonic() + seconds if seconds else float("inf"), 0, []
    try:
        target = TARGETS[name](place)
        seeds = [*target.seeds(), *corpus(name)]
        for data in seeds:
            broken += _feed(target, data, keep)
        while len(broken) < 10 and (not runs or done < runs) and time.monotonic() < until:
            broken += _feed(target, target.make(dice, seeds), keep)
            done += 1
        target.finish()
    finally:
        logging.disable(logging.NOTSET)
        shutil.rmtree(place, ignore_errors=True)
    return done, broken


def _feed(target, data, keep):
    try:
        target.feed(data)
    except Exception:
        text = traceback.format_exc()
        if keep:
            path = CORPUS / target.name / f"crash-{hashlib.sha1(data).hexdigest()}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            text += f"kept: {path}\n"
        return [text]
    return []


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", nargs="*", help=f"default: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each; 0: until the runs are done")
    parser.add_argument("--runs", type=int, default=0, help="at most so many for each")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args(argv)
    bad = False
    for name in options.target or TARGETS:
        began = time.monotonic()
        done, broken = run(name, random.Random(options.seed), options.seconds, options.runs, keep=True)
        print(f"{name}: {done:,} runs in {time.monotonic() - began:.0f} s, seed {options.seed}: {len(broken)} broke")
        print("".join(broken), end="", flush=True)
        bad = bad or bool(broken)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
