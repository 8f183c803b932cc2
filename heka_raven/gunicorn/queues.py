"""How full the listen queues are, asked of the kernel: no socket of gunicorn is held for it.

By netlink's ``sock_diag``, listening sockets only, which costs the same however many connections there are.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

NETLINK_SOCK_DIAG = 4
BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
REQUEST = 1  # NLM_F_REQUEST
DUMP = REQUEST | 0x300  # NLM_F_DUMP
LISTENING = 1 << 10  # the state of a listening socket, TCP's and a unix socket's
SHOW_QUEUE = 0x10  # UDIAG_SHOW_RQLEN
QUEUE = 4  # UNIX_DIAG_RQLEN
DONE, ERROR = 3, 2
MAX_ANSWER = 1 << 18
WAIT_S = 0.2

_HEADER = struct.Struct("=IHHII")
_INET = struct.Struct("=BBBBI48s")  # inet_diag_req_v2
_UNIX = struct.Struct("=BBHIII2I")  # unix_diag_req


class Queue(NamedTuple):
    """One listening socket: how it is called, how many connections wait, and how many may."""

    address: str
    waiting: int
    limit: int


def listening(sockets: list[Any]) -> dict[int, str]:
    """The inodes of gunicorn's listening sockets, and their names."""
    return {os.fstat(each.fileno()).st_ino: str(each) for each in sockets}


def is_news(full: bool, waiting: int, limit: int, percent: int) -> tuple[bool, bool]:
    """Whether a queue is full now, and whether that is to be told: only the first time since it was not."""
    now = limit > 0 and waiting >= max(1, limit * percent // 100)
    return now, now and not full


def read_queues(inodes: dict[int, str]) -> list[Queue]:
    """The queues of the sockets *inodes*; none where the kernel does not say."""
    found = []
    for family, request in (
        (socket.AF_INET, _INET.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, LISTENING, b"")),
        (socket.AF_INET6, _INET.pack(socket.AF_INET6, socket.IPPROTO_TCP, 0, 0, LISTENING, b"")),
        (socket.AF_UNIX, _UNIX.pack(socket.AF_UNIX, 0, 0, LISTENING, 0, SHOW_QUEUE, 0xFFFFFFFF, 0xFFFFFFFF)),
    ):
        try:
            messages = _dump(request)
        except OSError:
            continue
        for message in messages:
            inode, waiting, limit = _unix(message) if family == socket.AF_UNIX else _inet(message)
            if inode in inodes:
                found.append(Queue(inodes[inode], waiting, limit))
    return found


def _dump(request: bytes) -> list[bytes]:
    messages: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(WAIT_S)
        netlink.send(_HEADER.pack(_HEADER.size + len(request), BY_FAMILY, DUMP, 1, 0) + request)
        while True:
            data = netlink.recv(MAX_ANSWER)
            while len(data) >= _HEADER.size:
                length, kind, *_ = _HEADER.unpack_from(data)
                if kind in (DONE, ERROR) or length < _HEADER.size:
                    return messages
                messages.append(data[_HEADER.size : length])
                data = data[(length + 3) & ~3 :]


def ask_of_unix(inode: int, show: int) -> dict[int, bytes] | None:
    """The attributes that the kernel tells of one unix socket; None: there is none with this inode."""
    request = _UNIX.pack(socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode & 0xFFFFFFFF, show, 0xFFFFFFFF, 0xFFFFFFFF)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(WAIT_S)
            netlink.send(_HEADER.pack(_HEADER.size + len(request), BY_FAMILY, REQUEST, 1, 0) + request)
            data = netlink.recv(MAX_ANSWER)
    except OSError:
        return None
    if len(data) < _HEADER.size:
        return None
    length, kind, *_ = _HEADER.unpack_from(data)
    return dict(_attributes(data[_HEADER.size : length])) if kind == BY_FAMILY else None


def _attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Those of a ``unix_diag_msg``."""
    at = 16
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4:
            return
        yield kind, message[at + 4 : at + length]
        at += (length + 3) & ~3


def _inet(message: bytes) -> tuple[int, int, int]:
    """Inode, waiting and limit of an ``inet_diag_msg``: head, addresses, expires, rqueue, wqueue, uid, inode."""
    if len(message) < 72:
        return 0, 0, 0
    _, waiting, limit, _, inode = struct.unpack_from("=5I", message, 52)
    return inode, waiting, limit


def _unix(message: bytes) -> tuple[int, int, int]:
    """The same of a ``unix_diag_msg`` with its attributes."""
    if len(message) < 16:
        return 0, 0, 0
    (inode,) = struct.unpack_from("=I", message, 4)
    queue = dict(_attributes(message)).get(QUEUE, b"")
    return (inode, *struct.unpack_from("=II", queue)) if len(queue) >= 8 else (inode, 0, 0)
