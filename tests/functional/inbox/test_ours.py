"""This project's own events, through spool and sender, are shown with all they carry."""

import subprocess
import sys

import pytest

from support.inbox import running_inbox

REPORT = """
import sys, time
from heka.holder import get_client

dsn, spool, protocol = sys.argv[1:]
client = get_client("shop", {
    "stream_class": "heka_raven.streams.SpoolStream",
    "stream_path": spool,
    "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": dsn, "protocol": protocol})},
})

def convert(amount, currency):
    rates = {"EUR": 1}
    password = "hunter2"
    return amount * rates[currency.upper()]

def checkout(amount):
    try:
        return convert(amount, "gbp")
    except KeyError as error:
        raise RuntimeError("no price") from error

try:
    checkout(42)
except RuntimeError:
    print(client.raven("checkout failed"), flush=True)
sys.stdin.read()  # the sender's thread delivers until the test has seen the event
"""


@pytest.mark.parametrize("protocol", ["7", "3"])
def test_our_events_are_shown(tmp_path, protocol):
    """Frames, locals, what was filtered and the message; in version 7 the chain and the failing columns, too."""
    script = tmp_path / "shop.py"
    script.write_text(REPORT)
    with running_inbox(tmp_path / "inbox.db") as running:
        arguments = [sys.executable, script, running.dsn(), tmp_path / "spool", protocol]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            event_id = process.stdout.readline().strip()
            [event] = running.wait_for_events(1)
            process.stdin.close()
            assert 0 == process.wait(timeout=60)
        assert (event_id, "RuntimeError") == (event["event_id"], event["type"])
        reply = running.request(f"/event/{event_id}")
    page, said = reply.text, reply.shown
    for part in ("no price", "checkout failed", "def checkout(amount):", '<th scope="row">amount</th>', "42"):
        assert part in page or part in said
    assert "hunter2" not in said.replace('password = "hunter2"', "")
    if protocol == "7":
        assert "<mark>rates[currency.upper()]</mark>" in page
        assert "caused by" in page
        assert '<th scope="row">password</th><td><pre><span class="filtered">' in page
