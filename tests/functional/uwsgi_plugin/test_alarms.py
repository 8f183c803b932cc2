"""What an alarm of uWSGI says beside its text: which alarm, and which requests were in flight; grouped as before."""

import base64
import json
import threading
import zlib

import pytest

from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.event.summary import summarise
from support.receiver import text_of
from support.uwsgi import APP, ledger, ledger_at_rest
from support.waiting import wait_for

PLANTED = "plantedsecret"
SLEEPER = APP.replace("float(query)", "float(query.partition('&')[0])")
HOLDER = (
    APP
    + """
import threading
inner = application
def application(env, start):
    if env["PATH_INFO"] == "/hold":
        open(f"held-{time.monotonic_ns()}-{threading.get_ident()}", "w").close()
        while not os.path.exists("let-go"):
            time.sleep(0.05)
    return inner(env, start)
"""
)
ALARMS = "processes = 3\nalarm-freq = 0\nalarm = direct sentry:logger=t.direct{more}\n"
MODES = ["", "sentry-watch = true\n", "threads = 2\nenable-threads = true\n", "alarm-cheap = true\n"]


def grouped_by(event):
    """The group that the inbox makes of it, and all that Sentry groups a message by."""
    return summarise(read_event(event)).grouping, event.get("fingerprint"), event["logentry"], event.get("exception")


@pytest.mark.parametrize("mode", MODES, ids=["plain", "watch", "threads", "alarm-cheap"])
def test_an_alarm_names_itself_and_the_requests(serve, receiver, mode):
    """Beside its text an alarm has its name and the requests in flight, masked; whatever runs beside it, it has the
    message, the fingerprint (none) and the group that it has alone."""
    server = serve(ALARMS.format(more="") + mode, app=SLEEPER)
    server.get("/alarms?1")
    alone = wait_for(lambda: receiver.events, server.text)[0]
    threading.Thread(target=server.crash, args=(f"/sleep?3&token={PLANTED}",), daemon=True).start()
    threading.Timer(0.5, server.crash, ("/alarms?1",)).start()
    event = wait_for(lambda: len(receiver.events) > 1 and receiver.events[1], server.text)
    assert {"uwsgi.alarm": "direct"} == event["tags"]
    told = event["contexts"]["uwsgi"]
    running = {request["url"]: request for request in told["bystanders"]}
    held = next(request for url, request in running.items() if url.endswith("/sleep"))
    assert "GET" == held["method"] and 300 < held["age_ms"] < 60_000 and held["pid"] in server.pids()
    assert len(running) == told["requests_in_flight"] and "direct" == told["alarm"]
    count = "1 request" if len(running) == 1 else f"{len(running)} requests"
    assert f"uWSGI raised the alarm direct with {count} in flight" == told["sentence"]
    assert "burst 0" == text_of(event) == text_of(alone)
    assert grouped_by(alone) == grouped_by(event) and event.get("fingerprint") is None
    assert PLANTED not in json.dumps(receiver.events)


def test_an_old_server_gets_it_as_texts(serve, receiver):
    """Version 3 has no contexts: the same stands in its extra."""
    server = serve(ALARMS.format(more=",protocol=3"))
    threading.Thread(target=server.crash, args=("/sleep?3",), daemon=True).start()
    threading.Timer(0.5, server.crash, ("/alarms?1",)).start()
    wait_for(lambda: receiver.requests and server.waiting() == 0, server.text)
    event = json.loads(zlib.decompress(base64.b64decode(receiver.requests[0][2])))
    assert "uWSGI raised the alarm direct with " in event["extra"]["sentence"]
    assert "GET /sleep for " in event["extra"]["other_requests"] and "burst 0" == event["message"]


@pytest.mark.parametrize("dsn", ["udp", "http"])
def test_many_requests_lose_no_alarm(serve, receiver, dsn):
    """Forty requests with long URLs leave an alarm small enough for each kind of server."""
    more = "" if dsn == "http" else f",dsn=udp://key:secret@127.0.0.1:{receiver.port}/1"
    server = serve(ALARMS.format(more=more) + "threads = 16\nbuffer-size = 16384\n", app=HOLDER)
    url = "/hold?" + '"' * 4000  # each takes two bytes in JSON
    for _ in range(40):
        threading.Thread(target=server.crash, args=(url,), daemon=True).start()
    wait_for(lambda: len(list(server.tmp_path.glob("held-*"))) >= 40, "forty requests to run")
    server.crash("/alarms?1")
    if dsn == "http":
        event = wait_for(lambda: receiver.events, server.text)[0]
        assert 10 < len(event["contexts"]["uwsgi"]["bystanders"]) <= 32
        assert len(json.dumps(event)) < 48_000
    wait_for(lambda: ledger(server.spool).get("captured") == 1 and server.waiting() == 0, server.text)
    (server.tmp_path / "let-go").touch()
    assert 0 == ledger_at_rest(server)["discarded.internal_sdk_error"] and "is lost" not in server.text()
