"""Room that is kept for ledgers. On a disk that is full in truth: tests/functional/sender/test_hosts.py."""

import os
import resource

import pytest

from heka_raven.spool import spares
from heka_raven.spool.directory import make_spool
from heka_raven.spool.ledger import SIZE, Ledger, fold, read_snapshot


@pytest.fixture
def ledgers(tmp_path):
    make_spool(str(tmp_path / "spool"))
    return tmp_path / "spool" / "state" / "ledger"


def names(ledgers):
    return sorted(path.name for path in ledgers.glob("spare-*"))


def test_what_is_gone_is_made_again(ledgers):
    """Housekeeping makes those that somebody took; they count nothing, and no fold takes them away."""
    spares.keep(str(ledgers), SIZE)
    assert spares.COUNT == len(names(ledgers))
    before = (ledgers / "spare-3").stat().st_ino
    os.unlink(ledgers / "spare-0")
    os.rename(ledgers / "spare-31", ledgers / "999999999-1")  # who took it was killed before it counted
    spares.keep(str(ledgers), SIZE)
    assert (before, SIZE) == ((ledgers / "spare-3").stat().st_ino, (ledgers / "spare-31").stat().st_size)
    assert 1 == fold(str(ledgers.parents[1]))
    assert spares.COUNT == len(names(ledgers))
    assert {0} == set(read_snapshot(str(ledgers.parents[1])).counts.values())


def test_a_limit_of_sizes_is_no_full_disk(ledgers):
    """A process that may write no whole file finds no more room in a spare: it leaves them to others."""
    spares.keep(str(ledgers), SIZE)
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE - 1, SIZE - 1))
            Ledger(str(ledgers.parents[1])).add("captured")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert spares.COUNT == len(names(ledgers)) == len(os.listdir(ledgers))
