"""The public API as a type checker of a program sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import heka

PROGRAM = """
from heka.client import SEVERITY, HekaClient
from heka.config import client_from_text_config
from heka.decorators import incr_count, timeit
from heka.holder import CLIENT_HOLDER, get_client
from heka.message import Message, first_value
from heka.streams import UdpStream
from heka.wire import RecordReader
from heka_raven import RavenMiddleware, build_client, capture_stack

client: HekaClient = get_client("app", {"stream_class": "heka.streams.UdpStream"})
sent: bool = client.heka("t", severity=SEVERITY.ERROR, fields={"a": 1, "b": {"c": True}})
client.raven("what plugins add is allowed")
default: HekaClient | None = CLIENT_HOLDER.default_client
by_hand = HekaClient(UdpStream(["a", "b"], "5565"), "app", filters=[lambda msg: msg.severity < 5])


@timeit
def bare(x: int) -> int:
    return x


@incr_count(name="c", count=2)
def called(x: int) -> int:
    return x


with client.timer("t") as timer:
    bare(1)
elapsed: int | None = timer.result


@client.timer("t")
def timed(x: int) -> int:
    return x


application = RavenMiddleware(lambda environ, start_response: [], build_client("https://k@h/1"))


@capture_stack(severity=2)
def watched(x: int) -> int:
    return timed(x)


class View:
    @capture_stack
    @classmethod
    def show(cls, x: int) -> int:
        return watched(x)


same: int = View.show(1)
for record in RecordReader().feed(b""):
    message: Message = record.message
    first_value(message, "name")
client_from_text_config("", "heka").info("%d", 1)
"""
WRONG = """
from heka.holder import get_client

get_client("app").heka(payload=5)
"""


@pytest.mark.full
@pytest.mark.parametrize(("program", "is_right"), [(PROGRAM, True), (WRONG, False)])
def test_programs_are_type_checked(program, is_right, tmp_path):
    """mypy --strict passes a program that uses the client as documented, and finds a wrong call."""
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(path)],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(Path(heka.__file__).parents[1])},
    )
    errors = [line for line in done.stdout.splitlines() if line.startswith("program.py") and ": error:" in line]
    assert is_right == (errors == []), done.stdout + done.stderr
    assert "checked 1 source file" in done.stdout, done.stderr
