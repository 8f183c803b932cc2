"""Tasks of Celery in real workers, over its filesystem transport."""

import signal
import subprocess
import sys

import pytest

from support.spools import spooled
from support.waiting import still, wait_for

pytest.importorskip("celery")
pytestmark = pytest.mark.full

TASKS = """
import logging, os, signal, time
import heka_raven
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

heka_raven.init("http://key@127.0.0.1:9/1", stream_path="spool", stream_sender="off", logging=True)
folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app = Celery("shop", broker="filesystem://", broker_transport_options=folders)
app.conf.update(task_default_queue="orders", worker_max_tasks_per_child=50, broker_connection_retry_on_startup=True)

class Refused(Exception):
    pass

@app.task
def pay(user, password, *, token="none"):
    raise ValueError("no money")

@app.task(bind=True, max_retries=1, default_retry_delay=0)
def again(self, number):
    try:
        int("x")
    except ValueError as error:
        raise self.retry(exc=error)

@app.task(throws=(Refused,))
def expected():
    raise Refused("as usual")

@app.task
def logs(order):
    logging.getLogger("shop").error("odd order %s", order)

@app.task
def killed(order):
    os.kill(os.getpid(), signal.SIGKILL)

@app.task(soft_time_limit=1)
def slow():
    while True:
        time.sleep(0.05)

@app.task(time_limit=1)
def hangs():
    while True:
        time.sleep(0.05)

@app.task
def good(n):
    return n
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


class Worker:
    """A worker of Celery on *folder*; ended as an administrator ends it."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.log = (folder / "log").open("wb")
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "INFO", "--without-mingle", *options]
        self.process = subprocess.Popen(command, cwd=folder, stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def said(self):
        return (self.folder / "log").read_text()

    def events(self, count):
        wait_for(lambda: len(spooled(self.folder / "spool")) >= count, process=self.process)
        return spooled(self.folder / "spool")


def send(folder, code):
    subprocess.run([sys.executable, "-c", f"from tasks import *\n{code}"], cwd=folder, check=True, timeout=60)


def kinds(events):
    return sorted(event["transaction"].partition(".")[2] for event in events)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_that_fails(folder, pool):
    """One event: the task's name, its id, its queue, its arguments by name and masked; frames from the task on."""
    with Worker(folder, "--pool", pool, "-c", "2") as worker:
        send(folder, "pay.delay('bob', 'hunter2', token='planted'); good.delay(1); logs.delay(7); again.delay(3)")
        events = worker.events(3)
        wait_for(lambda: "succeeded" in worker.said(), process=worker.process)
        send(folder, "expected.delay()")
        wait_for(lambda: "as usual" in worker.said(), process=worker.process)
    events = spooled(folder / "spool")
    assert ["again", "logs", "pay"] == kinds(events)
    [pay] = [event for event in events if event["transaction"] == "tasks.pay"]
    job = pay["extra"]["job"]
    assert {"user": "bob", "password": "[Filtered]", "token": "[Filtered]"} == job["arguments"]
    assert ("orders", "tasks.pay", 36) == (job["queue"], job["name"], len(job["id"]))
    assert {"job": "celery", "queue": "orders"} == pay["tags"]
    [value] = pay["exception"]["values"]
    assert ("ValueError", "celery", False) == (value["type"], value["mechanism"]["type"], value["mechanism"]["handled"])
    assert ["pay"] == [frame["function"] for frame in value["stacktrace"]["frames"]]
    [logged] = [event for event in events if event["transaction"] == "tasks.logs"]
    assert {"order": 7} == logged["extra"]["job"]["arguments"]
    assert "hunter2" not in str(events)
    assert "planted" not in str(events)


def test_what_ends_a_process_of_the_pool(folder):
    """A process that is killed, and both time limits: one event each, with the task, though the traceback is a text."""
    with Worker(folder, "--pool", "prefork", "-c", "2") as worker:
        send(folder, "killed.delay(12); slow.delay(); hangs.delay()")
        worker.events(3)
        events = still(lambda: spooled(folder / "spool"))
    assert ["hangs", "killed", "slow"] == kinds(events)
    types = {event["transaction"]: event["exception"]["values"][-1]["type"] for event in events}
    assert "WorkerLostError" == types["tasks.killed"]
    assert "TimeLimitExceeded" == types["tasks.hangs"]
    assert "SoftTimeLimitExceeded" == types["tasks.slow"]
    [killed] = [event for event in events if event["transaction"] == "tasks.killed"]
    assert {"order": 12} == killed["extra"]["job"]["arguments"]


def test_the_worker_answers_as_without(folder):
    """A worker with a spool that cannot be used runs its tasks."""
    (folder / "spool").write_text("no folder")
    with Worker(folder, "--pool", "solo") as worker:
        send(folder, "pay.delay('a', 'b'); good.delay(1)")
        wait_for(lambda: "succeeded" in worker.said(), process=worker.process)
    assert "an event could not be written and is lost: spool" in worker.said()
