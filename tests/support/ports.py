"""Ports for the servers that tests start."""

import secrets
import socket

RESERVED = []  # held to the end of the run; also in what this process forks


def free_port() -> int:
    """A free port from below those that the kernel gives to connections: a server takes it only seconds later.

    Nobody else who asks here gets it meanwhile: not this run, nor another of its processes.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        high = int(file.read().split()[0])
    low = max(1024, high // 2)
    while True:
        port = low + secrets.randbelow(max(1, high - low))
        reserved = socket.socket(socket.AF_UNIX)
        try:
            reserved.bind(f"\0heka-raven-test-port-{port}")  # Linux: a name without a file, gone with its last holder
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", port))
        except OSError:
            reserved.close()
            continue
        RESERVED.append(reserved)
        return port
