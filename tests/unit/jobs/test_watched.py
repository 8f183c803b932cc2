"""Jobs in flight, told to `heka-raven watch`: masked, in one slot, or not at all."""

import mmap

import pytest

from heka_raven.eyes.own import Process
from heka_raven.eyes.running import EYES
from heka_raven.eyes.slots import ROW_SIZE, Slots
from heka_raven.jobs import watched
from heka_raven.jobs.job import Job, begin_job, end_job
from heka_raven.reporting.clients import build_client
from heka_raven.spool.watched import told


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "own", None)
    EYES.tell(None)
    path = tmp_path / "spool"
    watched.watch(build_client("http://key@127.0.0.1:9/1", stream_path=str(path), stream_sender="off"), True)
    yield str(path)
    watched.watch(None, False)


def in_flight(spool):
    [(_, _, path)] = told(spool)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), ROW_SIZE, prot=mmap.PROT_READ) as memory:
        return [request.job() for request in Slots(memory).in_flight(0)]


def test_a_job_is_told_while_it_runs(spool):
    """Its name, its queue, and its arguments masked by their names; one that fills a slot without them."""
    for number, arguments in enumerate(({"order": 7, "password": "planted"}, {"rows": ["text" * 9] * 99})):
        job = Job("celery", "shop.pay", "id-1", "orders", arguments)
        begin_job(lambda job=job: job)
        [found] = in_flight(spool)
        shown = {"order": 7, "password": "[Filtered]"} if number == 0 else "too long for the watch"
        expected = {"name": "shop.pay", "id": "id-1", "queue": "orders", "arguments": shown}
        assert ("shop.pay", expected) == (found["transaction"], found["extra"]["job"])
        assert {"job": "celery", "queue": "orders"} == found["tags"]
        end_job()
        assert [] == in_flight(spool)


def test_what_cannot_be_told(spool):
    """A job that cannot be described runs, and so does one in a process without a row."""

    def fails():
        raise ValueError

    begin_job(fails)
    end_job()
    Process.own = None
    watched.Watched.spool_path = "/dev/null/no-spool"
    begin_job(lambda: Job("rq", "shop.pay"))
    end_job()
