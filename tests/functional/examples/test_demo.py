"""The demo as a person starts it: both servers, real ports, Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent.parent
DEMO = [sys.executable, "-u", str(ROOT / "examples" / "demo" / "demo.py")]


def processes_naming(text):
    """The ids of the processes whose environment holds *text*: children inherit it, whoever their parent is now."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_the_demo_leaves_no_process_behind(tmp_path, stop_signal):
    """The demo prints two addresses that answer; Ctrl-C, SIGTERM and closing the terminal end all that it started."""
    mark = f"DEMO_MARK={tmp_path}"
    demo = subprocess.Popen(
        [*DEMO, "--keep", str(tmp_path / "kept")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DEMO_MARK": str(tmp_path)},
    )
    try:
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        addresses = re.findall(r"http://127\.0\.0\.1:\d+/", "".join(lines))
        assert 2 == len(addresses), lines
        for address in addresses:
            with urllib.request.urlopen(address, timeout=60) as response:
                assert 200 == response.status
        # The demo, the inbox, master, two workers, sender; the last worker may only just be on its way.
        wait_for(lambda: len(processes_naming(mark)) >= 6)
        demo.send_signal(stop_signal)
        demo.wait(60)
    finally:
        if demo.poll() is None:
            demo.terminate()  # not SIGKILL: then nobody would stop what it started
        demo.wait(60)
        demo.stdout.close()
    wait_for(lambda: not processes_naming(mark))  # of what was killed last the kernel may have to take the memory back


def test_the_demo_survives_nothing_by_halves():
    """A port in use: one line that names the option and what to do, exit code not 0, nothing started."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        for option in ("--port", "--inbox-port"):
            ran = subprocess.run([*DEMO, option, str(port)], capture_output=True, text=True, timeout=30)
            assert 1 == ran.returncode
            assert [f"demo: {option} {port}: Address already in use: choose another port, or leave the option out"] == (
                ran.stderr.strip().splitlines()
            )
            assert "" == ran.stdout


def test_a_bad_port_is_refused_in_one_line():
    """--port takes 0 to 65535, and says so."""
    ran = subprocess.run([*DEMO, "--port", "70000"], capture_output=True, text=True, timeout=30)
    assert 2 == ran.returncode
    assert "'70000' is not a port: 0 to 65535" in ran.stderr


def test_a_folder_that_takes_no_files_is_refused_in_one_line(tmp_path):
    """--keep names a file, or lies below one: one line, exit code not 0."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        ran = subprocess.run([*DEMO, "--keep", str(folder)], capture_output=True, text=True, timeout=30)
        assert 1 == ran.returncode
        (line,) = ran.stderr.splitlines()
        assert line.startswith(f"demo: --keep {folder}: ")
        assert line.endswith("name a directory that can be written to")


def test_a_user_that_cannot_be():
    """--user names a user that exists, and needs root: one line says so."""
    ran = subprocess.run([*DEMO, "--user", "nosuchuser"], capture_output=True, text=True, timeout=120, check=False)
    assert 1 == ran.returncode
    line = ran.stderr.strip()
    words = "there is no such user" if os.geteuid() == 0 else "only root may become another user"
    assert line.startswith(f"demo: --user nosuchuser: {words}") and "\n" not in line
