"""The defects of uwsgi-sentry, one test each, named after it: here they do not happen."""

import base64
import http.client
import json
import os
import signal
import time
import zlib

import pytest

from support.receiver import Receiver, text_of
from support.uwsgi import find_uwsgi, ledger, ledger_at_rest
from support.waiting import wait_for

UWSGI = find_uwsgi()
pytestmark = pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")
LOGS = "log-master = true\nlog-master-bufsize = 16384\nalarm-msg-size = 16384\n"


def put_route(options, condition="equal:${REQUEST_METHOD};PUT"):
    return f"route-if = {condition} sentry:{options}"


def one_event(receiver, server):
    wait_for(lambda: receiver.events, lambda: f"an event\n{server.text()}")
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    assert len(receiver.events) == 1
    return receiver.events[0]


@pytest.mark.parametrize("options, release", [("server_name=web7", None), ("server_name=web7,release=r9", "r9")])
def test_defect_01_server_name_sends_release_and_kills(serve, receiver, options, release):
    """server_name is the server's name, with or without a release, and kills nobody."""
    server = serve(put_route(options + ",message=m"))
    pid = server.get("/pid")[1]
    server.get("/", "PUT")
    event = one_event(receiver, server)
    assert event["server_name"] == "web7" and event.get("release") == release
    assert server.get("/pid")[1] == pid


def test_defect_02_route_injection(serve, receiver):
    """What a request brings in stays a value: it makes no option, no tag, and no other variable."""
    server = serve(
        "env = TOPSECRET=topsecret\n"
        + r"route = ^/help/(.*) sentry:message=help ${REQUEST_URI} $1,tags=q:${QUERY_STRING},culprit=$1"
    )
    path = "/help/x,dsn=http://evil@127.0.0.1:1/9,level=fatal,$%7BHTTP_COOKIE%7D?a;b:c,tags=evil:yes"
    server.get(path, headers={"Cookie": "sid=cookievalue"})
    event = one_event(receiver, server)
    assert event["level"] == "error"
    assert list(event["tags"]) == ["q"] and event["tags"]["q"] == "a;b:c,tags=evil:yes"
    assert text_of(event).startswith("help " + path.replace("evil@", "[Filtered]@"))
    assert "${HTTP_COOKIE}" in event["culprit"]
    assert "cookievalue" not in json.dumps(event)


@pytest.mark.parametrize("key", ["dsn=http://${HTTP_HOST}@h/1", "timeout=${HTTP_X}", "no_verify=${HTTP_X}"])
def test_defect_02_dsn_takes_no_request_variable(serve, receiver, key):
    """A dsn, timeout or no_verify made of request variables turns its handler off; the server runs."""
    server = serve(put_route(key + ",message=m"))
    assert server.get("/", "PUT")[0] == 200
    name = key.partition("=")[0]
    assert f"[sentry] route: {name}: must not take request variables; this handler is off" in server.text()
    assert server.waiting() == 0


def test_defect_03_tags_and_extra_are_escaped(serve, receiver):
    """Quotes and backslashes arrive as they are; a tag without a colon does not drop the event."""
    server = serve(put_route(r'message=m,tags=a:"b" \x;flag,extra=k:v "w";url:http\://x/y'))
    server.get("/", "PUT")
    event = one_event(receiver, server)
    assert event["tags"] == {"a": '"b" \\x', "flag": "true"}
    assert event["extra"] == {"k": 'v "w"', "url": "http://x/y"}


def test_defect_04_control_characters_and_bad_utf8(serve, receiver):
    """Every byte becomes valid JSON: controls escaped, broken UTF-8 replaced."""
    server = serve(put_route("message=m ${HTTP_X_RAW}"))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("PUT", "/")
    connection.putheader("X-Raw", b"a\x01b\xff\xc3\xa9")
    connection.endheaders()
    connection.getresponse().read()
    connection.close()
    assert text_of(one_event(receiver, server)) == "m a\x01b\ufffdé"


def test_defect_05_dsn_without_secret(serve, receiver):
    """A DSN without a secret works in every handler: hook-asap, alarm, route, exception handler."""
    dsn = receiver.dsn.replace(":secretkey", "")
    server = serve(
        f"hook-asap = sentry:dsn={dsn},message=asap\nalarm = direct sentry:dsn={dsn}\n"
        f"exception-handler = sentry:dsn={dsn}\n" + put_route(f"dsn={dsn},message=route"),
        dsn=None,
    )
    server.get("/", "PUT")
    server.get("/alarms?1")
    server.get("/boom")
    wait_for(lambda: len(receiver.events) == 4, lambda: f"four events\n{server.text()}")
    assert all("sentry_secret" not in headers["x-sentry-auth"] for _, headers, _ in receiver.requests)


def test_defect_06_exception_text_does_not_leak_into_the_next(serve, receiver):
    """Each exception has its own text, and one of 70,000 characters keeps the first 8,189."""
    server = serve("exception-handler = sentry:\nprocesses = 1")
    server.get("/boom?first")
    server.get("/big?70000")
    server.get("/boom?second")
    wait_for(lambda: len(receiver.events) == 3, lambda: f"three events\n{server.text()}")
    values = [e["exception"]["values"][0]["value"] for e in sorted(receiver.events, key=lambda e: e["timestamp"])]
    assert [len(value) for value in values] == [10, 8192, 11]
    assert values == ["boom first", "x" * 8189 + "...", "boom second"]


@pytest.mark.full
def test_defect_07_no_memory_is_leaked(serve, receiver):
    """After a warm-up, 2,000 more events leave the master's and the sender's memory where it was."""
    server = serve("alarm = direct sentry:\nprocesses = 1\nalarm-freq = 0")

    def rss(pid):
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def raise_alarms():
        wanted = ledger(server.spool)["delivered"] + 500  # uWSGI's own queue may refuse some on a busy machine
        server.get("/alarms?1000,2000")
        wait_for(lambda: ledger(server.spool)["delivered"] >= wanted and server.waiting() == 0, "500 alarms", 60)

    raise_alarms()
    pids = [server.process.pid, server.sender_pid()]
    warm = [rss(pid) for pid in pids]
    fds = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
    raise_alarms()
    raise_alarms()
    grown = [rss(pid) - was for pid, was in zip(pids, warm, strict=True)]
    assert all(g < 1_000_000 for g in grown), grown
    now = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]
    assert all(abs(a - b) <= 2 for a, b in zip(fds, now, strict=True)), (fds, now)


@pytest.mark.parametrize("written", ['message="a, b"', r"message=a\, b"])
def test_defect_08_message_is_cut_at_the_comma(serve, receiver, written):
    """Both ways to write a comma keep it."""
    server = serve(put_route(written))
    server.get("/", "PUT")
    assert text_of(one_event(receiver, server)) == "a, b"


def test_defect_08_alarm_keeps_newline_and_timestamp_has_no_z(serve, receiver):
    """A log line arrives without its newline; the time says that it is UTC."""
    server = serve(LOGS + "alarm = seen sentry:\nlog-alarm = seen ^alarm-line")
    server.get("/log?1,x")
    event = one_event(receiver, server)
    assert text_of(event) == "alarm-line x 0"
    assert event["timestamp"].endswith("Z")


def test_defect_09_nothing_blocks(serve, receiver):
    """With a server that hangs: hooks do not hold the start, a route not its request, a stop not the master."""
    receiver.delay_s = 100
    began = time.monotonic()
    server = serve(
        LOGS
        + "hook-asap = sentry:message=one\nhook-accepting1-once = sentry:message=two\nalarm = seen sentry:\n"
        + "log-alarm = seen ^alarm-line\n" + put_route("message=m")
    )  # fmt: skip
    server.get("/", "PUT")
    server.get("/log?5,x")
    wait_for(lambda: server.waiting() == 8, "eight events in the spool")
    server.stop()
    assert server.process.returncode == 0
    assert time.monotonic() - began < 60  # one request to that server would take 100


def test_defect_09_exceptions_survive_a_stop(serve, receiver):
    """100 exceptions, then a stop at once: none is lost; the next start delivers what was left."""
    receiver.delay_s = 0.2
    server = serve("exception-handler = sentry:")
    for i in range(100):
        server.get(f"/boom?{i}")
    wait_for(lambda: ledger(server.spool)["captured"] == 100, "100 captured")
    server.stop()
    receiver.delay_s = 0
    server = serve("exception-handler = sentry:")
    wait_for(lambda: server.waiting() == 0, "an empty spool", 60)
    values = {e["exception"]["values"][0]["value"] for e in receiver.events}
    assert values == {f"boom {i}" for i in range(100)}


def test_defect_10_server_down_loses_nothing(serve, receiver):
    """Alarms while the server is down wait; their text is not dumped into the log; SIGKILL of all loses none."""
    receiver.status = 503
    server = serve("alarm = direct sentry:\nprocesses = 1\nno-orphans = true\nalarm-freq = 0")
    server.get("/alarms?300,1500")
    wait_for(lambda: server.waiting() >= 300, f"300 in the spool, {server.waiting()} there")
    assert "burst 7" not in server.text()
    os.kill(server.process.pid, signal.SIGKILL)
    wait_for(lambda: server.pids() == [], "all processes to end")
    receiver.status = 200
    server = serve("processes = 1")
    wait_for(lambda: server.waiting() == 0, lambda: f"delivery\n{server.text()}", 60)
    assert sorted(receiver.texts()) == sorted(f"burst {i}" for i in range(300))
    counts = ledger_at_rest(server)
    assert counts["captured"] == counts["delivered"] == 300


@pytest.mark.parametrize("meanwhile", ["nothing", "SIGHUP", "SIGINT", "SIGKILL of all"])
def test_defect_10_burst_with_a_slow_server(serve, receiver, meanwhile):
    """1,000 alarms at once and a server that takes 100 ms: each that uWSGI handed over arrives, whatever happens."""
    receiver.delay_s = 0.1
    lines = "alarm = direct sentry:\nprocesses = 1\nalarm-freq = 0"
    server = serve(lines)
    server.get("/alarms?1000")
    refused = server.text().count("uwsgi_alarm_trigger()/writev()")

    def captured():
        return ledger(server.spool)["captured"]

    if meanwhile == "SIGKILL of all":
        wait_for(lambda: captured() >= 100, "the first hundred")
        for pid in server.pids():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.pids() == [], "all processes to end")
        server = serve(lines)
    elif meanwhile == "SIGHUP":
        server.process.send_signal(signal.SIGHUP)
    elif meanwhile == "SIGINT":
        server.stop()  # the master waits for what uWSGI has accepted
        assert server.process.returncode == 0
        server = serve(lines)
    if meanwhile != "SIGKILL of all":
        wait_for(lambda: captured() + refused == 1000, lambda: f"uWSGI's queue to be empty: {captured()}, {refused}")
    receiver.delay_s = 0
    wait_for(lambda: server.waiting() == 0, lambda: f"delivery\n{server.text()}", 60)
    arrived = len(set(receiver.texts()))
    if meanwhile == "SIGKILL of all":
        # What was in uWSGI's socket went with it; one may have been counted and not yet written.
        assert 100 <= captured() <= arrived + 1
    else:
        assert (captured(), captured() + refused) == (arrived, 1000)


def test_defect_10_the_socket_for_alarms_has_room(serve, receiver):
    """uWSGI's own socket for alarms is made as large as the kernel allows this user: a burst of 400 fits."""
    server = serve("alarm = direct sentry:\nprocesses = 1\nalarm-freq = 0")
    os.kill(server.process.pid, signal.SIGSTOP)  # nobody reads
    try:
        server.get("/alarms?400")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    wait_for(lambda: ledger(server.spool)["captured"] == 400, lambda: f"400 alarms\n{server.text()}")


def test_defect_11_replies_are_understood(serve, receiver):
    """202 is success and not an error in the log; current Sentry gets version 7 at the envelope endpoint."""
    receiver.status = 202
    server = serve(put_route("message=m"))
    server.get("/", "PUT")
    one_event(receiver, server)
    path, headers, _ = receiver.requests[0]
    assert path == "/api/1/envelope/"
    assert headers["x-sentry-auth"].startswith("Sentry sentry_version=7, sentry_client=heka-raven/")
    assert headers["user-agent"].startswith("heka-raven/")
    assert "secretkey" not in repr(headers) + server.text()


def test_defect_11_429_pauses_and_survives_a_restart(serve, receiver):
    """A server that asks for quiet gets it, also from the next start."""
    receiver.status, receiver.reply_headers = 429, {"Retry-After": "3600"}
    server = serve("processes = 1\n" + put_route("message=m"))
    server.get("/", "PUT")
    limits = server.spool / "state" / "limits.json"
    wait_for(limits.exists, "the pause to be written down")
    server.stop()
    receiver.status, receiver.reply_headers = 200, {}
    server = serve("processes = 1\n" + put_route("message=m"))
    server.sender_pid()
    server.get("/", "PUT")
    time.sleep(0.5)  # five looks of the sender
    assert receiver.requests == [] and server.waiting() == 2


def test_defect_11_308_is_followed(serve, receiver):
    """A permanent redirect on the same host is followed, with the body."""
    first = Receiver()
    first.status = 308
    first.reply_headers = {"Location": f"http://127.0.0.1:{receiver.port}/moved/api/1/envelope/"}
    try:
        server = serve(put_route("message=moved"), dsn=first.dsn)
        server.get("/", "PUT")
        assert text_of(one_event(receiver, server)) == "moved"
        assert receiver.requests[0][0] == "/moved/api/1/envelope/"
    finally:
        first.close()


def test_defect_11_old_servers(serve, receiver):
    """Sentry 5 gets version 3 at the store endpoint, Sentry 9 version 7 there, both with the secret."""
    server = serve(put_route("message=old,protocol=3,logger=a") + "\n" + put_route("message=store,api=store,logger=b"))
    server.get("/", "PUT")
    wait_for(lambda: len(receiver.requests) == 2, lambda: f"both\n{server.text()}")
    seen = {request[1]["x-sentry-auth"].partition(",")[0]: request for request in receiver.requests}
    path, headers, body = seen["Sentry sentry_version=3"]
    event = json.loads(zlib.decompress(base64.b64decode(body)))
    assert path == "/api/1/store/" and "sentry_secret=secretkey" in headers["x-sentry-auth"]
    assert event["message"] == "old" and event["level"] == 40 and event["project"] == "1"
    path, _, body = seen["Sentry sentry_version=7"]
    assert path == "/api/1/store/" and text_of(json.loads(body)) == "store"


def test_defect_12_documented_routes_work(serve, receiver):
    """The route of its README, corrected: it names the alarm that exists; so does the direct one."""
    server = serve(
        "alarm = noputplease sentry:logger=uwsgi.sentry\n"
        "route-if = equal:${REQUEST_METHOD};PUT alarm:noputplease PUT IS NOT ALLOWED !!!\n"
        "route = ^/help sentry:logger=uwsgi.sentry,message=help asked"
    )
    server.get("/", "PUT")
    server.get("/help")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"both\n{server.text()}")
    assert sorted(receiver.texts()) == ["PUT IS NOT ALLOWED !!!", "help asked"]
