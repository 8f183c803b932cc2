"""Starts the inbox and the example app under uWSGI or gunicorn, and stops both on Ctrl-C.

    python demo.py [--server uwsgi|gunicorn] [--check] [--port N] [--inbox-port N] [--keep DIR] [--user NAME]

`./run demo` sets everything up first. With --check, nobody needs to press the buttons: see check.py.
"""

import argparse
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from user import launch_readable

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "build"
START_S = 60  # seconds either server may take to answer its first request
STOP_S = 5  # seconds either may take to stop, before it is killed
STOPPING = (signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal was closed


class DemoError(Exception):
    """Something that the person who started the demo can put right."""


def beside(name):
    """The program *name* of this Python's environment."""
    return str(Path(sys.executable).parent / name)


COMMANDS = {
    "uwsgi": [beside("uwsgi"), "--ini", str(HERE / "uwsgi.ini")],
    "gunicorn": [beside("gunicorn"), "--config", str(HERE / "gunicorn.conf.py")],
}


def main(argv=None):
    args = parse_args(argv)
    for signum in STOPPING:
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    folder = args.keep or tempfile.mkdtemp(prefix="heka-raven-demo-")
    servers = []
    try:
        make_folder(Path(folder))
        inbox_url, app_url = start(args, Path(folder), servers)
        if args.check:
            import check

            return check.run(app_url, inbox_url, args.server)
        print(
            f"\n  the app:    {app_url}\n  the inbox:  {inbox_url}\n\n"
            "Press the app's buttons and watch the inbox. Ctrl-C stops both.",
            flush=True,
        )
        watch(servers)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        # A second Ctrl-C must not leave a server behind.
        for signum in (signal.SIGINT, *STOPPING):
            signal.signal(signum, signal.SIG_IGN)
        for server in reversed(servers):
            stop(server)
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def parse_args(argv):
    parser = argparse.ArgumentParser(prog="./run demo", description="The example app, and the inbox.")
    parser.add_argument(
        "--server", choices=sorted(COMMANDS), default="uwsgi", help="what runs the app (default: uwsgi)"
    )
    parser.add_argument("--check", action="store_true", help="press every button, read every event back, print a table")
    parser.add_argument("--port", type=port, default=0, help="the app's port (default: a free one)")
    parser.add_argument("--inbox-port", type=port, default=0, help="the inbox's port (default: a free one)")
    parser.add_argument("--user", metavar="NAME", help="root only: the server drops to this user, as on most machines")
    parser.add_argument("--keep", metavar="DIR", help="put spool, database and log here, and keep them")
    return parser.parse_args(argv)


def port(text):
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def start(args, folder, servers):
    """Start both servers; returns their addresses once both have answered."""
    if args.server == "uwsgi" and not (BUILD / "sentry_plugin.so").exists():
        raise DemoError(f"{BUILD / 'sentry_plugin.so'} is not there: start the demo with ./run demo, which builds it")
    app_port = free_port(args.port, "--port")
    inbox_port = free_port(args.inbox_port, "--inbox-port")
    inbox_url, app_url = f"http://127.0.0.1:{inbox_port}/", f"http://127.0.0.1:{app_port}/"
    servers.append(
        spawn(
            [beside("heka-raven"), "inbox", "--listen", f"127.0.0.1:{inbox_port}", "--db", str(folder / "inbox.db")],
            folder / "inbox.log",
        )
    )
    wait_for(inbox_url, servers[-1], folder / "inbox.log")
    environ = {
        "SENTRY_DSN": f"http://demo@127.0.0.1:{inbox_port}/1",
        "DEMO_LISTEN": f"127.0.0.1:{app_port}",
        "DEMO_INBOX": inbox_url,
        "HEKA_RAVEN_SPOOL": str(folder / "spool"),
    }
    in_front, options = user_options(args.user, folder, args.server)
    log = folder / f"{args.server}.log"
    servers.append(spawn([*in_front, *COMMANDS[args.server], *options], log, environ, HERE))
    wait_for(app_url, servers[-1], log)
    return inbox_url, app_url


def user_options(name, folder, server):
    """What stands before the server's command and behind it, for it to become the user *name*."""
    if name is None:
        return [], []
    if os.geteuid() != 0:
        raise DemoError(f"--user {name}: only root may become another user: leave the option out, or use sudo")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise DemoError(f"--user {name}: there is no such user") from None
    folder.chmod(0o755)
    spool = folder / "spool"  # the server is that user before it could be made
    spool.mkdir(mode=0o700, exist_ok=True)
    os.chown(spool, user.pw_uid, user.pw_gid)
    names = {"uwsgi": ("--uid", "--gid"), "gunicorn": ("--user", "--group")}[server]
    return launch_readable(folder), [names[0], str(user.pw_uid), names[1], str(user.pw_gid)]


def make_folder(folder):
    """Make *folder*, and see now rather than in a server's log whether it takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise DemoError(f"--keep {folder}: {error.strerror}: name a directory that can be written to") from None


def free_port(wanted, option):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise DemoError(
                f"{option} {wanted}: {error.strerror}: choose another port, or leave the option out"
            ) from None
        return sock.getsockname()[1]


def spawn(command, log, environ=None, cwd=None):
    # A session of its own: Ctrl-C reaches this process alone, which then stops the servers in order.
    with open(log, "wb") as out:
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environ or {})},
            cwd=cwd,
            start_new_session=True,
        )


def wait_for(url, server, log):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()[-8:]
    raise DemoError(f"{server.args[0]} did not answer on {url}; the end of its log:\n  " + "\n  ".join(lines))


def watch(servers):
    while True:
        for server in servers:
            if server.poll() is not None:
                raise DemoError(f"{server.args[0]} ended with status {server.returncode}")
        time.sleep(0.3)


def stop(server):
    """Ask nicely, then kill the whole session: no process stays behind."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(server.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    server.wait()


if __name__ == "__main__":
    sys.exit(main())
