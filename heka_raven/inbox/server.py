# server.py: binds the address and serves the application with waitress.

import ipaddress
import os
import socket
from typing import Any

import waitress
from waitress.server import BaseWSGIServer, MultiSocketServer

THREADS = 6
MAX_UPLOAD = 256 * 1024 * 1024  # bytes of a request; only an import is that large, and it goes to a file, not memory


class ListenError(Exception):
    """The address cannot be listened on; the message says which and why."""


def parse_listen(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` or ``PORT``; loopback unless a host is given.

    Raises:
        ListenError: if it is neither.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host, port = "", text.strip()
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ListenError(f"--listen {text!r}: want HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name counts as one only if it is ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that listens later.

    Raises:
        ListenError: with the system's reason.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ListenError(f"cannot listen on {where}: {error.strerror}") from error
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        found.close()
        # getaddrinfo's and bind's texts differ in case between systems; os.strerror does not.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ListenError(f"cannot listen on {where}: {reason}") from error
    return found


def make_server(app: Any, listener: socket.socket) -> MultiSocketServer | BaseWSGIServer:
    """The server, listening; ``run()`` serves until SystemExit or KeyboardInterrupt is raised in it."""
    return waitress.create_server(
        app,
        sockets=[listener],
        threads=THREADS,
        ident="heka-raven inbox",
        max_request_body_size=MAX_UPLOAD,
        clear_untrusted_proxy_headers=True,
        channel_timeout=30,
        connection_limit=200,
    )
