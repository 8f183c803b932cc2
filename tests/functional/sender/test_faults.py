"""Real processes against a real server that misbehaves: nothing is lost, everything is accounted for."""

import json
import os
import shutil
import signal
import socket
import time

import pytest

from support.delivery import (
    STREAM,
    app,
    assert_exact,
    assert_once,
    command,
    end,
    fill,
    in_words,
    run_app,
    run_command,
    send_once,
    wait_until_delivered,
    waiting,
)
from support.paths import DATA
from support.ports import free_port
from support.sentry_server import Reply, Server, script
from support.waiting import wait_for


def test_refused_then_up(spool):
    """Nobody listens, then somebody does: everything arrives, once."""
    port = free_port()
    dsn = f"http://public@127.0.0.1:{port}/1"
    process = app(spool, dsn, STREAM + "capture(stream, 10)\ntime.sleep(30)")
    try:
        wait_for(lambda: len(os.listdir(spool / "new")) == 10 if (spool / "new").exists() else False)
        time.sleep(0.5)  # some tries are refused, which nothing tells
        with Server(port=port) as server:
            wait_until_delivered(spool, 10)
            ids = set(server.event_ids)
            assert 10 == len(ids) == len(server.event_ids)
    finally:
        end(process, signal.SIGKILL)
    assert_exact(spool, captured=10, delivered=10)


def test_hanging_server(spool):
    """A server that takes the request and never answers: the event is kept, and sent again under the same id."""
    with Server(script(Reply(hang=True))) as server:
        (event_id,) = fill(spool, server.dsn, 1)
        code, _, err = send_once(spool, "--timeout", "1.5")
        assert 3 == code and "no answer in time" in err
        assert_exact(spool, delivered=0)
        assert 0 == send_once(spool)[0]
        assert [event_id, event_id] == server.event_ids
        assert_exact(spool, captured=1, delivered=1)


def test_trickling_server(spool):
    """A server that sends a byte now and then is cut off at the whole request's timeout."""
    with Server(lambda request: Reply(trickle_s=1.0)) as server:
        fill(spool, server.dsn, 1)
        began = time.monotonic()
        assert 3 == send_once(spool, "--timeout", "0.8")[0]
        assert time.monotonic() - began < 20
        assert_exact(spool, captured=1, delivered=0)


def test_half_a_body_is_an_answer(spool):
    """A 200 whose body is cut was still a 200: nothing is sent twice."""
    with Server(lambda request: Reply(body=b"x" * 1000, cut=200)) as server:
        ids = fill(spool, server.dsn, 3)
        assert 0 == send_once(spool)[0]
        assert_once(ids, server)
        assert_exact(spool, captured=3, delivered=3)


def test_a_kept_connection_that_the_server_closed(spool):
    """Keep-alive connections that died meanwhile are replaced without a loss, a duplicate or a backoff."""
    with Server(lambda request: Reply(headers={"Connection": "close"})) as server:
        ids = fill(spool, server.dsn, 20)
        result = send_once(spool, "--connections", "2")
        assert 0 == result[0], in_words(result)
        assert_once(ids, server)
        assert_exact(spool, captured=20, delivered=20)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({}, 60), ({"Retry-After": "30"}, 30), ({"X-Sentry-Rate-Limits": "45:error:key"}, 45)],
)
def test_429(spool, headers, seconds):
    """The server asks for quiet: events wait, and a restarted sender keeps the quiet."""
    with Server(lambda request: Reply(429, headers)) as server:
        fill(spool, server.dsn, 5)
        assert 3 == send_once(spool, "--connections", "1")[0]
        assert 1 == len(server.events)
        _, out, _ = run_command("status", "--spool", spool, "--json")
        (limit,) = json.loads(out)["limits"]
        assert seconds - 15 < limit["seconds_left"] <= seconds
        assert "secret" not in out
        assert 3 == send_once(spool)[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=5, delivered=0)


def test_429_then_quiet_is_over(spool):
    """After the quiet everything goes, each once as far as it was not refused."""
    with Server(script(Reply(429, {"Retry-After": "1"}))) as server:
        ids = fill(spool, server.dsn, 4)
        sender = command("send", "--spool", spool, "--connections", "1")
        try:
            wait_for(lambda: not waiting(spool))
        finally:
            end(sender)
        assert set(ids) == set(server.event_ids)
        assert 5 == len(server.event_ids)
        assert server.events[1].at - server.events[0].at >= 0.9
        assert_exact(spool, captured=4, delivered=4)


def test_429_with_discard(spool):
    """rate_limit = discard: what comes during the quiet is dropped, as ratelimit_backoff."""
    with Server(lambda request: Reply(429)) as server:
        fill(spool, server.dsn, 5)
        assert 0 == send_once(spool, "--rate-limit", "discard", "--connections", "1")[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=5, ratelimit_backoff=5)
        assert [] == os.listdir(spool / "dead")


def test_a_limit_in_a_success(spool):
    """X-Sentry-Rate-Limits on a 200 pauses what comes after it."""
    with Server(lambda request: Reply(200, {"X-Sentry-Rate-Limits": "60:error:organization"})) as server:
        fill(spool, server.dsn, 3)
        assert 3 == send_once(spool, "--connections", "1")[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=3, delivered=1)


@pytest.mark.parametrize("status", [307, 308])
def test_redirect(spool, status):
    """307 and 308 on the same host are followed with the same body; to another host they are refusals."""
    with Server(script(Reply(status, {"Location": "/moved/?x=1"}))) as server:
        (event_id,) = fill(spool, server.dsn, 1)
        assert 0 == send_once(spool)[0]
        assert [event_id, event_id] == server.event_ids
        assert ["/api/1/envelope/", "/moved/?x=1"] == [request.path for request in server.events]
        assert_exact(spool, captured=1, delivered=1)
    with Server(lambda request: Reply(status, {"Location": f"http://localhost:{server.port}/"})) as server:
        fill(spool, server.dsn, 1)
        assert 1 == send_once(spool)[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=2, delivered=1, send_error=1)


def test_redirect_loop(spool):
    """A server that redirects for ever gets four requests."""
    with Server(lambda request: Reply(308, {"Location": request.path})) as server:
        fill(spool, server.dsn, 1)
        assert 1 == send_once(spool)[0]
        assert 4 == len(server.events)
        assert_exact(spool, captured=1, send_error=1)


def test_tls(spool):
    """A certificate of an unknown authority or for another host: not one byte of the event goes out, and it waits."""
    ca = DATA / "tls" / "ca.pem"
    with Server(tls="server.pem") as server, Server(tls="wrong.pem") as wrong:
        fill(spool, server.dsn, 1)
        code, _, err = send_once(spool)
        assert 3 == code and "certificate verify failed" in err
        assert [] == server.requests
        assert 0 == send_once(spool, "--ca-file", ca)[0]
        assert 1 == len(server.events)
        fill(spool, wrong.dsn, 1)
        assert 3 == send_once(spool, "--ca-file", ca)[0]
        assert [] == wrong.requests
        assert_exact(spool, captured=2, delivered=1)


def test_tls_without_verification(spool):
    """no_verify of an event's own handler is for that event alone."""
    code = (
        "stream = SpoolStream(path=path, sender='off')\n"
        "for hk in ({'no_verify': True}, None):\n"
        "    stream.ledger.add('captured')\n"
        "    stream.write_event(uuid.uuid4().hex, dsn, b'{}', hk=hk)\n"
    )
    with Server(tls="server.pem") as server:
        run_app(spool, server.dsn, code)
        assert 3 == send_once(spool)[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=2, delivered=1)


@pytest.mark.parametrize("mine", ["certificates", "nothing"])
def test_two_apps_of_one_user_in_one_spool(spool, mine):
    """Each event says how its server is reached: whoever's thread delivers, with whatever options, all arrive."""
    ca = DATA / "tls" / "ca.pem"
    with Server() as plain, Server() as proxy, Server(tls="server.pem") as private:
        apps = [
            (private.dsn, {"ca_file": str(ca)}),
            (plain.dsn, {}),
            ("http://public@sentry.invalid/1", {"proxy": f"http://127.0.0.1:{proxy.port}"}),
        ]
        for dsn, options in apps:
            run_app(spool, dsn, f"capture(SpoolStream(path=path, sender='off', **{options!r}))")
        options = (
            {"ca_file": str(DATA / "tls" / "wrong.pem"), "proxy": "http://127.0.0.1:1"} if mine == "nothing" else {}
        )
        code = f"SpoolStream(path=path, exit_wait_s=20, **{options!r})._start_sender()\n"
        run_app(spool, plain.dsn, code + "while os.listdir(path + '/new'): time.sleep(0.05)")
        assert (1, 1, 1) == (len(plain.events), len(proxy.events), len(private.events))
        assert_exact(spool, captured=3, delivered=3)


def test_what_the_command_line_says_is_for_every_event(spool):
    """``send --proxy`` (and ``--ca-file``) wins over what the events' own apps had."""
    with Server() as proxy:
        code = "capture(SpoolStream(path=path, sender='off', proxy='http://127.0.0.1:1'))"
        run_app(spool, "http://public@sentry.invalid/1", code)
        assert 3 == send_once(spool)[0]
        assert 0 == send_once(spool, "--proxy", f"http://127.0.0.1:{proxy.port}")[0]
        assert 1 == len(proxy.events)


def test_an_app_is_told_of_certificates_later(spool):
    """Events from before the option was set: they wait, and go once a sender has it."""
    ca = str(DATA / "tls" / "ca.pem")
    with Server(tls="server.pem") as server:
        for _ in range(3):
            run_app(spool, server.dsn, "capture(SpoolStream(path=path, sender='off'))")
        code = f"SpoolStream(path=path, ca_file={ca!r})._start_sender()\n"
        run_app(spool, server.dsn, code + "while os.listdir(path + '/new'): time.sleep(0.05)")
        assert 3 == len(server.events)
        assert_exact(spool, captured=3, delivered=3)


def test_certificates_that_are_gone(spool, tmp_path):
    """An event whose certificates are no longer there waits, and the log names the file."""
    gone = tmp_path / "ca.pem"
    shutil.copy(DATA / "tls" / "ca.pem", gone)
    with Server(tls="server.pem") as server:
        run_app(spool, server.dsn, f"capture(SpoolStream(path=path, sender='off', ca_file={str(gone)!r}))")
        gone.unlink()
        code, _, err = send_once(spool)
        assert (3, True) == (code, f"the certificates in {gone} cannot be read" in err), err
        shutil.copy(DATA / "tls" / "ca.pem", gone)
        assert 0 == send_once(spool)[0]


def test_dns_failure(spool):
    """A name that does not exist: the events wait, and the log says why."""
    fill(spool, "http://a@does-not-exist.invalid/1", 2)
    code, _, err = send_once(spool)
    assert 3 == code and "cannot be resolved" in err
    assert_exact(spool, captured=2, delivered=0)


def test_network_trouble_for_a_day(spool):
    """What failed and is older than the maximum age is given up, as network_error; younger events stay."""
    fill(spool, f"http://a@127.0.0.1:{free_port()}/1", 2)
    old = waiting(spool)[0]
    os.rename(spool / "new" / old, spool / "new" / (f"{1_600_000_000_000_000_000:020d}" + old[20:]))
    assert 3 == send_once(spool)[0]
    assert_exact(spool, captured=2, network_error=1)
    assert [] == os.listdir(spool / "dead")


def test_a_damaged_file(spool):
    """A file that is no envelope blocks nothing: counted, a copy in dead/."""
    with Server() as server:
        ids = fill(spool, server.dsn, 3)
        names = waiting(spool)
        (spool / "new" / names[0]).write_bytes(b"")
        (spool / "new" / names[1]).write_bytes(b'{"event_id":"x","dsn":"nonsense"}\n{"type":"event","length":2}\n{}\n')
        assert 1 == send_once(spool)[0]
        assert [ids[2]] == server.event_ids
        assert_exact(spool, captured=3, delivered=1, internal_sdk_error=2)
        assert 2 == len(list((spool / "dead").glob("*.env")))


def test_one_dsn_down_does_not_hold_up_another(spool):
    """A hanging server beside a healthy one: the healthy one's events arrive at once."""
    with Server(lambda request: Reply(hang=True)) as hanging, Server() as healthy:
        fill(spool, hanging.dsn, 30)
        ids = fill(spool, healthy.dsn, 10)
        sender = command("send", "--spool", spool, "--timeout", "60")
        try:
            wait_until_delivered(spool, 10)
            assert 30 == len(waiting(spool))
        finally:
            end(sender, signal.SIGKILL)
        assert_once(ids, healthy)
    assert_exact(spool, captured=40, off_by=1)


def test_backoff_probes_once_a_second(spool):
    """While a server is down it gets one probe, not a request an event."""
    with Server(lambda request: Reply(503)) as server:
        fill(spool, server.dsn, 50)
        sender = command("send", "--spool", spool, "--connections", "4")
        wait_for(lambda: server.requests)
        time.sleep(2.0)  # how much it sends in a time is what is tested
        end(sender)
        passed_s = server.requests[-1].at - server.requests[0].at  # more than two seconds on a busy machine
        # The first round over all connections, then a probe after a second at least, 1.5 more, 3 more, ...
        probes = sum(passed_s >= seconds for seconds in (1, 2.5, 5.5, 11.5, 23.5))
        assert len(server.requests) <= 4 + probes
        assert_exact(spool, captured=50, delivered=0)


def test_a_listener_that_never_accepts(spool):
    """The connect timeout, not the request's, decides where nobody takes the connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        blockers = [socket.socket() for _ in range(3)]
        for blocker in blockers:
            blocker.setblocking(False)
            blocker.connect_ex(listener.getsockname())
        fill(spool, f"http://a@127.0.0.1:{listener.getsockname()[1]}/1", 1)
        began = time.monotonic()
        assert 3 == send_once(spool, "--connect-timeout", "0.3", "--timeout", "60")[0]
        assert time.monotonic() - began < 30
        for blocker in blockers:
            blocker.close()
    assert_exact(spool, captured=1, delivered=0)


def test_refused_for_good(spool):
    """A refusal is final: counted as send_error, a copy in dead/, which retry-dead brings back under the same id."""
    refusals = [Reply(400), Reply(401), Reply(413), Reply(500), Reply(302, {"Location": "/elsewhere"})]
    with Server(script(*refusals)) as server:
        ids = fill(spool, server.dsn, 5)
        assert 1 == send_once(spool)[0]
        assert_once(ids, server)
        assert 5 == len(list((spool / "dead").glob("*.env")))
        assert_exact(spool, captured=5, send_error=5)
        assert 0 == run_command("retry-dead", "--spool", spool)[0]
        assert 0 == send_once(spool)[0]
        assert_once(ids + ids, server)
        assert_exact(spool, captured=10, send_error=5, delivered=5)
        assert [] == os.listdir(spool / "dead")


def test_half_an_answer(spool):
    """The connection breaks within the reply's head: kept, and sent again under the same id."""
    with Server(script(*(Reply(cut=cut) for cut in (0, 5, 20, 36)))) as server:
        ids = fill(spool, server.dsn, 4)
        assert 3 == send_once(spool)[0]
        assert_exact(spool, captured=4, delivered=0)
        assert 0 == send_once(spool)[0]
        assert_once(ids + ids, server)
        assert_exact(spool, captured=4, delivered=4)


def test_proxy_error_then_up(spool):
    """A proxy answers for a dead server: the events wait, one probe at a time, and arrive when it is back."""
    with Server(script(Reply(503), Reply(502))) as server:
        ids = fill(spool, server.dsn, 3)
        sender = command("send", "--spool", spool)
        try:
            wait_for(lambda: not waiting(spool))
        finally:
            assert 0 == end(sender)
        assert set(ids) == set(server.event_ids)
        assert 5 == len(server.event_ids)
        assert_exact(spool, captured=3, delivered=3)
