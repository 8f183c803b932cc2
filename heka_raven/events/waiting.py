"""What a thread waits for, in words, from what /proc says of it. Pure.

The uWSGI plugin says the same in C (``core/waiting.c``): ``tests/data/waiting.tsv`` and its neighbours hold both.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

MAX_NAME = 200  # characters of a path, a socket's name
STATES = {"R": "running", "S": "waiting", "D": "uninterruptible", "T": "stopped", "t": "stopped"}

# The system calls in which a thread may stay: their name, ours, what their arguments are (core/waiting.h), and their
# numbers on x86-64 and aarch64; a test compares them with the headers.
CALLS = """
read read from 0 63
readv read from 19 65
pread64 read from 17 67
preadv read from 295 69
recvfrom recv from 45 207
recvmsg recv from 47 212
recvmmsg recv from 299 243
write write to 1 64
writev write to 20 66
pwrite64 write to 18 68
pwritev write to 296 70
sendto send to 44 206
sendmsg send to 46 211
sendmmsg send to 307 269
sendfile sendfile to 40 71
connect connect to 42 203
accept accept on 43 202
accept4 accept on 288 242
ioctl ioctl on 16 29
flock flock lock 73 32
fcntl fcntl fcntl 72 25
fsync fsync of 74 82
fdatasync fdatasync of 75 83
ftruncate ftruncate of 77 46
fallocate fallocate of 285 47
close close of 3 57
fstat fstat of 5 80
getdents64 getdents of 217 61
ppoll poll poll 271 73
pselect6 select select 270 72
epoll_pwait epoll_wait epoll 281 22
epoll_pwait2 epoll_wait epoll 441 441
poll poll poll 7 -
select select select 23 -
epoll_wait epoll_wait epoll 232 -
open open path0 2 -
stat stat path0 4 -
lstat stat path0 6 -
openat open path1 257 56
newfstatat stat path1 262 79
statx stat path1 332 291
unlinkat unlink path1 263 35
nanosleep nanosleep sleep 35 101
clock_nanosleep clock_nanosleep sleep 230 115
wait4 wait4 child 61 260
waitid waitid child 247 95
futex futex futex 202 98
rt_sigtimedwait sigtimedwait plain 128 137
rt_sigsuspend sigsuspend plain 130 133
pause pause plain 34 -
msgrcv msgrcv plain 70 188
semop semop plain 65 193
semtimedop semop plain 220 192
mq_timedreceive mq_receive plain 243 183
io_getevents io_getevents plain 208 4
sync sync plain 162 81
mmap mmap plain 9 222
munmap munmap plain 11 215
madvise madvise plain 28 233
brk brk plain 12 214
sched_yield sched_yield plain 24 124
restart_syscall restart_syscall sleep 219 128
"""
# Functions of the kernel in which a thread stays, where the call itself may not be read: by their beginnings.
CHANNELS = """
hrtimer_nanosleep clock_nanosleep sleep
do_nanosleep nanosleep sleep
futex_ futex futex
__futex futex futex
do_poll poll on
do_sys_poll poll on
poll_schedule poll on
do_select select on
ep_poll epoll_wait on
do_epoll epoll_wait on
sk_wait_data recv from
wait_woken recv from
tcp_recvmsg recv from
unix_stream recv from
__skb_wait recv from
sk_stream_wait send to
inet_stream_connect connect to
inet_wait_for_connect connect to
inet_csk_accept accept on
pipe_read read from
anon_pipe_read read from
pipe_wait_readable read from
pipe_write write to
anon_pipe_write write to
flock_lock flock lock
locks_lock flock lock
fcntl_setlk fcntl lock
do_lock_file_wait fcntl lock
do_wait wait4 child
kernel_wait wait4 child
"""
_COLUMNS = {"x86_64": 3, "aarch64": 4}
_PREPOSITIONS = {"from": "from", "to": "to", "of": "of", "path0": "of", "path1": "of"}
_BREAKS_THE_LINE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_MAPPED = b"\0" * 10 + b"\xff\xff"


def calls_of(machine: str) -> dict[int, tuple[str, str]]:
    """Number to name and shape; empty for an architecture that is not known."""
    column = _COLUMNS.get(machine)
    if column is None:
        return {}
    rows = [line.split() for line in CALLS.split("\n") if line]
    return {int(row[column]): (row[1], row[2]) for row in rows if row[column] != "-"}


_CHANNELS = [tuple(line.split()) for line in CHANNELS.split("\n") if line]


@dataclass(slots=True)
class Call:
    """One system call: our name for it ("system call 999" where it has none), its shape and its arguments."""

    name: str
    shape: str
    arguments: list[int] = field(default_factory=list)


def read_call(text: str, calls: dict[int, tuple[str, str]]) -> Call | None:
    """The call in /proc/PID/task/TID/syscall; None: the thread runs, or the text says nothing."""
    number, *arguments = text.split() or [""]
    if not number.isdecimal():
        return None
    name, shape = calls.get(int(number), (f"system call {number}", "plain"))
    return Call(name, shape, [_hex(argument) for argument in arguments[:6]])


def read_channel(text: str) -> Call | None:
    """The same from /proc/PID/task/TID/wchan: less, where the call may not be read."""
    return next((Call(name, shape) for start, name, shape in _CHANNELS if text.startswith(start)), None)


def read_stat(text: str) -> tuple[str, int] | None:
    """State letter and CPU time in clock ticks, of /proc/PID/task/TID/stat."""
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    if len(fields) < 13 or len(fields[0]) != 1:
        return None
    try:
        return fields[0], int(fields[11]) + int(fields[12])
    except ValueError:
        return None


def lock_holder(locks: str, pid: int) -> int:
    """Who holds the lock that *pid* waits for, by /proc/locks; 0: it is not said."""
    holder = holder_id = ""
    for line in locks.split("\n"):
        fields = line.split()
        if len(fields) > 5 and fields[1] == "->":
            if fields[5] == str(pid) and fields[0] == holder_id:
                return int(holder) if holder.isdecimal() else 0
        elif len(fields) > 4:
            holder_id, holder = fields[0], fields[4]
    return 0


def read_peer(line: str, protocol: str) -> tuple[int, str]:
    """Inode, and the other end or the own address while it listens, of a line of /proc/net/tcp or its like."""
    fields = line.split()
    if len(fields) < 10 or not fields[9].isdecimal():
        return 0, ""
    address, _, port = fields[1 if fields[3] == "0A" else 2].partition(":")
    if len(address) not in (8, 32):
        return 0, ""
    words = [_hex(address[at : at + 8]) & 0xFFFFFFFF for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 16 and packed[:12] != _MAPPED:
        host = f"[{':'.join(f'{word:x}' for word in struct.unpack('>8H', packed))}]"
    else:
        host = ".".join(str(byte) for byte in packed[-4:])
    return int(fields[9]), f"{host}:{_hex(port)}, {protocol}"


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def words_of(call: Call | None, target: str = "", peer: str = "", number: int = 0) -> str:
    """ "recv from 127.0.0.1:5432, tcp", in one line whatever the names hold.

    Args:
        target: what /proc/PID/fd/N leads to, or a path; empty: not known.
        peer: of a socket; empty: not known.
        number: who holds a lock, which child; how many descriptors are polled.
    """
    if call is None:
        return ""
    if call.shape == "sleep":
        return "a sleep"
    if call.shape == "child":
        return "the end of a child process" + (f", pid {number}" if number else "")
    if call.shape == "futex":
        return "futex, probably a lock: see threads"
    if call.shape == "plain":
        return call.name
    if call.shape in ("poll", "select", "epoll"):
        return _polled(call, target, peer, number)
    said = f"{call.name} {_PREPOSITIONS.get(call.shape, 'on')} {_target(target, peer)}"
    return f"{said}, held by pid {number}" if call.shape in ("lock", "fcntl") and number else said


def _polled(call: Call, target: str, peer: str, number: int) -> str:
    if not number and call.shape != "epoll":
        return "a sleep"
    if number == 1:
        return f"{call.name} on {_target(target, peer)}"
    return f"{call.name} on {number} descriptors" + (f", the first {_target(target, peer)}" if target else "")


def _target(target: str, peer: str) -> str:
    if peer:
        return _text(peer)
    if target.startswith("socket:"):
        return "a socket"
    if target.startswith("pipe:"):
        return "a pipe"
    return _text(target.removeprefix("anon_inode:")) or "a descriptor"


def _text(text: str) -> str:
    shown = _BREAKS_THE_LINE.sub("?", text[: MAX_NAME + 1])
    return shown if len(shown) <= MAX_NAME else shown[:MAX_NAME] + "..."
