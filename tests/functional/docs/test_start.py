"""The five-minute start, as it is written: the programs of the page do what the page says."""

import http.client
import json
import re
import shutil
import subprocess
import textwrap
import urllib.request
from pathlib import Path

import pytest

from support.examples import command, environment, inbox, python, running
from support.ports import free_port
from support.uwsgi import find_uwsgi, shared_plugin
from support.waiting import wait_for

PAGE = Path(__file__).resolve().parents[3] / "docs" / "start.rst"


def program():
    """hello.py, as the page prints it."""
    found = re.search(r"\.\. code-block:: python\n\n(.*?)\n\n   and serve it", PAGE.read_text(), re.DOTALL)
    return textwrap.dedent(found.group(1))


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_by_hand(tmp_path):
    """An error is in the inbox with its variables, its token filtered; while the inbox is away the next one waits."""
    port = free_port()
    env = environment(tmp_path / "spool")
    with inbox(tmp_path) as box:
        assert "8080 hello:application" in PAGE.read_text()
        (tmp_path / "hello.py").write_text(program().replace("127.0.0.1:9000", f"127.0.0.1:{box.port}"))
        serve = python("-m", "waitress", f"--listen=127.0.0.1:{port}", "hello:application")
        with running(serve, tmp_path, env) as process:
            wait_for(lambda: get(port, "/") == 200, process.log, process=process)
            assert 500 == get(port, "/fail")
            event = box.one()
            error = event["exception"]["values"][-1]
            assert ("ZeroDivisionError", "division by zero") == (error["type"], error["value"])
            assert "GET /fail" == event["transaction"]
            assert {"items": 0, "total": 12, "token": "[Filtered]"} == error["stacktrace"]["frames"][-1]["vars"][
                "basket"
            ]
            wait_for(lambda: status(env)["delivered"] == 1, lambda: str(status(env)))
            with urllib.request.urlopen(f"{box.url}/api/events") as reply:
                assert 1 == len(json.load(reply))
    assert {"captured": 1, "delivered": 1, "pending": 0} == {
        key: status(env)[key] for key in ("captured", "delivered", "pending")
    }


def status(env):
    done = subprocess.run(command("status", "--json"), env=env, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)["ledger"]


def test_the_inbox_is_away(tmp_path):
    """What fails meanwhile waits, the visitor notices nothing, and a later sender delivers it."""
    port = free_port()
    env = environment(tmp_path / "spool")
    closed = free_port()
    (tmp_path / "hello.py").write_text(program().replace("127.0.0.1:9000", f"127.0.0.1:{closed}"))
    with running(python("-m", "waitress", f"--listen=127.0.0.1:{port}", "hello:application"), tmp_path, env) as process:
        wait_for(lambda: get(port, "/") == 200, process.log, process=process)
        assert 500 == get(port, "/fail")
        assert 1 == status(env)["pending"]
    with inbox(tmp_path, "--listen", f"127.0.0.1:{closed}") as box:
        send = command("send", "--once")
        assert 0 == subprocess.run(send, env=env, timeout=60).returncode
        assert "ZeroDivisionError" == box.one()["exception"]["values"][-1]["type"]


UWSGI = find_uwsgi()


@pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")
def test_under_uwsgi(tmp_path):
    """The ini of the page with the plugin beside it: the middleware reports once, and the plugin delivers."""
    found = re.search(r"\.\. code-block:: ini\n\n(.*?)\n\n``uwsgi --ini ", PAGE.read_text(), re.DOTALL)
    port = free_port()
    env = environment(tmp_path / "spool")
    with inbox(tmp_path) as box:
        changed = textwrap.dedent(found.group(1)).replace("8080", str(port))
        (tmp_path / "hello.ini").write_text(changed.replace("127.0.0.1:9000", f"127.0.0.1:{box.port}"))
        (tmp_path / "hello.py").write_text(program().replace("127.0.0.1:9000", f"127.0.0.1:{box.port}"))
        shutil.copy(shared_plugin(UWSGI), tmp_path)
        with running([UWSGI, "--ini", "hello.ini"], tmp_path, env) as process:
            wait_for(lambda: get(port, "/") == 200, process.log, process=process)
            get(port, "/fail")
            assert "ZeroDivisionError" == box.one()["exception"]["values"][-1]["type"]
            wait_for(lambda: status(env)["delivered"] == 1, lambda: str(status(env)))
            assert 200 == get(port, "/")
        assert 1 == len(box.events())
