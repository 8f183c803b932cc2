"""Log records of several greenlets at once."""

import subprocess
import sys

import pytest

PROGRAM = """
import logging
from heka.client import HekaClient
from heka.logging import hook_logger
import gevent

class Slow:
    sent = []

    def write(self, data):
        gevent.sleep(0.05)
        logging.getLogger("app").error("while sending")
        self.sent.append(data)

logger = logging.getLogger("app")
hook_logger("app", HekaClient(Slow(), "app"))
gevent.joinall([gevent.spawn(logger.error, "record %d", number) for number in range(10)])
print(len(Slow.sent), all(b"record" in data for data in Slow.sent))
"""


def test_no_greenlet_waits_in_the_way_of_another():
    """A stream that lets other greenlets run: what they log is sent; what the stream logs is not."""
    pytest.importorskip("gevent")
    ran = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60)
    assert "10 True" == ran.stdout.strip()
