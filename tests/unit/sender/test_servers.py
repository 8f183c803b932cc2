"""state/servers.json: what `heka-raven status` knows of each server, whichever sender wrote it."""

import orjson
import pytest

from heka_raven.sender.servers import Servers, read_servers
from support.paths import DATA

ONE, TWO = "https://abc@sentry.example.com/1", "http://abc@down.example.com:9000/2"


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "servers.json").write_bytes((DATA / "servers.json").read_bytes())
    return str(tmp_path)


def test_what_the_c_sender_wrote_is_read(spool):
    """The file that the C sender's test reads and writes, byte for byte."""
    assert {
        ONE: {"success_at": 1790000000.25, "error": 'status 403 invalid "key" ü', "error_at": 1790000001.5,
              "next_try": 1790000060.0},
        TWO: {"error": "Connection refused", "error_at": 1790000002.0},
    } == read_servers(spool)  # fmt: skip


def test_it_goes_on_from_what_another_sender_wrote(spool):
    """The last success and error of every server stay; when to try next does not: a restart probes at once."""
    servers = Servers(spool)
    servers.answered(TWO, 1790000003.0, "")
    servers.write()
    found = read_servers(spool)
    assert {"success_at": 1790000000.25, "error": 'status 403 invalid "key" ü', "error_at": 1790000001.5} == found[ONE]
    assert {"error": "Connection refused", "error_at": 1790000002.0, "success_at": 1790000003.0} == found[TWO]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"x":1}', b'{"x":[]}'])
def test_damage_counts_as_nothing(spool, data, tmp_path):
    """It is for people only."""
    (tmp_path / "state" / "servers.json").write_bytes(data)
    assert {} == read_servers(spool)
    Servers(spool).next_tries({"x": 1.0})


def test_it_is_json_that_the_c_sender_reads(spool, tmp_path):
    """One object of objects of numbers and texts."""
    servers = Servers(spool)
    servers.answered(ONE, 1790000009.0, "é" * 400)
    servers.write()
    found = orjson.loads((tmp_path / "state" / "servers.json").read_bytes())
    assert ("é" * 300, 1790000009.0) == (found[ONE]["error"], found[ONE]["error_at"])
