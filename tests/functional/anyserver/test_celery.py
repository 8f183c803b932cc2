"""`heka-raven watch` beside a real Celery worker: a task that hangs, one that crashes, a process that is killed."""

import os
import signal
import subprocess
import sys

import pytest

from support.gunicorn import functions
from support.spools import spooled
from support.values import variables
from support.waiting import still, wait_for

pytest.importorskip("celery")
pytestmark = pytest.mark.full

DSN = "http://key@127.0.0.1:9/1"
TASKS = """
import ctypes, os, signal, time
import heka_raven
from celery import Celery

heka_raven.init(DSN, stream_path="spool", stream_sender="off", watch=True, scrub_keys=["iban"])
folders = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app = Celery("shop", broker="filesystem://", broker_transport_options=folders)
app.conf.update(task_default_queue="orders", broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)

@app.task
def good(number):
    return number

@app.task
def hangs(order, password, iban="none", rows=()):
    number = order * 2
    time.sleep(600)

@app.task
def crashes(order):
    ctypes.string_at(0)

@app.task
def killed(order):
    os.kill(os.getpid(), signal.SIGKILL)
""".replace("DSN", repr(DSN))


class Worker:
    """A worker of Celery, and the watch of it."""

    def __init__(self, folder, *options):
        for name in ("queue", "control"):
            (folder / name).mkdir()
        (folder / "tasks.py").write_text(TASKS)
        self.folder = folder
        self.log = (folder / "log").open("wb")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("HEKA_RAVEN", "SENTRY"))}
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-l", "INFO", "--without-mingle", *options]
        self.process = self._start(command)
        self.watch = None
        try:
            wait_for(lambda: "ready." in self.said(), what=self.said, process=self.process, limit_s=120)
            command = [sys.executable, "-m", "heka_raven.cli.main", "watch", "--pid", str(self.process.pid)]
            self.watch = self._start([*command, "--spool", str(folder / "spool"), "--dsn", DSN, "--slow", "1"])
            wait_for(lambda: "tells nothing yet" in self.said(), what=self.said, process=self.watch)
        except BaseException:
            self.__exit__()
            raise

    def _start(self, command):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=self.log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.process, self.watch):
            if process is not None:
                os.killpg(process.pid, signal.SIGKILL)  # a task hangs, as it was told to
                process.wait()
        self.log.close()

    def said(self):
        return (self.folder / "log").read_text()

    def send(self, code):
        command = [sys.executable, "-c", f"from tasks import *\n{code}"]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, timeout=60)

    def events(self):
        return spooled(self.folder / "spool")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_task_that_hangs(tmp_path, pool):
    """One event: its name, id, queue and arguments, masked; its stack with values; the other tasks are beside it."""
    with Worker(tmp_path, "--pool", pool, "-c", "2") as worker:
        worker.send("good.delay(1); hangs.delay(20, 'planted', iban='planted')")
        wait_for(worker.events, what=worker.said, limit_s=90)
        [event] = still(worker.events)
        files = b"".join(path.read_bytes() for path in (tmp_path / "spool" / "state" / "watch").iterdir())
    job = event["extra"]["job"]
    assert {"order": 20, "password": "[Filtered]", "iban": "[Filtered]"} == job["arguments"]
    assert ("tasks.hangs", "orders", 36) == (job["name"], job["queue"], len(job["id"]))
    assert ("tasks.hangs", "warning") == (event["transaction"], event["level"])
    assert {"job": "celery", "queue": "orders", "server.event": "slow"} == event["tags"]
    assert "celery's process" in event["logentry"]["formatted"]
    assert "has been in task tasks.hangs for 1." in event["logentry"]["formatted"]
    assert "hangs" == functions(event)[-1]
    assert event["contexts"]["server"]["waiting_on"]
    assert "request" not in event
    if pool == "prefork":
        assert "told by the worker" == event["contexts"]["server"]["values"]
        assert (20, 40, "[Filtered]") == tuple(variables(event, "hangs")[name] for name in ("order", "number", "iban"))
    assert b"planted" not in files
    assert "planted" not in str(event)


def test_arguments_that_are_too_long(tmp_path):
    """A task whose arguments fill its slot is told without them."""
    with Worker(tmp_path, "-c", "1") as worker:
        worker.send("hangs.delay(20, 'x', rows=['some text %d' % n for n in range(500)])")
        wait_for(worker.events, what=worker.said, limit_s=90)
        [event] = worker.events()
    assert "too long for the watch" == event["extra"]["job"]["arguments"]
    assert "tasks.hangs" == event["transaction"]


def test_a_process_of_the_pool_that_dies(tmp_path):
    """A kill is one event, which Celery's parent tells; a crash has the watch's too, with its stack."""
    with Worker(tmp_path, "-c", "1") as worker:
        worker.send("good.delay(1); killed.delay(12)")
        wait_for(worker.events, what=worker.said, limit_s=90)
        worker.send("crashes.delay(13)")
        wait_for(lambda: 3 == len(worker.events()), what=worker.said, limit_s=90)
        worker.send("good.delay(2)")
        wait_for(lambda: worker.said().count("succeeded") == 2, what=worker.said, limit_s=90)
        events = still(worker.events)
    told = sorted((event["transaction"], event["tags"].get("server.event", "")) for event in events)
    assert [("tasks.crashes", ""), ("tasks.crashes", "segfault"), ("tasks.killed", "")] == told
    [crash] = [event for event in events if event["tags"].get("server.event")]
    assert {"order": 13} == crash["extra"]["job"]["arguments"]
    assert "crashes" in functions(crash)
    assert "died of SIGSEGV" in crash["logentry"]["formatted"]
