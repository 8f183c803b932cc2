"""What a thread of another process does, by /proc: it is not stopped, and nobody waits for it."""

# Rule 1: read before a signal is sent: that ends the call in which the thread waits.
# Rule 2: a call that is another one after it was looked into is not told.

from __future__ import annotations

import contextlib
import os
import platform
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

from heka_raven.events.waiting import (
    STATES,
    Call,
    calls_of,
    lock_holder,
    read_call,
    read_channel,
    read_peer,
    read_stat,
    words_of,
)
from heka_raven.eyes.outside import ptrace_scope
from heka_raven.gunicorn.queues import ask_of_unix

BUDGET_S = 0.02  # of CPU, for lists of sockets, which may be long
MAX_POLLED = 64
MAX_SELECTED = 1024
MAX_LOCKS = 65536
SHORTEST_S = 0.1  # a share of less says nothing: the kernel counts CPU time in 10 ms
_SET_LOCK_AND_WAIT = (7, 38)  # F_SETLKW, F_OFD_SETLKW
_CALLS = calls_of(platform.machine())
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_NAME, _PEER = 0, 2  # attributes of a unix socket
_SHOW_NAME, _SHOW_PEER = 1, 4


@dataclass(slots=True)
class Doing:
    """What a thread does.

    Attributes:
        state: running, waiting, uninterruptible, stopped.
        ticks: of CPU that it has used.
        waiting_on: in words; empty: it runs, or that is not known.
        missing: why it is not.
    """

    state: str
    ticks: int
    waiting_on: str = ""
    missing: str = ""

    def facts(self) -> dict[str, str]:
        """As an event's context has it."""
        known = {"state": self.state, "waiting_on": self.waiting_on, "waiting_on_missing": self.missing}
        return {name: value for name, value in known.items() if value}

    def in_words(self) -> str:
        """For a sentence: "running", "waiting on recv from 127.0.0.1:5432, tcp"; empty: not known."""
        if self.waiting_on:
            return f"waiting on {self.waiting_on}"
        return "running" if self.state == "running" else ""


def look_at(pid: int, tid: int) -> Doing | None:
    """State and CPU time alone; None: there is no such thread."""
    found = read_stat(_read(f"/proc/{pid}/task/{tid}/stat"))
    return None if found is None else Doing(STATES.get(found[0], "dead"), found[1])


def cpu_ns(pid: int, tid: int) -> int:
    """Nanoseconds of CPU that the thread has used, to the last; 0: there is none, or the kernel does not tell."""
    first = _read(f"/proc/{pid}/task/{tid}/schedstat").partition(" ")[0]
    return int(first) if first.isdecimal() else 0


def read_doing(pid: int, tid: int) -> Doing | None:
    """All that may be read of what the thread does; None: there is no such thread."""
    doing = look_at(pid, tid)
    if doing is None:
        return None
    path = f"/proc/{pid}/task/{tid}/syscall"
    try:
        with open(path, encoding="ascii") as file:
            call = read_call(file.read(), _CALLS)
    except OSError:
        call = read_channel(_read(f"/proc/{pid}/task/{tid}/wchan"))
        doing.waiting_on = words_of(call)
        if doing.state != "running":
            doing.missing = f"user {os.geteuid()} may not read /proc/{pid}/syscall"
            doing.missing += ": only the function of the kernel is known" if call else ""
            doing.missing += f"; {scope}" if (scope := ptrace_scope()) else ""
        return doing
    if call is None:
        return doing
    words = words_of(call, *_facts(pid, call))
    again = read_call(_read(path), _CALLS)
    if again == call:
        doing.waiting_on = words
    return doing


def cpu_percent(before: int, after: int, passed_s: float) -> int | None:
    """Of one processor, from the ticks that a thread had used; None: too short a time to say."""
    if passed_s < SHORTEST_S or after < before:
        return None
    return min(100, int((after - before) / _TICKS_A_SECOND / passed_s * 100))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_LOCKS)
    except OSError:
        return ""


def _facts(pid: int, call: Call) -> tuple[str, str, int]:
    """Target, peer and number, as words_of has them."""
    first, second = [*call.arguments, 0, 0][:2]
    if call.shape in ("lock", "fcntl"):
        waits = call.shape == "lock" or second in _SET_LOCK_AND_WAIT
        return *_descriptor(pid, first), lock_holder(_read("/proc/locks"), pid) if waits else 0
    if call.shape in ("from", "to", "on", "of"):
        return *_descriptor(pid, first), 0
    if call.shape == "poll":
        return _several(pid, list(_polled(pid, first, min(second, MAX_POLLED))), second)
    if call.shape == "select":
        found = list(_selected(pid, call.arguments))
        return _several(pid, found, len(found))
    if call.shape == "epoll":
        lines = _read(f"/proc/{pid}/fdinfo/{first & 0x7FFFFFFF}").split("\n")
        found = [int(line.split()[1]) for line in lines if line.startswith("tfd:")]
        return _several(pid, found, len(found)) if len(found) == 1 else ("", "", len(found))
    if call.shape in ("path0", "path1"):
        text = _memory(pid, first if call.shape == "path0" else second, 256).partition(b"\0")[0]
        return os.fsdecode(text), "", 0
    if call.shape == "child":
        if call.name == "waitid":
            return "", "", second if first == 1 else 0
        return "", "", first if 0 < first < 1 << 31 else 0
    return "", "", 0


def _several(pid: int, descriptors: list[int], number: int) -> tuple[str, str, int]:
    return *(_descriptor(pid, descriptors[0]) if descriptors else ("", "")), number


def _descriptor(pid: int, number: int) -> tuple[str, str]:
    """What it leads to, and the other end if that is a socket."""
    try:
        target = os.readlink(f"/proc/{pid}/fd/{number}")
    except OSError:
        return "", ""
    if target.startswith("socket:["):
        return target, _peer(pid, int(target[8:-1]))
    return target, ""


def _memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of the process's own memory, up to where there is no more."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            return os.pread(file.fileno(), size, address)
    except (OSError, OverflowError):
        return b""


def _polled(pid: int, address: int, count: int) -> Iterator[int]:
    data = _memory(pid, address, count * 8)
    for at in range(0, len(data) - 7, 8):
        (descriptor,) = struct.unpack_from("=i", data, at)
        if descriptor >= 0:
            yield descriptor


def _selected(pid: int, arguments: list[int]) -> Iterator[int]:
    most = min(arguments[0], MAX_SELECTED)
    sets = [_memory(pid, address, (most + 7) // 8) for address in arguments[1:4] if address]
    for descriptor in range(most):
        at, bit = divmod(descriptor, 8)
        if any(at < len(each) and each[at] >> bit & 1 for each in sets):
            yield descriptor


def _peer(pid: int, inode: int) -> str:
    name = _unix_peer(inode)
    if name is not None:
        return f"unix:{name}" if name else "a unix socket"
    until = time.thread_time() + BUDGET_S
    for listing, protocol in (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")):
        with (
            contextlib.suppress(OSError),
            open(f"/proc/{pid}/net/{listing}", encoding="ascii", errors="replace") as file,
        ):
            for line in file:
                if f" {inode} " in line:
                    found, peer = read_peer(line, protocol)
                    if found == inode:
                        return peer
                if time.thread_time() > until:
                    return ""
    return ""


def _unix_peer(inode: int) -> str | None:
    """The name at the other end of a unix socket, or its own; None: it is none."""
    attributes = ask_of_unix(inode, _SHOW_NAME | _SHOW_PEER)
    if attributes is None:
        return None
    if len(peer := attributes.get(_PEER, b"")) >= 4:
        attributes = ask_of_unix(struct.unpack_from("=I", peer)[0], _SHOW_NAME) or {}
    name = attributes.get(_NAME, b"")
    return "@" + os.fsdecode(name[1:]) if name.startswith(b"\0") else os.fsdecode(name.rstrip(b"\0"))
