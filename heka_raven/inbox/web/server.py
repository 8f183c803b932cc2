"""Binds the address and serves the application with waitress."""

import errno
import ipaddress
import socket
import sys

import waitress
from waitress.server import BaseWSGIServer, MultiSocketServer

from heka_raven.inbox.web.app import Inbox
from heka_raven.inbox.web.bounds import MAX_CONNECTIONS, bound

TCP = socket.SOCK_STREAM
UDP = socket.SOCK_DGRAM
THREADS = 6


class ListenError(Exception):
    """The address cannot be listened on; the message says which and why."""


def parse_address(option: str, text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` or ``PORT``; loopback unless a host is given.

    Raises:
        ListenError: names the option.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host, port = "", text.strip()
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ListenError(f"{option} {text!r}: want HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def address_text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name counts as one only if it is ``localhost``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int, kind: socket.SocketKind = TCP) -> socket.socket:
    """A bound socket; a TCP one listens later.

    Raises:
        ListenError: with the system's reason.
    """
    where = address_text(host, port)
    found = None
    try:
        family, _, protocol, _, address = socket.getaddrinfo(host, port, type=kind)[0]
        found = socket.socket(family, kind, protocol)
        if kind == TCP:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError as error:
        if found is not None:
            found.close()
        reason = error.strerror or str(error)
        hint = "; choose another with --listen" if error.errno == errno.EADDRINUSE and kind == TCP else ""
        raise ListenError(f"cannot listen on {where}: {reason}{hint}") from error
    return found


def make_server(app: Inbox, listener: socket.socket) -> MultiSocketServer | BaseWSGIServer:
    """The server, listening; ``run()`` serves until SystemExit or KeyboardInterrupt is raised in it."""
    server = waitress.create_server(
        app,
        sockets=[listener],
        threads=THREADS,
        ident="heka-raven inbox",
        max_request_body_size=sys.maxsize,  # bounds.py has the limits
        clear_untrusted_proxy_headers=True,
        channel_timeout=30,
        cleanup_interval=5,
        connection_limit=MAX_CONNECTIONS + 20,
    )
    bound(server, app.body_limit)
    return server
