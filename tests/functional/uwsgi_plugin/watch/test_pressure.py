"""The watch: slow requests, a full listen queue, memory, a respawn storm; and a normal life, which gives no event."""

import os
import re
import threading
import time
from pathlib import Path

import pytest

from support.waiting import wait_for
from support.watch import (
    APP,
    MODES,
    PREFORK,
    THREADS,
    filled,
    functions,
    get_until_told,
    hold_three,
    in_background,
    kinds,
    one_event,
)


@pytest.mark.parametrize("mode", MODES)
def test_slow_request_is_told_once_and_lives(serve, receiver, mode):
    """A slow request is told once, with its stack, while it runs; it ends well."""
    server = serve("sentry-watch = true\nsentry-watch-slow = 1\n" + mode)
    hold_three(server, 0.4)
    assert (200, "slept well") == get_until_told(receiver, server, "/slow")
    wait_for(lambda: server.waiting() == 0, lambda: f"an empty spool\n{server.text()}")
    # Those beside may be slow, too, where a thread that sleeps holds them up, or a busy machine.
    assert {e["transaction"] for e in receiver.events} <= {"GET /slow", "GET /hold"}
    (event,) = [e for e in receiver.events if e["transaction"] == "GET /slow"]
    assert "slow" == event["tags"]["uwsgi.event"] and "warning" == event["level"]
    assert "stuck_until_let_go" == functions(event)[-1]


def test_slow_requests_of_one_worker_are_all_told(serve, receiver):
    """Two threads of one worker, both slow: one event each, with the stack of its own thread."""
    server = serve("sentry-watch = true\nsentry-watch-slow = 1\nprocesses = 1\nthreads = 2\nenable-threads = true")
    in_background(server, "/slow", "/hold?60")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"two events\n{server.text()}")
    (server.tmp_path / "let-go").touch()
    assert {"GET /slow": "stuck_until_let_go", "GET /hold": "hold"} == {
        e["transaction"]: functions(e)[-1] for e in receiver.events
    }


def test_another_program_in_the_place_of_a_worker_is_not_signalled(serve, receiver):
    """A worker that became another program by exec has no handler any more: it is told as slow, and lives on."""
    server = serve(
        "sentry-watch = true\nsentry-watch-slow = 1\nprocesses = 1", app=APP + "uwsgi_bridge.answer_for_requests()\n"
    )
    pid = int(server.get("/")[1])
    in_background(server, "/exec")
    wait_for(
        lambda: "GET /exec" in [e["transaction"] for e in receiver.events], lambda: f"a slow request\n{server.text()}"
    )
    wait_for(lambda: "sleep" == Path(f"/proc/{pid}/comm").read_text().strip(), "the other program")


def test_slow_is_off_unless_set(serve, receiver):
    """sentry-watch = true alone reports no slow request."""
    server = serve("sentry-watch = true\n" + PREFORK)
    assert 200 == server.get("/hold?2.2")[0]
    assert [] == receiver.texts() and 0 == server.waiting()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_listen_queue(serve, receiver, kind):
    """A full queue is one event, not one a second, with the request that keeps the worker; again after it fell."""
    path = f"/tmp/hk-watch-{os.getpid()}.sock"  # short: a unix socket's name has 108 bytes
    server = serve(f"processes = 1\nsentry-watch = listen-queue\nlisten = 2\nsocket = {path}")
    address = path if kind == "unix" else ("127.0.0.1", server.port)
    let_go = server.tmp_path / "let-go"
    for number in (1, 2):
        in_background(server, "/victim?60")
        wait_for((server.tmp_path / "victim.pid").exists, "the request to run")
        with filled(address, 6):
            wait_for(
                lambda n=number: len(receiver.events) == n,
                lambda: f"event {number} {receiver.texts()}\n{server.text()}",
            )
            time.sleep(2.2)  # two more looks
        let_go.touch()
        wait_for(lambda: server._answers(), "the queue to be taken off")
        time.sleep(4)  # a look at least, which finds it empty
        let_go.unlink()
        (server.tmp_path / "victim.pid").unlink()
        assert ["listen-queue"] * number == kinds(receiver)
        event = receiver.events[-1]
        name = re.escape(path if kind == "unix" else f"127.0.0.1:{server.port}")
        assert re.search(rf"[2-9] of 2 connections wait at {name}", event["logentry"]["formatted"])
        assert "warning" == event["level"] and "GET /victim" == event["transaction"] and "hold" == functions(event)[-1]


def test_listen_queue_percent(serve, receiver):
    """sentry-watch-backlog: half of the queue is enough."""
    server = serve("processes = 1\nsentry-watch = listen-queue\nlisten = 10\nsentry-watch-backlog = 50")
    in_background(server, "/victim?60")
    wait_for((server.tmp_path / "victim.pid").exists, "the request to run")
    with filled(("127.0.0.1", server.port), 6):
        event = one_event(receiver, server, "listen-queue")
    assert 10 > event["contexts"]["uwsgi"]["queue"] >= 5 and 10 == event["contexts"]["uwsgi"]["queue_max"]
    (server.tmp_path / "let-go").touch()


@pytest.mark.parametrize("mode", [PREFORK, pytest.param(THREADS, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "option, limit", [("reload-on-rss", "rss"), ("evil-reload-on-rss", "rss"), ("reload-on-as", "address_space")]
)
def test_memory(serve, receiver, mode, option, limit):
    """A worker that uWSGI ends for its memory: a warning with the figures and the request after which it was over."""
    path, mebibytes = ("/grow", 100) if limit == "rss" else ("/map", 2000)
    server = serve(f"sentry-watch = true\n{option} = {mebibytes}\nmin-worker-lifetime = 0\n" + mode)
    hold_three(server, 3)
    assert 200 == server.get(f"{path}?{mebibytes}")[0]
    event = one_event(receiver, server, "memory")
    figures = event["contexts"]["uwsgi"]
    assert "warning" == event["level"] and "GET " + path == event["transaction"]
    assert figures[f"{limit}_bytes"] >= mebibytes << 20 == figures[option.replace("-", "_") + "_bytes"]


def test_what_grew_a_worker(serve, receiver):
    """The five requests that grew the worker most, with its memory before and after each, the most first; not the last
    alone, and nothing of what is private in a path, also not where the path was cut."""
    app = APP.replace('if what == "grow":', 'if what.startswith("grow"):')
    server = serve("processes = 1\nsentry-watch = memory\nreload-on-rss = 250\nmin-worker-lifetime = 0\n", app=app)
    longer = "/grow/" + "x" * 170 + "/https://ann:planted" + "secret" * 20 + "@host/"
    for mebibytes in (10, 20, 5, 30, 0, 15, 200):
        assert 200 == server.get(f"{longer if mebibytes == 30 else '/grow'}?{mebibytes}")[0]
    grown = one_event(receiver, server, "memory")["contexts"]["uwsgi"]["grown_by"]
    sizes = [(each["rss_after_bytes"] - each["rss_before_bytes"]) / (1 << 20) for each in grown]
    assert [200, 30, 20, 15, 10] == pytest.approx(sizes, abs=2.5)
    assert {"GET /grow"} == {each["request"][:9] for each in grown} and grown[0]["rss_after_bytes"] >= 250 << 20
    assert grown[1]["request"].startswith("GET /grow/xxx") and "planted" not in str(grown)
    assert grown[0]["seconds_ago"] <= grown[-1]["seconds_ago"] < 60


def test_respawn_storm(serve, receiver):
    """N deaths within M seconds are a storm, told once in that time, with the deaths; then again."""
    server = serve(
        "processes = 2\nsentry-watch = respawn-storm\nsentry-watch-storm = 3\nsentry-watch-storm-seconds = 30\n"
        "forkbomb-delay = 0"
    )
    for _ in range(5):
        server.crash("/exit?7,0")
    event = one_event(receiver, server, "respawn-storm")
    assert "fatal" == event["level"] and "3 workers died within 30 seconds" in event["logentry"]["formatted"]
    deaths = event["contexts"]["uwsgi"]["deaths"]
    assert [("exit", "GET /exit")] * 3 == [(death["event"], death["transaction"]) for death in deaths]


@pytest.mark.full
@pytest.mark.timeout(600)
def test_normal_life_gives_no_event(serve, receiver):
    """10,000 requests, max-requests, a reload, a worker's reload and a stop are no news."""
    server = serve(
        "sentry-watch = true\nsentry-watch-slow = 60\nmax-requests = 400\nmin-worker-lifetime = 0\nharakiri = 60\n"
        "reload-on-rss = 2000\nlisten = 100\nmaster-fifo = fifo\n" + PREFORK
    )
    failed = []

    def client():
        for _ in range(2500):
            if server.get("/")[0] != 200:
                failed.append(1)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    (server.tmp_path / "fifo").write_text("r")  # a graceful reload
    wait_for(lambda: "gracefully (RE)spawned" in server.text() and server._answers(), "the reload", 60)
    server.stop()
    assert [] == receiver.texts() and 0 == server.waiting()
