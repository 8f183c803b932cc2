"""Real processes against a real server that misbehaves: nothing is lost, everything is accounted for."""

import os
import signal
import socket
import time

import pytest
from delivery_support import (
    DATA,
    Reply,
    Server,
    app,
    assert_exact,
    assert_once,
    command,
    end,
    fill,
    free_port,
    run_app,
    run_command,
    script,
    send_once,
    wait_for,
    waiting,
)

from heka_raven.ledger import read_snapshot

STREAM = "stream = SpoolStream(path=path)\n"


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def in_words(result):
    """For the assertion's message."""
    return f"exit {result[0]}\n{result[1]}{result[2]}"


def test_normal_exit(spool):
    """A process that ends delivers what it can on the way out; nothing is left for a server that answers."""
    with Server() as server:
        code, ids = run_app(spool, server.dsn, STREAM + "capture(stream, 20)")
        assert (0, 20) == (code, len(ids))
        assert_once(ids, server)
        assert_exact(spool, captured=20, delivered=20)
        header = server.events[0].envelope[0]
        assert server.dsn.replace(":secret", "") == header["dsn"]
        assert b"secret" not in server.events[0].body


def test_exit_with_a_slow_server(spool):
    """At exit the process waits for what is in flight, for its time; the rest stays spooled for the next."""
    with Server(lambda request: Reply(after_s=0.4)) as server:
        began = time.monotonic()
        _, ids = run_app(spool, server.dsn, "stream = SpoolStream(path=path, connections=2)\ncapture(stream, 40)")
        assert time.monotonic() - began < 10
        left = len(waiting(spool))
        assert 0 < left < 40
        server.behave = script()
        assert 0 == send_once(spool)[0]
        assert set(ids) == set(server.event_ids)
        assert_exact(spool, captured=40, delivered=40)


def test_exit_with_a_hanging_server(spool):
    """A server that never answers holds the exit up for two seconds, no more, and loses nothing."""
    with Server(lambda request: Reply(hang=True)) as server:
        process = app(spool, server.dsn, STREAM + "capture(stream, 3)\nos.write(1, b'%.3f' % time.time())")
        out = process.communicate(timeout=30)[0].split()
        assert time.time() - float(out[3]) < 2.0 + 1.5  # interpreter's own end included
        assert 3 == len(waiting(spool))
        assert_exact(spool, captured=3, delivered=0)


def test_exit_with_a_dead_server_is_quick(spool):
    """Where nobody listens there is nothing to wait for."""
    dsn = f"http://a@127.0.0.1:{free_port()}/1"
    process = app(spool, dsn, STREAM + "capture(stream, 3)\ntime.sleep(1)\nos.write(1, b'%.3f' % time.time())")
    out = process.communicate(timeout=30)[0].split()
    assert time.time() - float(out[3]) < 1.5
    assert_exact(spool, captured=3, delivered=0)


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_sudden_end(spool, ending):
    """os._exit, SIGKILL and abort right after the last capture: all twenty are delivered by the next sender."""
    with Server() as server:
        _, ids = run_app(spool, server.dsn, f"capture(SpoolStream(path=path, sender='off'), 20)\n{ending}")
        assert 20 == len(ids)
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        assert_once(ids, server)
        assert_exact(spool, captured=20, delivered=20)


def test_sudden_end_beside_the_sender_thread(spool):
    """os._exit while the thread sends: what it had not finished is sent by the next, under the same id."""
    with Server(lambda request: Reply(after_s=0.05)) as server:
        _, ids = run_app(spool, server.dsn, STREAM + "capture(stream, 30)\ntime.sleep(0.6)\nos._exit(0)")
        assert 0 == send_once(spool)[0]
        assert set(ids) == set(server.event_ids)
        assert len(server.event_ids) - 30 <= 16  # twice only what was in flight when the process ended
        assert_exact(spool, off_by=1)


def test_burst_against_a_slow_server(spool):
    """300 events at once, 50 ms a reply: all arrive, each once."""
    with Server(lambda request: Reply(after_s=0.05)) as server:
        _, ids = run_app(spool, server.dsn, STREAM + "capture(stream, 300)\ntime.sleep(0.5)")
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        assert_once(ids, server)
        assert_exact(spool, captured=300, delivered=300)
        assert 1 < server.most_at_once <= 16


def test_fork(spool):
    """Parent and child both capture after a fork; when the parent is killed the child's sender takes over."""
    code = STREAM + (
        "capture(stream, 3)\n"
        "time.sleep(0.5)\n"
        "if os.fork() == 0:\n"
        "    capture(stream, 3)\n"
        "    while os.getppid() == int(os.environ['PARENT']): time.sleep(0.02)\n"
        "    capture(stream, 3)\n"
        "    time.sleep(30)\n"
        "capture(stream, 3)\n"
        "signal.pause()\n"
    )
    with Server() as server:
        process = app(spool, server.dsn, "os.environ['PARENT'] = str(os.getpid())\n" + code)
        try:
            wait_for(lambda: len(server.event_ids) == 9)
            process.kill()
            wait_for(lambda: len(server.event_ids) == 12)
            child = int((spool / "state" / "sender.lock").read_text())
            assert child != process.pid
        finally:
            process.kill()
            os.kill(int((spool / "state" / "sender.lock").read_text()), signal.SIGKILL)
            ids = process.communicate(timeout=20)[0].decode().split()
        assert_once(ids, server)
        assert_exact(spool, captured=12, delivered=12)


def test_fork_without_a_word_to_python(spool):
    """A C program (uWSGI) forks past Python's hooks: the child counts and sends by itself all the same."""
    code = STREAM + (
        "import ctypes\n"
        "capture(stream, 2)\n"
        "time.sleep(0.5)\n"
        "if ctypes.CDLL(None).fork() == 0:\n"
        "    capture(stream, 2)\n"
        "    time.sleep(0.2)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    with Server() as server:
        _, ids = run_app(spool, server.dsn, code)
        send_once(spool)
        assert 4 == len(ids)
        assert_once(ids, server)
        assert_exact(spool, captured=4, delivered=4)


def test_fork_while_the_thread_starts(spool):
    """Forks at every moment of the sender thread's start: no child hangs, whatever module was being imported."""
    code = (
        "signal.alarm(60)\n"
        "stream = SpoolStream(path=path)\ncapture(stream)\n"
        "children = []\n"
        "for _ in range(12):\n"
        "    time.sleep(0.01)\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        signal.alarm(30)\n"
        "        capture(stream)\n"
        "        import urllib3, http.client\n"
        "        stream.close(0.2)\n"
        "        os._exit(0)\n"
        "    children.append(pid)\n"
        "bad = [pid for pid in children if os.waitpid(pid, 0)[1]]\n"
        "sys.exit(len(bad))\n"
    )
    with Server() as server:
        exit_code, ids = run_app(spool, server.dsn, code)
        assert 0 == exit_code
        send_once(spool)
        assert 13 == len(ids)
        assert set(ids) == set(server.event_ids)


def test_refused_then_up(spool):
    """Nobody listens, then somebody does: everything arrives, once."""
    port = free_port()
    dsn = f"http://public@127.0.0.1:{port}/1"
    process = app(spool, dsn, STREAM + "capture(stream, 10)\ntime.sleep(30)")
    try:
        wait_for(lambda: len(os.listdir(spool / "new")) == 10 if (spool / "new").exists() else False)
        time.sleep(0.5)
        with Server(port=port) as server:
            wait_for(lambda: len(server.event_ids) == 10)
            wait_for(lambda: not waiting(spool))
            ids = set(server.event_ids)
            assert 10 == len(ids) == len(server.event_ids)
    finally:
        end(process, signal.SIGKILL)
    assert_exact(spool, captured=10, delivered=10)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_proxy_error_then_up(spool, status):
    """A proxy answers for a dead server: the event waits, one probe a second, and arrives when it is back."""
    (event_id,) = fill(spool, "http://x@h/1", 1)
    _ = event_id
    with Server(script(Reply(status), Reply(status))) as server:
        ids = fill(spool.with_name("other"), server.dsn, 3)
        sender = command("send", "--spool", spool.with_name("other"))
        try:
            wait_for(lambda: not waiting(spool.with_name("other")))
        finally:
            assert 0 == end(sender)
        assert set(ids) == set(server.event_ids)
        assert 5 >= len(server.event_ids)
        assert_exact(spool.with_name("other"), captured=3, delivered=3)


def test_hanging_server(spool):
    """A server that takes the request and never answers: the event is kept, and sent again under the same id."""
    with Server(script(Reply(hang=True))) as server:
        (event_id,) = fill(spool, server.dsn, 1)
        code, _, err = send_once(spool, "--timeout", "0.4")
        assert 3 == code and "no answer in time" in err
        assert_exact(spool, delivered=0)
        assert 0 == send_once(spool)[0]
        assert [event_id, event_id] == server.event_ids
        assert_exact(spool, captured=1, delivered=1)


def test_trickling_server(spool):
    """A server that sends a byte now and then is cut off at the whole request's timeout."""
    with Server(lambda request: Reply(trickle_s=0.15)) as server:
        fill(spool, server.dsn, 1)
        began = time.monotonic()
        assert 3 == send_once(spool, "--timeout", "0.8")[0]
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("cut", [0, 5, 20])
def test_half_an_answer(spool, cut):
    """The connection breaks within the reply's head: kept, and sent again under the same id."""
    with Server(script(Reply(cut=cut))) as server:
        (event_id,) = fill(spool, server.dsn, 1)
        assert 3 == send_once(spool)[0]
        assert_exact(spool, delivered=0)
        assert 0 == send_once(spool)[0]
        assert [event_id, event_id] == server.event_ids
        assert_exact(spool, captured=1, delivered=1)


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
    [({}, 60), ({"Retry-After": "30"}, 30), ({"X-Sentry-Rate-Limits": "45:error:key"}, 45), ({"Retry-After": "0"}, 1)],
)
def test_429(spool, headers, seconds):
    """The server asks for quiet: events wait, and a restarted sender keeps the quiet."""
    with Server(lambda request: Reply(429, headers)) as server:
        fill(spool, server.dsn, 5)
        assert 3 == send_once(spool, "--connections", "1")[0]
        assert 1 == len(server.events)
        _, out, _ = run_command("status", "--spool", spool, "--json")
        (limit,) = __import__("json").loads(out)["limits"]
        assert seconds - 5 < limit["seconds_left"] <= seconds
        assert "secret" not in out
        if seconds > 1:
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


@pytest.mark.parametrize("status", [400, 401, 413, 500, 302])
def test_refused_for_good(spool, status):
    """A refusal is final: counted as send_error, a copy in dead/, which retry-dead brings back."""
    with Server(script(then=Reply(status, {"Location": "/elsewhere"}))) as server:
        ids = fill(spool, server.dsn, 2)
        assert 0 == send_once(spool)[0]
        assert_once(ids, server)
        assert 2 == len(os.listdir(spool / "dead"))
        assert_exact(spool, captured=2, send_error=2)
        server.behave = script()
        assert 0 == run_command("retry-dead", "--spool", spool)[0]
        assert 0 == send_once(spool)[0]
        assert 4 == len(server.events)
        assert_exact(spool, captured=4, send_error=2, delivered=2)
        assert [] == os.listdir(spool / "dead")


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
        assert 0 == send_once(spool)[0]
        assert 1 == len(server.events)
        assert_exact(spool, captured=2, delivered=1, send_error=1)


def test_redirect_loop(spool):
    """A server that redirects for ever gets four requests."""
    with Server(lambda request: Reply(308, {"Location": request.path})) as server:
        fill(spool, server.dsn, 1)
        assert 0 == send_once(spool)[0]
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
        assert 0 == send_once(spool)[0]
        assert [ids[2]] == server.event_ids
        assert_exact(spool, captured=3, delivered=1, internal_sdk_error=2)
        assert 2 == len(os.listdir(spool / "dead"))


def test_two_senders(spool):
    """Two senders and two processes that capture: one delivers, the other waits; killed, the other takes over."""
    with Server(lambda request: Reply(after_s=0.02)) as server:
        first = command("send", "--spool", spool)
        wait_for(lambda: (spool / "state" / "sender.lock").exists() and (spool / "state" / "sender.lock").read_text())
        second = command("send", "--spool", spool)
        code = "stream = SpoolStream(path=path)\nfor _ in range(30): capture(stream); time.sleep(0.01)"
        apps = [app(spool, server.dsn, code) for _ in range(2)]
        ids = [line for process in apps for line in process.communicate(timeout=60)[0].decode().split()]
        wait_for(lambda: not waiting(spool))
        assert_once(ids, server)
        result = send_once(spool)
        assert 4 == result[0] and str(first.pid) in result[2], in_words(result)
        end(first, signal.SIGKILL)
        more = fill(spool, server.dsn, 5)
        wait_for(lambda: not waiting(spool))
        assert_once(ids + more, server)
        assert 0 == end(second)
        assert_exact(spool, captured=65, delivered=65)


def test_sigterm_finishes_what_is_in_flight(spool):
    """SIGTERM in the middle of a request: its answer is still taken, nothing new is begun, exit code 0."""
    with Server(lambda request: Reply(after_s=0.8)) as server:
        fill(spool, server.dsn, 5)
        sender = command("send", "--spool", spool, "--connections", "1")
        wait_for(lambda: server.requests)
        assert 0 == end(sender)
        assert 1 == len(server.events)
        assert_exact(spool, captured=5, delivered=1)


def test_power_durability(spool):
    """durability = power: all of it as before, fsynced."""
    with Server() as server:
        code, ids = run_app(spool, server.dsn, "capture(SpoolStream(path=path, durability='power'), 10)")
        assert (0, 10) == (code, len(ids))
        send_once(spool)
        assert_once(ids, server)
        assert_exact(spool, captured=10, delivered=10)


def test_the_spool_vanishes_under_the_sender(spool):
    """The directory is deleted while a sender runs: it goes on with the one that the next event makes."""
    with Server() as server:
        sender = command("send", "--spool", spool)
        try:
            fill(spool, server.dsn, 1)
            wait_for(lambda: len(server.events) == 1)
            wait_for(lambda: not waiting(spool))
            os.rename(spool, spool.with_name("away"))
            time.sleep(0.3)
            fill(spool, server.dsn, 2)
            wait_for(lambda: len(server.events) == 3)
            wait_for(lambda: not waiting(spool))
        finally:
            assert 0 == end(sender)
        assert_exact(spool, captured=2, delivered=2)


def test_one_dsn_down_does_not_hold_up_another(spool):
    """A hanging server beside a healthy one: the healthy one's events arrive at once."""
    with Server(lambda request: Reply(hang=True)) as hanging, Server() as healthy:
        fill(spool, hanging.dsn, 30)
        ids = fill(spool, healthy.dsn, 10)
        sender = command("send", "--spool", spool, "--timeout", "5")
        try:
            wait_for(lambda: len(healthy.events) == 10, 4.5)
        finally:
            end(sender, signal.SIGKILL)
        assert_once(ids, healthy)


def test_backoff_probes_once_a_second(spool):
    """While a server is down it gets one probe, not a request an event."""
    with Server(lambda request: Reply(503)) as server:
        fill(spool, server.dsn, 50)
        sender = command("send", "--spool", spool, "--connections", "4")
        wait_for(lambda: server.requests)
        time.sleep(2.0)
        end(sender)
        assert len(server.requests) <= 4 + 2
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
        assert 3 == send_once(spool, "--connect-timeout", "0.3", "--timeout", "3")[0]
        assert time.monotonic() - began < 6
        for blocker in blockers:
            blocker.close()
    assert_exact(spool, captured=1, delivered=0)


def kill_writers(spool, dsn, rounds, seed):
    """Kill a process that captures, at random moments; the ids whose capture returned."""
    import random

    dice = random.Random(seed)
    ids = []
    for _ in range(rounds):
        process = app(
            spool, dsn, "stream = SpoolStream(path=path, sender='off')\nwhile True: capture(stream, 1, 20000)"
        )
        first = process.stdout.readline()
        time.sleep(dice.random() * 0.03)
        process.kill()
        rest, _ = process.communicate(timeout=20)
        ids += [line for line in (first + rest).decode().split() if len(line) == 32]
    return ids


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(600)])])
def test_sigkill_in_the_middle_of_a_write(spool, rounds):
    """Killed at random moments of writing: every event whose capture returned is delivered, once."""
    with Server() as server:
        ids = kill_writers(spool, server.dsn, rounds, rounds)
        assert rounds <= len(set(ids))
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        arrived = server.event_ids
        assert len(arrived) == len(set(arrived))
        assert set(ids) <= set(arrived)
        # A kill between two counts leaves the ledger one off, each time at most.
        assert_exact(spool, off_by=rounds)
        assert read_snapshot(str(spool))["delivered"] == len(arrived)


@pytest.mark.parametrize("rounds", [8, pytest.param(200, marks=[pytest.mark.full, pytest.mark.timeout(900)])])
def test_sigkill_in_the_middle_of_a_send(spool, rounds):
    """The sender killed at random moments: nothing is lost, and what arrived twice was in flight at a kill."""
    import random

    dice = random.Random(rounds)
    with Server(lambda request: Reply(after_s=dice.random() * 0.01)) as server:
        ids = fill(spool, server.dsn, 60 * rounds)
        for _ in range(rounds):
            seen = len(server.requests)
            sender = command("send", "--spool", spool, "--connections", "4")
            until = time.monotonic() + 5
            while len(server.requests) == seen and waiting(spool) and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(dice.random() * 0.05)
            end(sender, signal.SIGKILL)
        result = send_once(spool)
        assert 0 == result[0], in_words(result)
        arrived = server.event_ids
        assert set(ids) == set(arrived)
        assert len(arrived) - len(ids) <= 4 * rounds
        assert_exact(spool, off_by=rounds)
