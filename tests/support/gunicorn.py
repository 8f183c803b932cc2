"""A real gunicorn with the watch on, and an application that can do what the watch is for."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from support.ports import free_port
from support.spools import spooled
from support.waiting import still, wait_for

DSN = "http://key@127.0.0.1:9/1"
# Not `python -m gunicorn`: after SIGUSR2 that has gunicorn's own folder on its path, in which http is another.
PROGRAM = Path(sys.executable).with_name("gunicorn")
APP = """
import ctypes, os, re, signal, sys, threading, time
from heka_raven.middleware import RavenMiddleware

def stuck(password, environ):
    while True:
        time.sleep(0.05)

def view(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stuck":
        os.close(os.open(f"stuck-{time.monotonic_ns()}", os.O_CREAT))
        environ["heka_raven.user"] = {"id": "7"}
        stuck(password="planted-password", environ=environ)
    if path == "/regex":
        re.match(r"(a+)+$", "a" * 60 + "b")
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/background":
        threading.Timer(0.5, ctypes.string_at, (0,)).start()
    if path == "/abort":
        os.abort()
    if path == "/killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/exit":
        os._exit(7)
    if path == "/exit0":
        os._exit(0)
    if path == "/sysexit":
        sys.exit(5)
    if path == "/slow":
        time.sleep(2.5)
    if path == "/error":
        raise ValueError("an error of the application")
    if path == "/child":
        pid = os.fork()
        if not pid:
            os._exit(3)
        os.waitpid(pid, 0)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

application = RavenMiddleware(view, dsn="http://key@127.0.0.1:9/1", stream_path="SPOOL", stream_sender="off")
"""
CONF = """
import heka_raven.gunicorn
heka_raven.gunicorn.watch(globals(), dsn="{dsn}", slow={slow}, stream_path="SPOOL", stream_sender="{sender}"{extra})
"""


class Gunicorn:
    """A gunicorn with the watch on."""

    def __init__(
        self, folder, *options, slow=0, app=APP, before="", wait=True, dsn=DSN, sender="off", extra="",
        program=PROGRAM, launch=(),
    ):  # fmt: skip
        """Start it in *folder*, with gunicorn's *options*.

        Args:
            before: Python that stands in the configuration before the watch.
            wait: until it answers.
            extra: more arguments of ``watch()``.
            launch: a command that gunicorn's own is appended to.
        """
        self.folder = folder
        self.port = free_port()
        (folder / "app.py").write_text(app.replace("SPOOL", str(folder / "spool")))
        conf = before + CONF.format(slow=slow, dsn=dsn, sender=sender, extra=extra and ", " + extra)
        (folder / "gunicorn.conf.py").write_text(conf.replace("SPOOL", str(folder / "spool")))
        self.log = (folder / "log").open("wb")
        command = [
            *launch,
            str(program),
            "-b",
            f"127.0.0.1:{self.port}",
            *options,
            "app:application",
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HEKA_RAVEN")}
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            wait_for(lambda: not wait or self.get("/") == b"ok", what=self.said, process=self.process)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=0.1 if self.stuck() else 5)
            except subprocess.TimeoutExpired:
                pass  # a worker hangs, as it was told to
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its session: workers that nobody ended
        self.process.wait()
        self.log.close()

    def stuck(self):
        """How many requests are in there for good."""
        return len(list(self.folder.glob("stuck-*")))

    def said(self):
        return (self.folder / "log").read_text()

    def get(self, path, header="X: y", timeout=30):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
                head = f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{header}\r\n\r\n"
                connection.sendall(head.encode())
                data = b""
                while more := connection.recv(65536):
                    data += more
        except OSError:
            return b""
        return data.partition(b"\r\n\r\n")[2]

    def get_later(self, path, *more):
        thread = threading.Thread(target=self.get, args=(path, *more), daemon=True)
        thread.start()
        return thread

    def events(self):
        return [event for event in spooled(self.folder / "spool") if "gunicorn.event" in event["tags"]]

    def event(self, kind):
        """The only event of the watch, within its time."""
        wait_for(self.events, what=self.said)
        [event] = still(self.events)
        assert kind == event["tags"]["gunicorn.event"]
        return event


def functions(event):
    """Those of Python, outermost first; where the machine has native frames, they are inside of them."""
    frames = event["exception"]["values"][0].get("stacktrace", {}).get("frames", [])
    return [frame["function"] for frame in frames if frame.get("platform") != "native"]


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def kill_the_watch(arbiter, keeper=True):
    """Kill the watcher, and its keeper, who would make another."""
    [parent] = [pid for pid in children_of(arbiter) if children_of(pid)]
    watchers = children_of(parent)
    for pid in ([parent] if keeper else []) + watchers:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in watchers))
