"""The examples that are applications: copied out of the tree, started and tried by the very lines of their comments."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.examples import command, copy_out, environment, inbox, python, running
from support.paths import EXAMPLES
from support.ports import free_port
from support.uwsgi import find_uwsgi
from support.waiting import wait_for

full = pytest.mark.full
BIN = Path(sys.executable).parent
# The file whose comment is followed, the files that stand beside it, the module it needs, and what its event is.
APPS = [
    ("wsgi_app.py", [], "waitress", "ValueError", "GET /fail"),
    ("waitress_app.py", ["wsgi_app.py"], "waitress", "ValueError", "GET /fail"),
    ("flask_app.py", [], "flask", "LookupError", "GET /orders/<int:number>"),
    ("bottle_app.py", [], "bottle", "LookupError", "GET /orders/<number:int>"),
    ("django_app.py", [], "django", "LookupError", "GET /orders/<int:number>/"),
    ("falcon_app.py", [], "falcon", "LookupError", "GET /orders/{number:int}"),
    ("pyramid_app.py", [], "pyramid", "LookupError", "GET /orders/{number}"),
    ("gunicorn.conf.py", ["wsgi_app.py"], "gunicorn", "ValueError", "GET /fail"),
    ("paste.ini", ["paste_app.py"], "paste", "ValueError", "POST /fail"),
    ("paste_heka.ini", ["paste_app.py", "paste_heka_client.ini"], "paste", "ValueError", "GET /fail"),
]  # fmt: skip


def comment_of(name):
    """The words of the comment at the top of an example, without what marks it as one."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    if name.endswith(".py") and text.startswith('"""'):
        return text.split('"""')[1]
    lines = []
    for line in text.splitlines():
        if not line.startswith(("#", ";")):
            break
        lines.append(line[2:])
    return "\n".join(lines)


def start_of(name):
    """The command that the comment says to start the example with: the last of its indented lines."""
    lines = re.findall(r"^    (\S.*)$", comment_of(name), re.MULTILINE)
    words = shlex.split(lines[-1], comments=True)
    found = shutil.which(words[0], path=str(BIN))
    return [sys.executable if words[0] == "python" else found or words[0], *words[1:]]


def tries_of(name):
    """Each `Try: curl ...` as (path, body or None)."""
    found = []
    for line in re.findall(r"^Try: +curl (.*)$", comment_of(name), re.MULTILINE):
        words = shlex.split(line)
        body = words[words.index("-d") + 1] if "-d" in words else None
        found.append((words[-1].removeprefix("http://127.0.0.1:8080"), body))
    return found


def get(port, path, body=None):
    """Status and headers; 0 where nobody answers."""
    try:
        data = body.encode() if body else None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=60) as reply:
            return reply.status, reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers
    except OSError:
        return 0, {}


@pytest.mark.parametrize(
    ("name", "beside", "module", "kind", "transaction"),
    [pytest.param(*row, id=row[0]) for row in APPS],
)
def test_as_its_comment_says(name, beside, module, kind, transaction, tmp_path):
    """Its own command starts it, its own curl makes the error, and the inbox has the event that it promises."""
    pytest.importorskip(module)
    port = free_port()
    folder = tmp_path / "copied"
    with inbox(tmp_path) as box:
        changes = {"8080": str(port), "127.0.0.1:9000": f"127.0.0.1:{box.port}"}
        for file in [name, *beside]:
            copy_out(file, folder, changes)
        env = environment(tmp_path / "spool")
        start = [word.replace("8080", str(port)) for word in start_of(name)]
        with running(start, folder, env) as process:
            wait_for(lambda: get(port, "/")[0] == 200, process.log, process=process)
            (path, body), *more = tries_of(name)
            status, headers = get(port, path, body)
            assert 500 == status
            event = box.one()
            error = event["exception"]["values"][-1]
            assert (kind, transaction) == (error["type"], event["transaction"])
            assert kind in comment_of(name)
            assert f'"{transaction}"' in comment_of(name)
            if "event's id" in comment_of(name):
                assert event["event_id"] == headers["X-Event-Id"]
            if name == "paste.ini":
                assert ("production", "north") == (event["environment"], event["tags"]["shop"])
                assert {"item": "7", "password": "[Filtered]"} == event["request"]["data"]
            if name == "paste_heka.ini":
                assert "shop" == event["logger"]
            for path, body in more:  # pyramid's answer that is no error
                assert 404 == get(port, path, body)[0]
            assert 200 == get(port, "/")[0]
        assert [event["event_id"]] == [found["event_id"] for found in box.events()]


@pytest.mark.skipif(find_uwsgi() is None, reason="no uWSGI: ./run test installs one")
def test_uwsgi_without_the_plugin(tmp_path):
    """The event waits, a warning says that nobody delivers, and `heka-raven send --once` delivers it."""
    port = free_port()
    folder = tmp_path / "copied"
    with inbox(tmp_path) as box:
        for file in ("wsgi_uwsgi.ini", "wsgi_app.py"):
            copy_out(file, folder, {"8080": str(port), "127.0.0.1:9000": f"127.0.0.1:{box.port}"})
        env = environment(tmp_path / "spool", PYTHONWARNINGS="default")
        [(path, _)] = tries_of("wsgi_uwsgi.ini")
        with running([find_uwsgi(), *start_of("wsgi_uwsgi.ini")[1:]], folder, env) as process:
            wait_for(lambda: get(port, "/")[0] == 200, process.log, process=process)
            assert 0 == get(port, path)[0]
            wait_for(lambda: "heka-raven send" in process.log(), process.log)
            assert [] == box.events()
            status = subprocess.run(command("status"), env=env, capture_output=True, text=True, timeout=60)
            assert re.search(r"pending\W+1\b", status.stdout), status.stdout
            assert 0 == subprocess.run(command("send", "--once"), env=env, timeout=60).returncode
            assert "GET /fail" == box.one()["transaction"]


def lines_of(unit):
    """The settings of a unit, each name with its values."""
    found = {}
    for line in unit.read_text().splitlines():
        if "=" in line and line[0] != "#":
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def program(line):
    """A unit's command: systemd's + is a mark, and `env heka-raven` is this package's."""
    words = shlex.split(line.removeprefix("+"))
    if words[:2] == ["/usr/bin/env", "heka-raven"]:
        return command(*words[2:])
    return words


def leave_in_spool(dsn, env):
    """Leave one event in the spool."""
    code = f"""
from heka_raven.raven_plugin import build_client
try:
    1 / 0
except ZeroDivisionError:
    build_client({dsn!r}, stream_sender="off").raven()
"""
    subprocess.run(python("-c", code), env=env, check=True, timeout=60)


def test_the_systemd_unit_of_the_sender(tmp_path):
    """Its steps make the directory, deliver what waits in it, and end with 0 on SIGTERM."""
    changes = {"/var/spool/heka-raven": str(tmp_path / "spools"), "%i": "0"}
    unit = copy_out("systemd/heka-raven-send@.service", tmp_path, changes)
    settings = lines_of(unit)
    spool = tmp_path / "spools" / "0"
    env = environment(spool)
    for line in settings["ExecStartPre"]:
        words = program(line)
        if "-o" in words and words[words.index("-o") + 1] != str(os.geteuid()):
            pytest.skip("needs root to give a directory to another user")
        subprocess.run(words, check=True, timeout=60)
    assert 0o700 == spool.stat().st_mode & 0o777
    with inbox(tmp_path) as box:
        with running(program(settings["ExecStart"][0]), tmp_path, env) as process:
            leave_in_spool(box.dsn, env)
            assert "ZeroDivisionError" == box.one()["exception"]["values"][-1]["type"]
            process.terminate()
            assert 0 == process.wait(60)
    verify(unit.rename(tmp_path / "heka-raven-send@1000.service"))


def test_the_systemd_units_of_a_try_every_minute(tmp_path):
    """One run delivers; what cannot be delivered ends with a code that the unit calls success; the timer starts it."""
    env = environment(tmp_path / "spool")
    unit = copy_out("systemd/heka-raven-send-once.service", tmp_path, {})
    timer = copy_out("systemd/heka-raven-send-once.timer", tmp_path, {})
    settings = lines_of(unit)
    leave_in_spool(f"http://key@127.0.0.1:{free_port()}/1", env)
    down = subprocess.run(program(settings["ExecStart"][0]), env=env, timeout=60).returncode
    assert str(down) in settings["SuccessExitStatus"][0].split()
    env = environment(tmp_path / "other")
    with inbox(tmp_path) as box:
        leave_in_spool(box.dsn, env)
        assert 0 == subprocess.run(program(settings["ExecStart"][0]), env=env, timeout=60).returncode
        box.one()
    assert timer.stem == unit.stem
    verify(unit, timer)


def verify(*units):
    """systemd has nothing to say against the units, where it is there to be asked."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    done = subprocess.run([analyze, "verify", "--man=no", *map(str, units)], capture_output=True, text=True, timeout=60)
    assert (0, "") == (done.returncode, done.stderr.strip())


PARTS = {"paste_app.py", "paste_heka_client.ini", "__init__.py"}  # of other examples, whose comments tell what to try


def test_every_example_says_what_to_try():
    """Each file that one starts has a `Try:` and an `Expect:` at its top."""
    for path in [*EXAMPLES.glob("*.*"), *EXAMPLES.glob("uwsgi/*.ini"), *EXAMPLES.glob("systemd/*")]:
        if path.name not in PARTS and path.is_file() and path.suffix != ".timer":
            text = path.read_text(encoding="utf-8")
            assert re.search(r"Try: ", text), path.name
            assert re.search(r"Expect: ", text), path.name
