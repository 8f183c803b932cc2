"""Visitors for the demo's listen queue: two keep the workers busy, then two more; the others wait in line.

python visitors.py HOST PORT
"""

import contextlib
import socket
import sys
import time

WAITING = 24  # more than `listen` in uwsgi.ini
BUSY = 4  # of two workers: twice 2.5 seconds
STAY_S = 5.2  # uWSGI's master looks at the queue once a second, and later on a busy machine


def main(host, port):
    lines = []
    for number in range(WAITING + BUSY):
        sock = socket.socket()
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((host, int(port)))
        lines.append(sock)
        if number < BUSY:
            sock.setblocking(True)
            sock.settimeout(STAY_S)
            sock.sendall(b"GET /busy HTTP/1.0\r\nHost: demo\r\n\r\n")
    time.sleep(STAY_S)
    for sock in lines:
        sock.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
