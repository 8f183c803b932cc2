"""The watch as operators meet it: graceful harakiri, wanted reloads, ages, groups, and what it says at start."""

import os
import re
import signal
import time
from datetime import datetime

import pytest

from support.paths import ROOT
from support.silent_mount import silent_mount
from support.users import ROOT_ONLY
from support.waiting import still, wait_for
from support.watch import APP, EVERY_UWSGI, PREFORK, WATCH, frames, functions, in_background, kinds, one_event, suspect

pytestmark = pytest.mark.timeout(180)
full = pytest.mark.full
PATIENT = (
    APP
    + """
import signal
class Late(Exception): pass
def late(*_): raise Late
signal.signal(signal.SIGALRM, late)
"""
)


def started_at(event):
    """When the suspect's request began, by the event's own figures."""
    at = datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()
    return at - suspect(event)["age_ms"] / 1000


def test_who_outlives_a_graceful_harakiri_is_watched_on(serve, receiver):
    """A worker that answers a graceful harakiri with an error lives on: its next harakiri and its crash are told."""
    graceful = f"harakiri = 2\nharakiri-graceful-timeout = 20\nharakiri-graceful-signal = {int(signal.SIGALRM)}\n"
    crash = "alarm = crash sentry:logger=t.crash\nalarm-segfault = crash\n"
    server = serve(f"sentry-watch = true\nprocesses = 1\n{graceful}{crash}", app=PATIENT)
    pid = server.get("/")[1]
    server.crash("/sleep")
    wait_for(lambda: ["harakiri"] == kinds(receiver), server.text)
    assert pid == server.get("/")[1]
    time.sleep(3.5)  # longer than a harakiri and a look: what the grace was for is over
    server.crash("/segfault?0")
    wait_for(lambda: ["harakiri", "segfault"] == kinds(receiver), server.text)
    assert ["GET /sleep", "GET /segfault"] == [e["transaction"] for e in receiver.events]
    wait_for(lambda: pid != server.get("/")[1], "another worker")
    server.crash("/sleep")
    wait_for(lambda: 3 == len(receiver.events), server.text)
    time.sleep(3.5)  # longer than a harakiri and a look: what the grace was for is over
    server.crash("/sleep")  # of a worker that had its grace: uWSGI kills it at once
    wait_for(lambda: ["harakiri"] * 2 == kinds(receiver)[2:], server.text)
    assert 4 == len(still(lambda: receiver.events, 1.5))


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_reload_on_exception_is_no_storm(serve, receiver, uwsgi):
    """Workers that uWSGI ends after an exception, because it was told to, are no news, however many there are."""
    app = (
        APP
        + """
inner = application
def application(env, start):
    if env["PATH_INFO"] == "/boom":
        raise ValueError("boom")
    return inner(env, start)
"""
    )
    server = serve(
        f"sentry-watch = true\nreload-on-exception = true\nforkbomb-delay = 0\n{PREFORK}", uwsgi=uwsgi, app=app
    )
    for _ in range(8):
        server.crash("/boom")
    wait_for(
        lambda: server.text().count("chain reloading") or server.text().count("Respawned uWSGI worker") >= 8,
        server.text,
    )
    server.crash("/segfault")
    wait_for(lambda: receiver.events, server.text)
    assert ["segfault"] == still(lambda: kinds(receiver), 1.5)


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
def test_ages_are_those_of_one_moment(serve, receiver, uwsgi):
    """slow and harakiri of one request agree when it began; the ages of one event are of one moment, its own."""
    server = serve(f"sentry-watch = true\nsentry-watch-slow = 500ms\nharakiri = 4\n{PREFORK}", uwsgi=uwsgi)
    in_background(server, "/sleep")
    wait_for((server.tmp_path / "sleep.pid").exists, "a busy worker")
    in_background(server, "/hold?30")  # uWSGI counts whole seconds: who began first may be killed a second before
    mine = lambda: [e for e in receiver.events if e["transaction"] == "GET /sleep"]  # noqa: E731
    wait_for(lambda: len(mine()) == 2, server.text)
    slow, harakiri = mine()
    assert ["slow", "harakiri"] == [event["tags"]["uwsgi.event"] for event in (slow, harakiri)]
    assert abs(started_at(slow) - started_at(harakiri)) < 0.01
    (beside,) = harakiri["contexts"]["uwsgi"]["bystanders"]
    assert abs(beside["age_ms"] - suspect(harakiri)["age_ms"]) < 400  # they began one after the other


def test_killed_at_once_is_young(serve, receiver):
    """A request whose worker is killed as soon as it began is told with half the second until the master looked."""
    server = serve("sentry-watch = true\nprocesses = 1\n")
    in_background(server, "/victim?30")
    pid_file = server.tmp_path / "victim.pid"
    os.kill(int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), "a busy worker")), signal.SIGKILL)
    event = wait_for(lambda: receiver.events and receiver.events[0], server.text)
    assert "killed" == event["tags"]["uwsgi.event"] and suspect(event)["age_ms"] < 700


def test_crashes_at_numbered_paths_are_one_issue(serve, receiver):
    """Where nobody knows the route, numbers, UUIDs and hashes of a path are neither in the name nor in the group."""
    app = (
        APP
        + """
inner = application
def application(env, start):
    if env["PATH_INFO"].startswith("/pdf/"):
        crash()
    return inner(env, start)
"""
    )
    server = serve(f"sentry-watch = true\nforkbomb-delay = 0\n{PREFORK}", app=app)
    for number in range(16, 19):
        server.crash(f"/pdf/{number}?n={number}")
    wait_for(lambda: len(receiver.events) == 3, server.text)
    assert {("GET /pdf/<number>", "segfault,GET /pdf/<number>,crash in app.py")} == {
        (event["transaction"], ",".join(event["fingerprint"][:3])) for event in receiver.events
    }
    assert {"16", "17", "18"} == {suspect(event)["url"].rpartition("/")[2] for event in receiver.events}


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize(
    "lines, said",
    [
        (
            "sentry-watch = harakiri slow\nsentry-watch-slow = 1m",
            r"watching harakiri, slow over 60 s; spool \S+; sender pid \d+",
        ),
        ("sentry-watch = harakiri slow", r"watching harakiri; spool"),
        (
            "sentry-no-sender = true",
            r"watching nothing \(sentry-watch = true\); spool \S+; no sender ",
        ),
        ("sentry-watch = slow\nsentry-watch-slow = abc", r"sentry-watch-slow: 'abc' is not a time of at most a day"),
    ],
)
def test_start_says_what_it_will_do(serve, uwsgi, lines, said):
    """One line at start: what is watched, where events wait, who sends; a time that is none is an error, not off."""
    server = serve(lines, uwsgi=uwsgi)
    wait_for(lambda: re.search(r"\[sentry\] " + said, server.text()), server.text)
    wait_for(lambda: "[sentry] watching " in server.text(), server.text)
    assert 1 == server.text().count("[sentry] watching ")


MOUNTED = """
import os, sys, time
sys.path.insert(0, {root!r})
from heka_raven.middleware import RavenMiddleware

def stuck_in_{name}():
    time.sleep(30)

def inner(env, start):
    if env["PATH_INFO"].endswith("stuck"):
        stuck_in_{name}()
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]

application = RavenMiddleware(inner, dsn={dsn!r}, catchall=True)
"""


def test_stacks_of_two_applications(serve, receiver, tmp_path):
    """Two mounted applications in interpreters of their own: each one's harakiri has its own stack."""
    lines = f"{WATCH}harakiri = 3\nprocesses = 1\nmanage-script-name = true\n"
    for name in ("one", "two"):
        text = MOUNTED.replace("{root!r}", repr(str(ROOT))).replace("{name}", name)
        (tmp_path / f"{name}.py").write_text(text.replace("{dsn!r}", repr(receiver.dsn)))
        lines += f"mount = /{name}={tmp_path}/{name}.py\n"
    server = serve(lines)
    for count, name in enumerate(("one", "two", "one"), start=1):
        wait_for(lambda n=name: server.get(f"/{n}/")[0] == 200, server.text)
        time.sleep(0.5)  # one that ends takes the one timer of its worker with it
        server.crash(f"/{name}/stuck")
        wait_for(lambda n=count: len(receiver.events) == n, server.text)
        assert f"stuck_in_{name}" == functions(receiver.events[-1])[-1]


ON_A_SERVER = """
import os, sys, time
sys.path[:0] = [{root!r}, os.path.abspath("mounted")]
from heka_raven import uwsgi_bridge
import shop
uwsgi_bridge.show_stacks()

def application(env, start):
    if env["PATH_INFO"] == "/hang":
        shop.hang()
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]
"""


@ROOT_ONLY
def test_a_file_server_that_has_died(serve, receiver, tmp_path):
    """What lies on a network's file system (or FUSE's) is not read by the master, which would wait for it for ever: the
    event has its frames, and those of other files their source."""
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "shop.py").write_text("import time\n\ndef hang():\n    time.sleep(60)\n")
    server = serve(f"{WATCH}harakiri = 3\n{PREFORK}", app=ON_A_SERVER)
    with silent_mount(tmp_path / "mounted"):
        in_background(server, "/hang")
        event = one_event(receiver, server, "harakiri")
        assert ["application", "hang"] == functions(event)
        shown = frames(event, native=False)
        assert "shop.hang()" in shown[0]["context_line"] and "context_line" not in shown[1]
        wait_for(lambda: server.text().count("Respawned uWSGI worker") == 1, server.text)
        assert 200 == server.get("/")[0]
