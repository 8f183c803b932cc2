"""Visitors for the demo's listen queue: two keep the workers busy, the others wait in line.

python visitors.py HOST PORT
"""

import contextlib
import socket
import sys
import time

WAITING = 24  # more than `listen` in uwsgi.ini
STAY_S = 2.6  # uWSGI's master looks at the queue once a second


def main(host, port):
    lines = []
    for number in range(WAITING + 2):
        sock = socket.socket()
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((host, int(port)))
        lines.append(sock)
        if number < 2:
            sock.setblocking(True)
            sock.settimeout(STAY_S)
            sock.sendall(b"GET /busy HTTP/1.0\r\nHost: demo\r\n\r\n")
    time.sleep(STAY_S)
    for sock in lines:
        sock.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
