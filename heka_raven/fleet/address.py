"""Where a relay listens and where it forwards to: udp://, tcp:// and unix:// addresses."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass

from heka.exceptions import ConfigError

MAX_PORT = 65535
BACKLOG = 1024  # connections that may wait to be accepted, e.g. when a whole fleet reconnects
UDP_BUFFER = 4 * 1024 * 1024  # bytes the kernel is asked to hold; net.core.rmem_max may give less
UNIX_MODE = 0o660  # the group of the relay's user may write


@dataclass(frozen=True, slots=True)
class Address:
    """``scheme`` is udp, tcp or unix; a unix address has a path, the others a host and a port."""

    scheme: str
    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this host can reach it."""
        if self.scheme == "unix" or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(key: str, text: str, *, low: int = 0) -> Address:
    """Read ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``unix:///PATH``.

    Args:
        low: the smallest port; 0 lets the system choose.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    scheme, mark, rest = text.strip().partition("://")
    if mark and scheme == "unix" and rest.startswith("/"):
        return Address("unix", "", 0, rest)
    host, colon, port = rest.rpartition(":")
    if not mark or scheme not in ("udp", "tcp") or not colon or not host or not port.isdecimal():
        raise ConfigError(f"{key}: {text!r} is none of udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH")
    if not low <= int(port) <= MAX_PORT:
        raise ConfigError(f"{key}: {text!r}: the port is outside {low}..{MAX_PORT}")
    return Address(scheme, host.strip("[]"), int(port))


def listen(address: Address) -> socket.socket:
    """A non-blocking socket that listens there.

    Raises:
        ConfigError: when that is not possible.
    """
    try:
        return _listen_unix(address.path) if address.scheme == "unix" else _listen_inet(address)
    except OSError as error:
        raise ConfigError(f"listen: {address}: {error.strerror or error}") from None


def bound_address(sock: socket.socket, address: Address) -> Address:
    """*address* with the port that the system chose."""
    if address.scheme == "unix":
        return address
    return Address(address.scheme, address.host, sock.getsockname()[1])


def _listen_inet(address: Address) -> socket.socket:
    kind = socket.SOCK_DGRAM if address.scheme == "udp" else socket.SOCK_STREAM
    family, kind, protocol, _, where = socket.getaddrinfo(
        address.host, address.port, type=kind, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        sock.bind(where)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _remove_dead_socket(path)
        mask = os.umask(0o777 & ~UNIX_MODE)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_dead_socket(path: str) -> None:
    """What a killed relay left; a socket that somebody serves, or any other file, stays and makes the bind fail."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass  # served, with a full backlog
