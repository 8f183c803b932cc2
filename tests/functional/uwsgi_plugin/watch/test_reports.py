"""What an event of the watch says: what the middleware knows, one id everywhere, in the shape that Sentry takes."""

import base64
import json
import threading
import time
import zlib

import jsonschema
import pytest

from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.event.summary import summarise
from support.paths import DATA
from support.waiting import wait_for
from support.watch import (
    PREFORK,
    THREADS,
    WATCH,
    functions,
    get_until_told,
    hold_three,
    kinds,
    one_event,
    suspect,
)

SCHEMA = DATA / "sentry_event.schema.json"


WITH_MIDDLEWARE = """
import sys
sys.path.insert(0, {root!r})
from heka.holder import get_client
from heka_raven.middleware import RavenMiddleware
import ctypes, os, time

client = get_client("t", {
    "stream_class": "heka_raven.streams.SpoolStream",
    "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": os.environ["TEST_DSN"]})},
})

class Route:
    rule = "/things/<id>"

def inner(env, start):
    path = env["PATH_INFO"]
    if path.startswith("/things"):
        env["bottle.route"] = Route()
        env["heka_raven.user"] = {"id": "7", "email": "v@example.org", "password": "hunter2"}
        time.sleep(30)
    if path == "/report-and-crash":
        try:
            raise ValueError("reported")
        except ValueError:
            client.raven("")
    if path.endswith("crash"):
        ctypes.string_at(0)
    if path == "/boom":
        raise ValueError("boom")
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]

wrapped = RavenMiddleware(inner, client, catchall=True)

def application(env, start):
    if env["PATH_INFO"] == "/crash":  # as an authentication around it does
        env["heka_raven.user"] = "outer"
    try:
        return wrapped(env, start)
    finally:
        with open("event.id", "w") as f:
            f.write(env.get("heka_raven.event_id", ""))
"""


TRACE = {"sentry-trace": "a" * 32 + "-" + "b" * 16 + "-1"}


@pytest.mark.parametrize("why", ["harakiri", "slow"])
def test_what_the_middleware_knows_is_asked(serve, receiver, why):
    """Route, user and trace of a request that is stuck in Python, also those set while it ran."""
    limit = "harakiri = 2" if why == "harakiri" else "sentry-watch-slow = 1"
    server = serve(f"{WATCH}{limit}\n{PREFORK}", app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    threading.Thread(target=server.get, args=("/things/5",), kwargs={"headers": TRACE}, daemon=True).start()
    event = one_event(receiver, server, why)
    assert "GET /things/<id>" == event["transaction"] == suspect(event)["transaction"] == event["culprit"]
    assert {"id": "7", "email": "[Filtered]", "ip_address": "127.0.0.1"} == event["user"]
    assert ("a" * 32, "b" * 16) == (
        event["contexts"]["trace"]["trace_id"],
        event["contexts"]["trace"]["parent_span_id"],
    )
    assert [why, "GET /things/<id>", "inner in app.py"] == event["fingerprint"] and "hunter2" not in str(event)


def test_what_the_middleware_knew_outlives_a_crash(serve, receiver):
    """User and trace that were known when the request began are in the event of its crash."""
    server = serve("sentry-watch = true\n" + PREFORK, app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    threading.Thread(target=server.get, args=("/crash",), kwargs={"headers": TRACE}, daemon=True).start()
    event = one_event(receiver, server, "segfault")
    assert {"id": "outer", "ip_address": "127.0.0.1"} == event["user"] and "a" * 32 == event["contexts"]["trace"][
        "trace_id"
    ]
    assert "string_at" == functions(event)[-1]
    assert ["segfault", "GET /crash", "inner in app.py"] == event["fingerprint"][:3]


def test_one_event_id_everywhere(serve, receiver):
    """Environ, uWSGI's log variable, error page and event have the same id; the exception handler repeats nothing."""
    server = serve(
        "sentry-watch = true\nexception-handler = sentry:\nlog-format = id=%(sentry_event_id) %(uri)\n" + THREADS,
        app=WITH_MIDDLEWARE,
        env={"TEST_DSN": receiver.dsn},
    )
    status, page = server.get("/boom", headers={"Accept": "application/json"})
    (event,) = wait_for(lambda: receiver.events, "the event")
    assert (500, event["event_id"]) == (status, json.loads(page)["event_id"])
    assert event["event_id"] == (server.tmp_path / "event.id").read_text()
    wait_for(lambda: f"id={event['event_id']} /boom" in server.text(), "the log line")
    assert 200 == server.get("/other")[0]
    wait_for(lambda: "id=- /other" in server.text(), "the next request's log line")
    assert 1 == len(receiver.events)


def test_a_crash_names_what_the_application_reported_before(serve, receiver):
    """The suspect has the id of the event that was reported in the same request: the inbox links the two."""
    server = serve("sentry-watch = true\n" + PREFORK, app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    server.crash("/report-and-crash")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"two events\n{server.text()}")
    reported, crashed = sorted(receiver.events, key=lambda event: event["timestamp"])
    assert "segfault" == crashed["tags"]["uwsgi.event"] and reported["event_id"] == suspect(crashed)["event_id"]
    assert f"event:{reported['event_id']}" in summarise(read_event(crashed)).links


def test_events_are_what_sentry_takes(serve, receiver):
    """An event with all it can hold passes the JSON schema of Sentry's events."""
    server = serve(f"sentry-watch = true\nharakiri = 2\n{PREFORK}", app=WITH_MIDDLEWARE, env={"TEST_DSN": receiver.dsn})
    threading.Thread(target=server.get, args=("/things/5",), kwargs={"headers": TRACE}, daemon=True).start()
    jsonschema.validate(one_event(receiver, server, "harakiri"), json.loads(SCHEMA.read_text()))


def test_protocol_3(serve, receiver):
    """sentry-watch-options = protocol=3: the request and its figures as an old Sentry takes them."""
    server = serve("sentry-watch = exit\nsentry-watch-options = protocol=3,api=store\n" + PREFORK)
    hold_three(server, 10)
    server.crash("/exit?7,0")
    (_, _, body) = wait_for(lambda: receiver.requests, "the event")[0]
    event = json.loads(zlib.decompress(base64.b64decode(body)))
    assert event["sentry.interfaces.Http"]["url"].endswith("/exit") and "7" == event["extra"]["exit_status"]
    assert 3 == event["extra"]["other_requests"].count("GET /hold for ")
    assert "leave" == event["sentry.interfaces.Stacktrace"]["frames"][-1]["function"]


NO_BRIDGE = """
import ctypes, os, time
from heka_raven import uwsgi_bridge
def application(env, start):
    if env["PATH_INFO"] == "/segfault":
        ctypes.string_at(0)
    while env["PATH_INFO"] == "/slow" and not os.access("let-go", os.F_OK):
        time.sleep(0.05)
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"slept well"]
"""


@pytest.mark.parametrize("importing", ["", "import = heka_raven.uwsgi_bridge\n"])
def test_without_the_middleware(serve, receiver, importing):
    """The bridge imported and not asked: never a signal, so the worker lives, and events without a Python stack; the
    ini line import brings it."""
    lines = "sentry-watch = true\nsentry-watch-slow = 1\n" + importing
    server = serve(lines + PREFORK, app=NO_BRIDGE, home=True)
    assert (200, "slept well") == get_until_told(receiver, server, "/slow")
    server.crash("/segfault")
    wait_for(lambda: len(receiver.events) == 2 and server.waiting() == 0, lambda: f"two events\n{server.text()}")
    assert ["segfault", "slow"] == sorted(kinds(receiver))
    for event in receiver.events:
        assert bool(importing) == bool(functions(event))
        assert "GET /" + event["tags"]["uwsgi.event"] == event["transaction"]


def test_the_application_s_own_faulthandler_is_left_alone(serve, receiver):
    """faulthandler.enable() of the application writes where it did; the event has the stack too."""
    server = serve("sentry-watch = true\n" + PREFORK, env={"PYTHONFAULTHANDLER": "1"})
    server.crash("/segfault")
    assert "crash" in functions(one_event(receiver, server, "segfault"))
    assert "Fatal Python error: Segmentation fault" in server.text()


def test_children_of_the_application_are_not_the_worker(serve, receiver):
    """A child that the application forked may crash and leave as it likes: the worker lives, and nothing is told."""
    server = serve("sentry-watch = true\n" + PREFORK)
    assert (200, "both are dead") == server.get("/children")
    time.sleep(1.5)  # a look or two
    assert [] == receiver.texts() and 0 == server.waiting()


def test_a_list_watches_only_what_it_names(serve, receiver):
    """sentry-watch = exit: a segfault is not told."""
    server = serve("sentry-watch = exit\n" + PREFORK)
    server.crash("/segfault")
    server.crash("/exit?7,0")
    assert "GET /exit" == one_event(receiver, server, "exit")["transaction"]
