"""Events read back from servers that nobody here wrote: kent, and Bugsink with its strict validation on."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import pytest

from heka_raven import scope
from heka_raven.raven_plugin import RavenClient
from support import crashes
from support.crashes import build_libraries
from support.events import raised, spool_client
from support.ports import free_port
from support.scope import enter_request
from support.waiting import wait_for
from support.watch import functions, native

BUGSINK = "bugsink==2.6.1"


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=60).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def divide(a, b):
    return a / b


def chained():
    try:
        divide(1, 0)
    except ZeroDivisionError as exc:
        raise RuntimeError("second") from exc


def group():
    if sys.version_info < (3, 11):
        return chained()
    raise __builtins__["ExceptionGroup"]("g", [ValueError("a"), KeyError("b")])


def noted():
    exc = ValueError("noted")
    exc.__notes__ = ["a note"]
    raise exc


def hostile():
    loop = []
    loop.append(loop)
    names = {1: b"\xff", None: float("nan"), (1,): 2**70, "k" * 500: "\x00\ud800", "b": [1] * 99}  # noqa: F841
    text = "x" * 5_000_000  # noqa: F841
    raise ValueError("\ud800 hostile \x00")


def unicode_():
    grüße = "grüße ☃ 𝄞"
    raise ValueError(grüße)


def recursion():
    return recursion()


KINDS = {
    "plain": lambda: divide(1, 0),
    "chained": chained,
    "group": group,
    "notes": noted,
    "hostile": hostile,
    "unicode": unicode_,
    "recursion": recursion,
}


def facts(environ):
    return scope.RequestFacts(
        request={
            "method": "POST",
            "url": "https://h/p",
            "query_string": "a=1&token=hidden",
            "headers": {"Accept": "*/*", "Content-Type": "application/json"},
            "cookies": {"lang": "de", "sessionid": "hidden"},
            "data": {"n": [1, None], "password": "hidden"},
            "env": {"REMOTE_ADDR": "1.2.3.4"},
        },
        transaction="POST /p",
        user={"id": 7, "ip_address": "1.2.3.4", "plan": "free"},
        trace={"trace_id": "a" * 32, "span_id": "b" * 16},
    )


def report_every_kind(spool, dsn):
    """One event of every kind into *spool*: ids by kind."""
    client = spool_client(spool, dsn=dsn, release="app@1.0", environment="test", server_name="web1", tags={"a": "b"})
    ids = {kind: client.raven("the msg", exc_info=raised(function)) for kind, function in KINDS.items()}
    token = enter_request(facts, {})
    try:
        ids["request"] = client.raven(exc_info=raised(divide, 1, 0), level="fatal", fingerprint=["own"])
    finally:
        scope.CURRENT.reset(token)
    raven = RavenClient(heka_client=client)
    raven.captureBreadcrumb(message="crumb", category="c", level="warning", data={"n": 1})
    ids["message"] = raven.captureMessage("hello %s", params=("you",))
    ids["logged"] = raven.captureMessage("with a stack", stack=True)
    assert all(ids.values())
    return ids


def deliver(spool):
    command = (
        "import sys; from heka_raven.cli.main import main; sys.exit(main(['send', '--once', '--spool', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", command, str(spool)], capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stderr


def check(ids, events):
    """What the server has is what was reported."""
    assert set(ids.values()) == set(events)
    by_kind = {kind: events[event_id] for kind, event_id in ids.items()}
    assert "hidden" not in json.dumps(by_kind["request"])
    for kind in KINDS:
        assert "…" != by_kind[kind]["exception"]["values"][-1]["type"]
    assert "division by zero" == by_kind["plain"]["exception"]["values"][-1]["value"]
    assert {"a": 1, "b": 0} == by_kind["plain"]["exception"]["values"][-1]["stacktrace"]["frames"][-1]["vars"]
    assert ["ZeroDivisionError", "RuntimeError"] == [v["type"] for v in by_kind["chained"]["exception"]["values"]]
    assert "noted\na note" == by_kind["notes"]["exception"]["values"][-1]["value"]
    assert "grüße ☃ 𝄞" == by_kind["unicode"]["exception"]["values"][-1]["value"]
    assert ("POST /p", "fatal", ["own"]) == tuple(
        by_kind["request"][name] for name in ("transaction", "level", "fingerprint")
    )
    assert "a=1&token=[Filtered]" == by_kind["request"]["request"]["query_string"]
    assert "hello you" == by_kind["message"]["logentry"]["formatted"]


def test_kent_has_every_kind(tmp_path):
    """kent has every kind of event, as it was reported."""
    port = free_port()
    server = Path(sys.executable).parent / "kent-server"
    if not server.exists():
        pytest.skip("kent is not installed")
    process = subprocess.Popen(
        [str(server), "run", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(f"{url}/api/eventlist/"), "kent", process=process)
        ids = report_every_kind(tmp_path / "spool", f"http://public@127.0.0.1:{port}/1")
        deliver(tmp_path / "spool")
        with urllib.request.urlopen(f"{url}/api/eventlist/", timeout=60) as reply:
            listed = json.load(reply)["events"]
        events = {}
        for entry in listed:
            with urllib.request.urlopen(f"{url}/api/event/{entry['event_id']}", timeout=60) as reply:
                body = json.load(reply)["payload"]["body"]
            events[body["event_id"]] = body
        check(ids, events)
    finally:
        stop(process)


@pytest.fixture(scope="session")
def bugsink_bin(pytestconfig):
    """Bugsink in an environment of its own, kept in pytest's cache folder."""
    folder = pytestconfig.cache.mkdir(re.sub(r"[^\w.]", "-", BUGSINK))
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder / "env", with_pip=True, clear=True)
        subprocess.run([folder / "env/bin/pip", "install", "-q", BUGSINK], check=True, timeout=600)
        ready.touch()
    return folder / "env/bin"


@pytest.fixture
def bugsink_manage(bugsink_bin, tmp_path):
    """Runs Bugsink's own command, and gives what it printed."""
    home = tmp_path / "bugsink"
    home.mkdir()
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONPATH": str(home)}

    def run(*arguments, command="bugsink-manage"):
        command = [bugsink_bin / command, *arguments]
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=300)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    return run


def stored(home):
    """The events in Bugsink's own database."""
    with sqlite3.connect(home / "db.sqlite3") as database:
        rows = database.execute("select data from events_event").fetchall()
    database.close()
    return [json.loads(row[0]) for row in rows]


@pytest.fixture
def bugsink(bugsink_bin, bugsink_manage, tmp_path):
    """A running Bugsink with strict validation: ``(dsn, its directory)``."""
    port, home, run = free_port(), tmp_path / "bugsink", bugsink_manage
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONPATH": str(home)}
    run("--template=local", "--host=127.0.0.1", f"--port={port}", command="bugsink-create-conf")
    with open(home / "bugsink_conf.py", "a") as conf:
        conf.write(
            f"\nDATABASES['default']['NAME'] = {str(home / 'db.sqlite3')!r}\n"
            f"DATABASES['snappea']['NAME'] = {str(home / 'snappea.sqlite3')!r}\n"
            f"BUGSINK['INGEST_STORE_BASE_DIR'] = {str(home / 'ingestion')!r}\n"
            "BUGSINK['VALIDATE_ON_DIGEST'] = 'strict'\n"
            "BUGSINK['PHONEHOME'] = False\n"
        )
    run("migrate")
    run("migrate", "--database=snappea")
    code = (
        "from projects.models import Project; from teams.models import Team;"
        "print('DSN', Project.objects.create(name='p', team=Team.objects.create(name='t')).dsn)"
    )
    dsn = re.search(r"DSN (\S+)", run("shell", "-c", code))[1]
    with open(home / "log", "w") as log:
        process = subprocess.Popen(
            [bugsink_bin / "gunicorn", f"--bind=127.0.0.1:{port}", "--workers=1", "bugsink.wsgi"],
            cwd=home,
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), "Bugsink", process=process)
        yield dsn, home
    finally:
        stop(process)


PAGE = """
from django.contrib.auth import get_user_model
from django.test import Client
from events.models import Event
client, event = Client(), Event.objects.get()
client.force_login(get_user_model().objects.create_superuser(username="a", password="a"))
print(client.get(f"/issues/issue/{event.issue_id}/event/{event.id}/", HTTP_HOST="127.0.0.1").content.decode())
"""


@pytest.mark.full
@pytest.mark.timeout(900)
def test_bugsink_shows_native_frames(bugsink, bugsink_manage, serve, tmp_path):
    """Bugsink takes a crash in C, its strict validation on, and its page shows library and function inside Python's."""
    dsn, home = bugsink
    build_libraries(tmp_path)
    serve("sentry-watch = true\nprocesses = 1\n", dsn=dsn, app=crashes.APP).crash("/write")
    event = wait_for(lambda: next(iter(stored(home)), None), lambda: (home / "log").read_text()[-3000:])
    assert ("inner_write", "libshop.so") == native(event)[-1] and "view" == functions(event)[-1]
    assert event["debug_meta"]["images"]
    page = bugsink_manage("shell", "-c", PAGE)
    for text in ("libshop.so in inner_write", "libshop.so in shop_write"):
        assert text in page, page


@pytest.mark.full
@pytest.mark.timeout(900)
def test_bugsink_has_every_kind(bugsink, tmp_path):
    """Bugsink, with its strict validation on, has every kind of event in its own database."""
    dsn, home = bugsink
    ids = report_every_kind(tmp_path / "spool", dsn)
    deliver(tmp_path / "spool")
    found = wait_for(
        lambda: len(events := stored(home)) >= len(ids) and events, lambda: (home / "log").read_text()[-3000:]
    )
    events = {event["event_id"]: event for event in found}
    assert len(ids) == len(events)
    check(ids, events)
