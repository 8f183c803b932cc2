"""Ports for the servers that tests start."""

import secrets
import socket


def free_port() -> int:
    """A free port from below those that the kernel gives to connections: a server takes it only seconds later."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        high = int(file.read().split()[0])
    low = max(1024, high // 2)
    while True:
        port = low + secrets.randbelow(max(1, high - low))
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
