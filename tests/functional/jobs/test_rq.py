"""Jobs of RQ in real workers, over Debian's redis-server."""

import shutil
import subprocess
import sys

import pytest

from support.ports import free_port
from support.spools import spooled
from support.waiting import wait_for

pytest.importorskip("rq")
redis = pytest.importorskip("redis")

INIT = 'import heka_raven\nheka_raven.init("http://key@127.0.0.1:9/1", stream_path="spool", {})\n'
JOBS = """
import logging, os, signal, time

def pay(user, password, *, token="none"):
    raise ValueError("no money")

def logs(order):
    logging.getLogger("shop").error("odd order %s", order)

def killed(order, password):
    os.kill(os.getpid(), signal.SIGKILL)

def slow():
    while True:
        time.sleep(0.05)

def good(n):
    return n
"""
WORK = """
import sys
{init}
import redis, rq
worker = getattr(rq, sys.argv[2])([rq.Queue("orders", connection=redis.Redis(port=int(sys.argv[1])))],
    connection=redis.Redis(port=int(sys.argv[1])))
worker.work(burst=True)
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A redis-server of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server")
    number = free_port()
    command = [program, "--port", str(number), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(number), process=process)
        yield number
    finally:
        process.terminate()
        process.wait()


def answers(number):
    try:
        return redis.Redis(port=number).ping()
    except redis.ConnectionError:
        return False


@pytest.fixture
def queue(port):
    from rq import Queue

    connection = redis.Redis(port=port)
    connection.flushall()
    return Queue("orders", connection=connection)


def work(folder, port, *, init=INIT.format('stream_sender="off", logging=True'), own="", kind="Worker"):
    """A worker that takes what is queued and ends; its output and the events."""
    (folder / "jobs.py").write_text(own + JOBS)
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(init=init), str(port), kind],
        cwd=folder, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return done.stderr, spooled(folder / "spool")


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker"])
def test_a_job_that_fails(tmp_path, port, queue, kind):
    """One event: the function's name, the job's id, its queue, its arguments by name and masked; the job's frames."""
    queued = queue.enqueue("jobs.pay", "bob", "hunter2", token="planted")
    queue.enqueue("jobs.good", 1)
    queue.enqueue("jobs.logs", 7)
    _, events = work(tmp_path, port, kind=kind)
    pay, logged = events
    assert "jobs.pay" == pay["transaction"]
    job = pay["extra"]["job"]
    assert {"user": "bob", "password": "[Filtered]", "token": "[Filtered]"} == job["arguments"]
    assert ("orders", queued.id) == (job["queue"], job["id"])
    assert {"job": "rq", "queue": "orders"} == pay["tags"]
    [value] = pay["exception"]["values"]
    assert ("ValueError", "rq", False) == (value["type"], value["mechanism"]["type"], value["mechanism"]["handled"])
    assert ["pay"] == [frame["function"] for frame in value["stacktrace"]["frames"]]
    assert ("jobs.logs", {"order": 7}) == (logged["transaction"], logged["extra"]["job"]["arguments"])
    assert "hunter2" not in str(events)
    assert "planted" not in str(events)
    assert "failed" == queued.get_status()


def test_a_work_horse_that_is_killed(tmp_path, port, queue):
    """The worker tells it: one event with the job, the signal and the memory; not with arguments that nobody masks."""
    queued = queue.enqueue("jobs.killed", 7, "hunter2")
    _, [event] = work(tmp_path, port)
    assert "the process of jobs.killed was killed by signal 9" == event["logentry"]["formatted"]
    assert ("jobs.killed", "fatal") == (event["transaction"], event["level"])
    job = event["extra"]["job"]
    assert (queued.id, "orders", "was killed by signal 9") == (job["id"], job["queue"], job["status"])
    assert job["max_rss_kib"] > 1000
    assert "hunter2" not in str(event)
    assert "failed" == queued.get_status()


def test_a_job_that_takes_too_long(tmp_path, port, queue):
    """RQ's own time limit is an error of the job, with the line at which it was."""
    queue.enqueue("jobs.slow", job_timeout=1)
    _, [event] = work(tmp_path, port)
    [value] = event["exception"]["values"]
    assert ("JobTimeoutException", "jobs.slow") == (value["type"], event["transaction"])
    assert "slow" == value["stacktrace"]["frames"][0]["function"]


def test_the_jobs_own_module_calls_init(tmp_path, port, queue):
    """Where only the module of the jobs calls init(), its failures are reported, and delivered before the end."""
    from support.sentry_server import Server

    with Server() as server:
        queue.enqueue("jobs.pay", "bob", "hunter2")
        own = INIT.format("logging=True").replace("http://key@127.0.0.1:9/1", server.dsn)
        work(tmp_path, port, init="", own=own)
        assert 1 == len(server.events)


def test_a_job_that_cannot_be_read(tmp_path, port, queue):
    """A job whose function is not there is one event with what can be said of it; the next job runs."""
    queue.enqueue("jobs.gone", "x")
    after = queue.enqueue("jobs.good", 1)
    _, [event] = work(tmp_path, port)
    assert "jobs.gone" == event["transaction"]
    assert "x" not in event["extra"]["job"].get("arguments", {}).values()
    assert "finished" == after.get_status()
