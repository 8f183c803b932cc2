"""The memory that watched processes write and the watcher reads: one row a process, one slot a request in flight.

A slot says when its request began, which tells requests apart: who reads copies, looks at that again, and drops what
changed meanwhile.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator
from threading import get_ident, get_native_id, local
from time import monotonic_ns
from typing import Any, NamedTuple

ROWS = 64  # workers at once, with those that just died
SLOTS = 64  # requests of one worker that are seen at once
SLOT_SIZE = 1024  # bytes
MAX_TEXT = SLOT_SIZE - 36
CUT = "\0"
MAX_BEGAN_S = 1e10
MAX_PID = 1 << 22  # Linux' own limit
RULES_AT, MAX_RULES = 4096 + SLOTS * SLOT_SIZE, 4092
ROW_SIZE = RULES_AT + 4096
ANSWER_AT, MAX_ANSWER = 64, 4000

# Thread as Python numbers it, and as the kernel does; text; what was told, which is the watch's own; and last, as it is
# written last, when the request began, in seconds of the monotonic clock: 0 while there is none.
SLOT = struct.Struct(f"<QI{MAX_TEXT}s16xd")
SLOT_AS_WRITTEN = struct.Struct(f"<12s{MAX_TEXT}s16xd")  # the same, with a Thread's numbers as they are
TOLD_AT = SLOT_SIZE - 24  # twice: of which request it was told last, by its began_ns
SLOW, OVER_TIME = range(2)
_BEGAN = struct.Struct("<d")
BEGAN_AT = SLOT_SIZE - 8
_ROW = struct.Struct("<QQQI")  # pid, begin of the process, number of the worker, length of the answer
_FLAGS_AT = 40
_QUESTION = struct.Struct("<QQ")  # number, thread
_QUESTION_AT = 48
REGISTERED, ABORTED, IN_ORDER, TOLD, ANSWERS, BEGUN = range(6)  # places of flags


class Thread(local):
    """The numbers of the thread that asks, packed: the kernel is asked once a thread. A child makes its own."""

    def __init__(self) -> None:
        self.numbers = struct.pack("<QI", get_ident(), get_native_id())


class InFlight(NamedTuple):
    """One request as its slot says it.

    Attributes:
        text: lines: method, address of the visitor, scheme, SCRIPT_NAME, path, host; where it was too long, with CUT.
    """

    slot: int
    began_ns: int
    thread: int
    text: str
    tid: int = 0

    def fields(self) -> tuple[str, str, str, str]:
        """Method, path with query, address of the visitor, scheme and host."""
        job = self.job()
        if job:
            return "task", str(job.get("transaction", "")), "", ""
        method, address, scheme, rest, *_ = [*self.text.split("\n", 3), "", "", "", ""]
        path, _, host = rest.rpartition("\n")
        if self.text.endswith(CUT):
            path, host = "\n".join(rest[:-1].split("\n")[:2]), ""
        # A text of WSGI is bytes by Latin-1. What is left of newlines is the path's.
        path = path.encode("latin-1", "replace").decode("utf-8", "replace")
        return method, path.replace("\n", "", 1).replace("\n", "%0A"), address, host and f"{scheme}://{host}"

    def job(self) -> dict[str, Any]:
        """What is known of it, if it is a job and no request: its line for the method is empty."""
        try:
            found = json.loads(self.text[1:]) if self.text.startswith("\n") else None
        except ValueError:
            found = None
        return found if type(found) is dict else {}


class Row(NamedTuple):
    """The head of a worker's row; where no server numbers its workers, *worker* is the parent."""

    place: int
    pid: int
    began_ns: int
    worker: int
    flags: bytes


class Slots:
    """All rows: of gunicorn's workers in anonymous memory, made before the fork; else *memory*, of one or more rows."""

    def __init__(self, memory: mmap.mmap | None = None) -> None:
        self.memory = mmap.mmap(-1, ROWS * ROW_SIZE) if memory is None else memory

    # -- written by the worker ---------------------------------------------------------------------------------------

    def begin_row(self, index: int, pid: int, worker: int) -> None:
        """A worker takes the row *index*; what its predecessor left is gone."""
        at = index * ROW_SIZE
        self.memory[at : at + ROW_SIZE] = bytes(ROW_SIZE)
        _ROW.pack_into(self.memory, at, pid, monotonic_ns(), worker, 0)

    def set_flag(self, index: int, flag: int) -> None:
        self.memory[index * ROW_SIZE + _FLAGS_AT + flag] = 1

    def answer(self, index: int, data: bytes) -> None:
        """What the worker says when it is asked; too long an answer is none."""
        at = index * ROW_SIZE
        if len(data) <= MAX_ANSWER:
            self.memory[at + ANSWER_AT : at + ANSWER_AT + len(data)] = data
            struct.pack_into("<I", self.memory, at + 24, len(data))

    def question(self, index: int) -> tuple[int, int]:
        """The number and the thread that the watcher asks about, who knows from now on that the answer has begun."""
        self.set_flag(index, BEGUN)
        number, thread = _QUESTION.unpack_from(self.memory, index * ROW_SIZE + _QUESTION_AT)
        return number, thread

    def tell_rules(self, index: int, lines: bytes) -> None:
        """What the applications of this worker call private; too many rules show nothing (see eyes/rules.py)."""
        lines = lines if len(lines) <= MAX_RULES else b"-"
        at = index * ROW_SIZE + RULES_AT
        self.memory[at : at + MAX_RULES] = lines.ljust(MAX_RULES, b"\n")

    # -- read by the watcher -----------------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        for index in range(len(self.memory) // ROW_SIZE):
            at = index * ROW_SIZE
            pid, began_ns, worker, _ = _ROW.unpack_from(self.memory, at)
            if 0 < pid <= MAX_PID:
                yield Row(index, pid, began_ns, worker, self.memory[at + _FLAGS_AT : at + _FLAGS_AT + 8])

    def read_answer(self, index: int) -> bytes:
        """The answer; empty while there is none."""
        at = index * ROW_SIZE
        (length,) = struct.unpack_from("<I", self.memory, at + 24)
        return self.memory[at + ANSWER_AT : at + ANSWER_AT + min(length, MAX_ANSWER)]

    def take_answer(self, index: int) -> bytes:
        """The answer, once."""
        data = self.read_answer(index)
        struct.pack_into("<I", self.memory, index * ROW_SIZE + 24, 0)
        return data

    def ask(self, index: int, number: int, thread: int) -> None:
        """Before the signal that asks."""
        self.memory[index * ROW_SIZE + _FLAGS_AT + BEGUN] = 0
        _QUESTION.pack_into(self.memory, index * ROW_SIZE + _QUESTION_AT, number, thread)

    def has_begun(self, index: int) -> bool:
        """Whether the worker is at its answer to the last question."""
        return bool(self.memory[index * ROW_SIZE + _FLAGS_AT + BEGUN])

    def is_news(self, index: int, request: InFlight, kind: int) -> bool:
        """Whether nobody told *kind* (SLOW, OVER_TIME) of this request; now somebody does, also for a later watch."""
        if self.was_told(index, request, kind):
            return False
        struct.pack_into("<Q", self.memory, self._told_at(index, request, kind), request.began_ns)
        return True

    def was_told(self, index: int, request: InFlight, kind: int) -> bool:
        (told,) = struct.unpack_from("<Q", self.memory, self._told_at(index, request, kind))
        return bool(told == request.began_ns)

    def _told_at(self, index: int, request: InFlight, kind: int) -> int:
        return index * ROW_SIZE + 4096 + request.slot * SLOT_SIZE + TOLD_AT + 8 * kind

    def rules(self, index: int) -> bytes:
        """What the applications of a worker call private."""
        at = index * ROW_SIZE + RULES_AT
        return self.memory[at : at + MAX_RULES].strip(b"\n\0")

    def in_flight(self, index: int) -> list[InFlight]:
        """The requests of one row, the oldest first."""
        found = []
        for slot in range(SLOTS):
            at = index * ROW_SIZE + 4096 + slot * SLOT_SIZE
            began = _BEGAN.unpack_from(self.memory, at + BEGAN_AT)[0]
            if not 0 < began < MAX_BEGAN_S:  # none, or what a crash has written over it
                continue
            thread, tid, text, again = SLOT.unpack_from(self.memory, at)
            if began == again == _BEGAN.unpack_from(self.memory, at + BEGAN_AT)[0]:
                shown = text.rstrip(b"\0").decode("utf-8", "replace") + (CUT if text[-1] else "")
                found.append(InFlight(slot, int(began * 1e9), thread, shown, tid))
        return sorted(found, key=lambda request: request.began_ns)
