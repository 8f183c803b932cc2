"""Reports of several greenlets at once."""

import subprocess
import sys

import pytest

from support.spools import spooled

PROGRAM = """
import sys
from heka_raven import build_client, capture_stack
import gevent

def slow(event, hint):
    gevent.sleep(0.1)
    return event

client = build_client("http://k@127.0.0.1:9/1", stream_path=sys.argv[1], stream_sender="off", before_send=slow)

@capture_stack(client=client)
def fail(number):
    raise ValueError(number)

gevent.joinall([gevent.spawn(fail, number) for number in range(10)])
"""


def test_no_greenlet_waits_in_the_way_of_another(spool):
    """A before_send that lets other greenlets run: what fails meanwhile is reported, also where gevent came later."""
    pytest.importorskip("gevent")
    subprocess.run([sys.executable, "-c", PROGRAM, str(spool)], check=True, stderr=subprocess.DEVNULL, timeout=60)
    found = sorted(event["exception"]["values"][0]["value"] for event in spooled(spool))
    assert [str(number) for number in range(10)] == found
