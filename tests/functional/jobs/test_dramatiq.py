"""Messages of Dramatiq, in its own worker over its stub broker."""

import subprocess
import sys

import pytest

from support.spools import spooled

pytest.importorskip("dramatiq")

PROGRAM = """
import logging
{first}
import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.errors import Retry
{second}
broker = StubBroker({broker})
dramatiq.set_broker(broker)
{third}

class Refused(Exception):
    pass

@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=1, queue_name="orders")
def pay(user, password, *, token="none"):
    raise ValueError("no money")

@dramatiq.actor(throws=(Refused,))
def expected():
    raise Refused("as usual")

@dramatiq.actor(max_retries=1, min_backoff=1, max_backoff=1)
def again():
    raise Retry("later")

@dramatiq.actor
def logs(order):
    logging.getLogger("shop").error("odd order %s", order)

@dramatiq.actor(max_retries=0, time_limit=500)
def slow():
    import time
    while True:
        time.sleep(0.05)

worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=2)
broker.emit_after("process_boot")  # which starts the time limit
worker.start()
pay.send("bob", "hunter2", token="planted")
expected.send()
again.send()
logs.send(7)
if {slow}:
    slow.send()
for queue in ("orders", "default"):
    broker.join(queue, fail_fast=False)
worker.join()
worker.stop()
"""
INIT = (
    'import heka_raven; heka_raven.init("http://k@127.0.0.1:9/1", stream_path="spool", stream_sender="off", logging=1)'
)


def run(folder, **parts):
    parts = {"first": "", "second": "", "third": "", "broker": "", "slow": 0, **parts}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(**parts)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    return spooled(folder / "spool")


@pytest.mark.parametrize("place", ["first", "second", "third"])
@pytest.mark.parametrize("broker", ["", "middleware=[dramatiq.middleware.Retries(), dramatiq.middleware.TimeLimit()]"])
def test_a_message_that_fails(tmp_path, place, broker):
    """Each failing try is an event, wherever init() stands: name, id, queue, arguments by name and masked."""
    events = run(tmp_path, broker=broker, **{place: INIT})
    *pays, _ = sorted(events, key=lambda event: (event["transaction"] == "logs", event["timestamp"]))
    assert [None, 1] == [event["extra"]["job"].get("retries") for event in pays]
    for event in pays:
        job = event["extra"]["job"]
        assert {"user": "bob", "password": "[Filtered]", "token": "[Filtered]"} == job["arguments"]
        assert ("pay", "orders", 36) == (event["transaction"], job["queue"], len(job["id"]))
        [value] = event["exception"]["values"]
        assert ("ValueError", "dramatiq") == (value["type"], value["mechanism"]["type"])
        assert ["pay"] == [frame["function"] for frame in value["stacktrace"]["frames"]]
    [logged] = [event for event in events if event["transaction"] == "logs"]
    assert {"order": 7} == logged["extra"]["job"]["arguments"]
    assert "hunter2" not in str(events)
    assert "planted" not in str(events)


def test_a_time_limit(tmp_path):
    """An actor over its time limit is an event, with the place where it was."""
    [event] = [event for event in run(tmp_path, first=INIT, slow=1) if event["transaction"] == "slow"]
    [value] = event["exception"]["values"]
    assert "TimeLimitExceeded" == value["type"]
    assert "slow" == value["stacktrace"]["frames"][0]["function"]
