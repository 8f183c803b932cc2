"""What can go wrong with which system call, and how strace is told so. Pure."""

import re
from collections import Counter
from dataclasses import dataclass

FILES = "EINTR EIO ENOMEM"
PATHS = "EACCES EIO ENOENT ENOMEM"
WRITES = "EINTR EIO ENOSPC EDQUOT"
SOCKETS = "EINTR ECONNRESET ETIMEDOUT ENOMEM"
WAITS = "EINTR ENOMEM"
MADE = "EACCES EIO ENOSPC EROFS ENOMEM"

# By the name of a call; by `name:socket` where its first descriptor is one. From the manual pages of Linux, without
# what only a wrong program gets (EBADF, EFAULT, EINVAL).
ERRORS = {
    "openat": "EINTR EACCES EIO EMFILE ENFILE ENOENT ENOMEM ENOSPC EROFS",
    "read": FILES,
    "pread64": FILES,
    "readv": FILES,
    "write": WRITES,
    "writev": WRITES,
    "pwrite64": WRITES,
    "close": "EIO",
    "rename": MADE + " ENOENT",
    "renameat": MADE + " ENOENT",
    "link": MADE + " EMLINK EPERM",
    "linkat": MADE + " EMLINK EPERM",
    "unlink": "EACCES EBUSY EIO ENOENT EROFS",
    "unlinkat": "EACCES EBUSY EIO ENOENT EROFS",
    "mkdir": MADE + " EMLINK",
    "mkdirat": MADE + " EMLINK",
    "stat": PATHS,
    "lstat": PATHS,
    "newfstatat": PATHS,
    "fstat": "EIO ENOMEM",
    "statx": PATHS,
    "statfs": "EIO",
    "access": PATHS,
    "faccessat": PATHS,
    "faccessat2": PATHS,
    "readlink": "EACCES EIO ENOMEM",
    "getcwd": "ENOENT ENOMEM",
    "getdents64": "EIO ENOENT ENOMEM",
    "ftruncate": "EINTR EIO EACCES ENOSPC",
    "fallocate": "EINTR EIO ENOSPC",
    "fsync": "EIO ENOSPC",
    "fdatasync": "EIO ENOSPC",
    "flock": "EINTR EAGAIN ENOLCK",
    "fchown": "EIO EPERM",
    "fchmod": "EIO EPERM",
    "utimensat": "EACCES EIO",
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM",
    "socketpair": "EMFILE ENFILE ENOMEM",
    # Not EINTR: such a connect goes on in the kernel, and strace begins none.
    "connect": "ECONNREFUSED ETIMEDOUT ENETUNREACH EADDRNOTAVAIL",
    "bind": "EADDRINUSE ENOMEM",
    "accept4": "EINTR ECONNABORTED EMFILE ENFILE ENOMEM EPERM",
    "sendto": SOCKETS + " EPIPE ENOBUFS",
    "sendmsg": SOCKETS + " EPIPE ENOBUFS",
    "write:socket": SOCKETS + " EPIPE ENOBUFS",
    "recvfrom": SOCKETS + " ECONNREFUSED",
    "recvmsg": SOCKETS + " ECONNREFUSED",
    "read:socket": SOCKETS,
    "shutdown": "ENOTCONN ENOBUFS",
    "setsockopt": "ENOBUFS ENOMEM",
    "getsockopt": "ENOBUFS",
    "getsockname": "ENOBUFS",
    "getpeername": "ENOTCONN ENOBUFS",
    "poll": WAITS,
    "ppoll": WAITS,
    "select": WAITS,
    "pselect6": WAITS,
    "epoll_create1": "EMFILE ENFILE ENOMEM",
    "epoll_ctl": "ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "epoll_pwait": "EINTR",
    "eventfd2": "EMFILE ENFILE ENOMEM",
    "pipe2": "EMFILE ENFILE",
    "memfd_create": "EMFILE ENFILE ENOMEM",
    "clone": "EAGAIN ENOMEM",
    "clone3": "EAGAIN ENOMEM",
    "mmap": "ENOMEM",
    "getrandom": "EINTR EAGAIN",
    "kill": "EPERM",
}
NETWORK = {"socket", "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "shutdown", "setsockopt", "getsockopt"}
NETWORK |= {
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "epoll_create1",
    "eventfd2",
}
NETWORK |= {"getsockname", "getpeername", "accept4", "pipe2", "socketpair"}
# From that call on, all of its kind.
FROM_ON = {
    "openat": "EMFILE",
    "socket": "EMFILE",
    "unlink": "EROFS",
    "unlinkat": "EROFS",
    "getdents64": "EIO",
    "newfstatat": "EIO",
}
# A disk that is full from there on refuses all of these.
FULL_DISK = ("write", "writev", "pwrite64", "mkdir", "mkdirat", "link", "linkat", "ftruncate")
# The end of a stream; of a file it would be a lie: what was renamed whole has no end before its end.
END_OF_STREAM = {"recvfrom", "recvmsg", "read:socket"}

_LINE = re.compile(r"(?:(\d+) +)?([a-z_0-9]+)\((?:(-?\d+|AT_FDCWD)<([^>]*))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail, of the *number*-th call of this name in a thread."""

    call: str
    number: int
    what: str  # in the words of strace: signal=KILL, error=EIO, retval=0
    network: bool = False
    on: bool = False  # and of every one after it

    @property
    def kills(self):
        return self.what.startswith("signal=KILL")

    def __str__(self):
        return f"{self.call} {self.number}{'+' if self.on else ''} {self.what}"

    def expression(self):
        return f"inject={self.call}:{self.what}:when={self.number}{'+' if self.on else ''}"


def read_trace(text, ours=""):
    """The calls of a trace (`strace -f -yy -o`): for each name how often the busiest thread made it, and of which kind
    its n-th was.

    Args:
        ours: what must stand in the line of a call that counts, as a path does; others are of the kind None.

    Returns:
        ``{name: [kind of the first, …]}``.
    """
    kinds = {}
    count = Counter()
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, name, _, what = found.groups()
        if name == "exit" or name == "rt_sigtimedwait":
            continue
        count[thread, name] += 1
        kind = "socket" if what and what.startswith(("TCP", "UDP", "UNIX", "socket")) else ""
        kind = kind if ours in line else None
        mine = kinds.setdefault(name, [])
        if count[thread, name] > len(mine):
            mine.append(kind)
        elif kind:
            mine[count[thread, name] - 1] = kind
    return kinds


def list_faults(kinds, *, kill=True):
    """Every fault of these calls, in the order of the table."""
    found = []
    for name, uses in sorted(kinds.items()):
        for number, kind in enumerate(uses, start=1):
            if kind is None:
                continue
            key = f"{name}:{kind}" if f"{name}:{kind}" in ERRORS else name
            network = bool(kind) or name in NETWORK
            if kill:
                found.append(Fault(name, number, "signal=KILL", network))
            found += [Fault(name, number, f"error={error}", network) for error in ERRORS.get(key, "").split()]
            if key in END_OF_STREAM:
                found.append(Fault(name, number, "retval=0", network))
            if name in FROM_ON and not kind:
                found.append(Fault(name, number, f"error={FROM_ON[name]}", network, on=True))
    writes = [name for name in FULL_DISK if name in kinds and "socket" not in kinds[name]]
    most = max((len(kinds[name]) for name in writes), default=0)
    found += [Fault(",".join(writes), number, "error=ENOSPC", on=True) for number in range(1, most + 1)]
    return found
