"""What a release is tried out by: in environments of their own, away from the tree, with no compiler to be found."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress

from command import run

WAIT_S = 60
REPORT = """
import sys
from heka_raven.raven_plugin import build_client
client = build_client(sys.argv[1], stream_path=sys.argv[2], stream_sender="off")
try:
    1 / 0
except ZeroDivisionError:
    print(client.raven())
"""
APP = """
def application(environ, start_response):
    1 / 0
"""
COMPONENTS = """
import json
from importlib.metadata import distributions
found = {d.metadata["Name"]: (d.version, d.metadata) for d in distributions()}
said = lambda data: data.get("License-Expression") or data.get("License") or ""
print(json.dumps([[name, version, said(data)] for name, (version, data) in found.items()]))
"""


class Trial:
    """A new environment in *folder*."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.folder, self.bin = folder, folder / "venv" / "bin"
        run(sys.executable, "-m", "venv", folder / "venv")
        # Only what is installed is in PATH: neither a compiler nor anything of the tree.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HEKA_RAVEN", "PYTHON"))}
        self.env = {**env, "CC": "no-such-cc", "PATH": str(self.bin), "HOME": str(folder)}

    def install(self, *requirements, env=None):
        run(self.bin / "python", "-m", "pip", "install", "-q", *requirements, cwd=self.folder, env=env or self.env)

    def run(self, program, *arguments):
        return run(self.bin / program, *arguments, cwd=self.folder, env=self.env).strip()

    @contextmanager
    def started(self, program, *arguments, **options):
        with open(self.folder / f"{arguments[0]}.log", "w") as log:
            process = subprocess.Popen(
                list(map(str, [self.bin / program, *arguments])), stderr=log, text=True, cwd=self.folder,
                env={**self.env, "PYTHONUNBUFFERED": "1"}, **options,
            )  # fmt: skip
        try:
            yield process
        finally:
            end(process)

    @contextmanager
    def inbox(self):
        """The address of an inbox."""
        arguments = ("inbox", "--listen", "127.0.0.1:0", "--db", self.folder / "inbox.db")
        with self.started("heka-raven", *arguments, stdout=subprocess.PIPE) as process:
            yield re.search(r"http://(\S+?)/?$", process.stdout.readline().strip())[1]


def end(process):
    """Ask until it has ended: uWSGI ignores SIGTERM from its start, or a reload, until its master is ready."""
    until = time.monotonic() + WAIT_S
    while process.poll() is None:
        if time.monotonic() > until:
            process.kill()
            sys.exit(f"release: {process.args} does not end")
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def must_be(event):
    """The error that all of these make."""
    if "ZeroDivisionError" not in json.dumps(event):
        sys.exit(f"release: the inbox has another event: {event}")


def try_package(made, folder):
    """One error, from an environment that has this file alone; what is installed there."""
    trial = Trial(folder)
    trial.install(f"{made}[inbox]")
    with trial.inbox() as address:
        event_id = trial.run("python", "-c", REPORT, f"http://key@{address}/1", folder / "spool")
        trial.run("heka-raven", "send", "--once", "--spool", folder / "spool")
        with urllib.request.urlopen(f"http://{address}/api/events/{event_id}", timeout=WAIT_S) as reply:
            must_be(json.load(reply)["event"])
    return json.loads(trial.run("python", "-c", COMPONENTS))


def try_uwsgi(wheels, uwsgi, folder, compiling=None):
    """One error in a real uWSGI, delivered by the plugin that the wheel brought, and a reload.

    Args:
        wheels: of heka-raven and of heka-raven-plugin.
        uwsgi: what pip installs.
        folder: for the environment.
        compiling: the environment in which pip may compile *uwsgi*; without it, there has to be a wheel.
    """
    trial = Trial(folder)
    trial.install("--no-cache-dir", uwsgi, "--no-binary" if compiling else "--only-binary", uwsgi.partition("=")[0],
                  env=compiling)  # fmt: skip
    trial.install(f"{wheels[0]}[inbox]", wheels[1])
    plugin = trial.run("heka-raven", "plugin-path")
    if "heka_raven_plugin" not in plugin:
        sys.exit(f"release: {uwsgi} has another plugin: {plugin}")
    (folder / "app.py").write_text(APP)
    with (
        trial.inbox() as address,
        trial.started(
            "heka-raven", "uwsgi", "--master", "--http-socket", folder / "socket", "--wsgi-file", folder / "app.py",
            "--sentry-dsn", f"http://key@{address}/1", "--sentry-spool", folder / "spool",
            "--exception-handler", "sentry:", "--die-on-term", stdout=subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        wait_for(lambda: (folder / "socket").exists(), process, folder)
        ask(folder / "socket")

        def listed():
            with urllib.request.urlopen(f"http://{address}/api/events", timeout=WAIT_S) as reply:
                return json.load(reply)

        must_be(wait_for(listed, process, folder))
        process.send_signal(signal.SIGHUP)  # a reload executes all of it again
        log = folder / "uwsgi.log"
        wait_for(lambda: log.read_text().count("spawned uWSGI worker 1 ") == 2, process, folder)
        ask(folder / "socket")  # a worker that is told to end before it is ready lives on for uWSGI's whole mercy


def ask(path):
    """One request, and its end."""
    with socket.socket(socket.AF_UNIX) as there:
        there.settimeout(WAIT_S)
        there.connect(str(path))
        there.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while there.recv(4096):
            pass


def wait_for(asked, process, folder):
    """What *asked* gives once it gives anything."""
    ends = time.monotonic() + WAIT_S
    while not (answer := asked()):
        if process.poll() is not None or time.monotonic() > ends:
            sys.exit(f"release: uWSGI does not do it:\n{(folder / 'uwsgi.log').read_text()[-3000:]}")
        time.sleep(0.1)
    return answer
