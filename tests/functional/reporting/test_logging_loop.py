"""Issue 17, item 3: what is logged while sending is never an event."""

import subprocess
import sys

import pytest

from support.sentry_server import Server
from support.waiting import wait_for

PROGRAM = """
import logging, sys, time
from heka_raven import RavenHandler, build_client
from heka_raven.spool.ledger import read_snapshot
path, dsn, proxy = sys.argv[1:]
client = build_client(dsn, stream_path=path, stream_proxy=proxy or None, stream_sender="thread")
logging.basicConfig(level=logging.DEBUG, handlers=[RavenHandler(client, event_level=logging.DEBUG)])
logging.getLogger("app").debug("the one record")
for _ in range(100):
    time.sleep(0.1)
    if read_snapshot(path).counts["delivered"]:
        time.sleep(1)  # as long as it takes to send what a loop would have made
        break
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_a_handler_of_debug_records_on_the_root_logger_ends(spool, way):
    """Every debug line is an event, but for those that sending makes: one record is one event, then it is quiet."""
    with Server() as server:
        dsn, proxy = (
            (server.dsn, "") if way == "direct" else ("http://k@sentry.invalid/1", server.dsn.partition("@")[2])
        )
        proxy = proxy and f"http://{proxy.partition('/')[0]}"
        subprocess.run([sys.executable, "-c", PROGRAM, str(spool), dsn, proxy], check=True, timeout=50)
        wait_for(lambda: server.requests, "the event")
        assert 1 == len(server.requests)
