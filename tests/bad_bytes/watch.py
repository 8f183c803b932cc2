"""What a watched worker of gunicorn leaves for who watches it."""

import json
import mmap
import os
import time
from pathlib import Path

from bad_bytes.mutate import Target, dump, mutate_bytes, mutate_json
from heka_raven import build_client
from heka_raven.events.server import Sentence
from heka_raven.eyes.answers import read_answer, write_answer
from heka_raven.eyes.dump import read_dump
from heka_raven.eyes.rules import Rules, read_rules
from heka_raven.eyes.slots import ROW_SIZE, SLOTS, Slots
from heka_raven.gunicorn import values
from heka_raven.gunicorn.c_stack import read_c_stack
from heka_raven.gunicorn.event import EventMaker, request_of
from heka_raven.gunicorn.kinds import SEGFAULT, read_stacks
from heka_raven.spool.ledger import read_snapshot

STACK = b"""Fatal Python error: Segmentation fault

Current thread 0x00007f0000000007 (most recent call first):
  File "/srv/shop/views.py", line 12 in view
  File "/srv/shop/app.py", line 3 in application

Current thread's C stack trace (most recent call first):
  Binary file "/usr/lib/libpython3.14.so", at _Py_DumpStack+0x2f [0x7f0000000010]
  Binary file "/lib/libc.so.6", at +0x3bf90 [0x7f0000000011]
  Binary file "/srv/fast.so", at work+0x9 [0x7f0000000012]
"""


class Watch(Target):
    """Whatever a worker left in its row and its memory files, its death is one event of valid JSON."""

    name = "watch"

    def __init__(self, place):
        super().__init__(place)
        self.slots = Slots(mmap.mmap(-1, ROW_SIZE))
        self.file = os.memfd_create("bad-bytes")
        spool = os.path.join(place, "spool")
        options = {"stream_sender": "off", "max_per_fingerprint": "1000000/1s"}
        # What is taken away here is in no counter, so the spool would be full one day.
        options |= {"stream_max_bytes": 1 << 50, "stream_max_count": 1 << 50}
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
        shown, _ = values.read_frames(read_answer(self.file, values.EXIT))
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
