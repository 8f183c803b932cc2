"""The example of the watch: copied out of the tree, started by its own command, tried by its own lines."""

import re
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.examples import copy_out, environment, inbox, running
from support.gunicorn import functions
from support.paths import EXAMPLES
from support.ports import free_port
from support.waiting import wait_for

NAME = "gunicorn_watch.conf.py"


def curl(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        pass
    return b""


def test_as_its_comment_says(tmp_path):
    """Its command starts it, and each thing to try gives the event that it promises."""
    pytest.importorskip("gunicorn")
    text = (EXAMPLES / NAME).read_text()
    port = free_port()
    with inbox(tmp_path) as box:
        folder = tmp_path / "copied"
        for file in (NAME, "gunicorn_watch_app.py"):
            copy_out(file, folder, {"8080": str(port), "127.0.0.1:9000": f"127.0.0.1:{box.port}"})
        [words] = re.findall(r"^#     (gunicorn .*)$", text, re.MULTILINE)
        program = shutil.which("gunicorn", path=str(Path(sys.executable).parent))
        with running([program, *words.split()[1:]], folder, environment(tmp_path / "spool")) as process:
            wait_for(lambda: curl(port, "/") == b"all is well\n", process.log, process=process)
            paths = re.findall(r"Try: +curl http://127.0.0.1:8080(\S+)", text)
            kinds = re.findall(r"gunicorn.event: (\w+)", text)
            assert 2 == len(paths) == len(kinds)
            for number, (path, kind) in enumerate(zip(paths, kinds, strict=True), 1):
                assert b"" == curl(port, path)
                wait_for(lambda number=number: len(box.events()) == number, process.log)
                [event] = [e for e in box.events() if kind == e["tags"]["gunicorn.event"]]
                assert f"GET {path}" == event["transaction"]
                assert f"the request GET {path}" in text
                assert ("fetch" if kind == "timeout" else "string_at") == functions(event)[-1]
