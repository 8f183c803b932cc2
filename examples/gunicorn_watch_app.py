"""An application that hangs and crashes; gunicorn_watch.conf.py starts it.

Try:    curl http://127.0.0.1:8080/
Expect: all is well
"""

import ctypes
import time


def fetch(order):
    while order:
        time.sleep(0.1)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        fetch(12)
    if environ["PATH_INFO"] == "/segfault":
        ctypes.string_at(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]
