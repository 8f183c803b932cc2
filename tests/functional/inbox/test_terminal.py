"""The inbox's own terminal: a real pseudo terminal, on which each event is a line."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import urllib.request

import pytest

from support.inbox import AUTH, COMMAND
from support.waiting import still, wait_for


class OnTerminal:
    """An inbox whose standard output is a terminal."""

    def __init__(self, db):
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, "--listen", "127.0.0.1:0", "--db", str(db)], stdout=follower, stderr=subprocess.DEVNULL
        )
        os.close(follower)
        self.text = ""
        self.url = wait_for(lambda: re.search(r"inbox: (http://[^/]+)/", self.read()), process=self.process).group(1)

    def read(self):
        while select.select([self.leader], [], [], 0)[0]:
            try:
                self.text += os.read(self.leader, 65_536).decode()
            except OSError:  # the process ended
                break
        return self.text

    def send(self, event):
        request = urllib.request.Request(f"{self.url}/api/1/store/", json.dumps(event).encode(), AUTH)
        urllib.request.urlopen(request, timeout=60).close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            os.close(self.leader)


@pytest.fixture
def inbox(tmp_path):
    found = OnTerminal(tmp_path / "inbox.db")
    yield found
    if found.process.poll() is None:
        found.stop()


def test_each_event_is_a_line_with_a_link(inbox):
    """Level in colour, the title, the place, and where its page is; what it says moves no cursor."""
    inbox.send({"event_id": "a" * 32, "level": "error", "exception": [{"type": "KeyError", "value": "\x1b[2Jgone"}],
                "culprit": "shop.pay in pay"})  # fmt: skip
    inbox.send({"event_id": "b" * 32, "message": "worker 3, POST /checkout", "tags": {"uwsgi.event": "harakiri"}})
    text = wait_for(lambda: "POST /checkout" in inbox.read() and inbox.text)
    (line,) = [line for line in text.splitlines() if "KeyError" in line]
    assert "\x1b[31merror  \x1b[0m KeyError: ␛[2Jgone — shop.pay in pay" in line
    assert line.endswith(f"{inbox.url}/event/{'a' * 32}")
    assert 0 == inbox.stop()


def test_a_terminal_that_is_not_read_holds_up_nothing(inbox):
    """As after Ctrl-S: events are taken, and the inbox stops when it is asked to."""
    for n in range(300):
        inbox.send({"event_id": f"{n:032x}", "message": "x" * 300})
        if n % 60 == 0:
            time.sleep(0.6)  # more lines than a terminal holds, unread
    assert 0 == inbox.stop()


def test_what_is_no_terminal_gets_no_lines(tmp_path):
    """Where a program reads the output there are the addresses alone: events hold private data."""
    with subprocess.Popen(
        [*COMMAND, "--listen", "127.0.0.1:0", "--db", str(tmp_path / "i.db")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        url = re.search(r"http://[^/]+", process.stdout.readline()).group()
        request = urllib.request.Request(f"{url}/api/1/store/", b'{"message":"m"}', AUTH)
        urllib.request.urlopen(request, timeout=60).close()
        still(process.poll)  # lines would come by now
        process.send_signal(signal.SIGTERM)
        assert re.fullmatch(r"dsn: .*\n", process.stdout.read())
