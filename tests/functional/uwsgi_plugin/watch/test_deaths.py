"""The watch: each way a request can take its worker along, provoked for real: one event that names the request.

Four requests run at a time: the bad one, and three that only hold their places.
"""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from support.waiting import wait_for
from support.watch import (
    GEVENT,
    MODES,
    PREFORK,
    THREADS,
    WATCH,
    bystanders,
    cgroup_with_limit,
    frames,
    functions,
    hold_three,
    in_background,
    kinds,
    one_event,
    suspect,
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path, function", [("/sleep?token=hide", "stuck_in_python"), ("/c", "stuck_in_c")])
def test_harakiri(serve, receiver, mode, path, function):
    """A worker over its time limit: the request, out of several in flight, and its Python stack, also inside C code."""
    transaction = "GET " + path.partition("?")[0]
    server = serve(f"{WATCH}harakiri = 5\n{mode}")
    in_background(server, path)
    wait_for((server.tmp_path / (transaction.removeprefix("GET /") + ".pid")).exists, "the request to run")
    time.sleep(1)  # how old requests are is what is tested
    # Younger, and they outlast the limit: one that ends on the same worker would take its one timer with it.
    in_background(server, *["/hold?10"] * 3)
    wait_for(lambda: transaction in [e["transaction"] for e in receiver.events], server.text)
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    (event,) = [e for e in receiver.events if e["transaction"] == transaction]
    # Those beside may go over the limit too, one by one; nobody else says anything, and nobody is told as killed.
    assert {e["transaction"] for e in receiver.events} <= {transaction, "GET /hold"}
    assert {"harakiri"} == set(kinds(receiver))
    assert function == functions(event)[-1]
    frame = frames(event, native=False)[-1]
    assert "seconds" in frame["context_line"] and frame["pre_context"][-1].startswith(("def ", "    #"))
    assert event["level"] == "error" and "hide" not in str(event)
    said = rf"uWSGI killed worker \d after 5 s in {transaction}(: .*)? at {function} \(app\.py:\d+\)"
    assert re.fullmatch(said, event["logentry"]["formatted"])
    assert ["harakiri", transaction, f"{function} in app.py"] == event["fingerprint"]
    assert suspect(event)["age_ms"] >= 1900 and suspect(event)["url"].endswith(path.partition("?")[0])
    if mode != GEVENT:  # it accepts nobody while the one thread is stuck
        beside = bystanders(event)
        # C code that holds the GIL also keeps a second thread of its worker from starting.
        assert len(beside) == 3 or (len(beside) == 2 and path == "/c" and mode == THREADS)
        assert all(url.endswith("/hold") for url in beside)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["segfault", "abort"])
def test_crash(serve, receiver, mode, kind):
    """A crashed worker: one event, with the request and the stack; alarm-segfault does not repeat it."""
    server = serve("sentry-watch = true\nalarm = crash sentry:logger=t.crash\nalarm-segfault = crash\n" + mode)
    hold_three(server, 20)  # older than the one that crashes, and in threads and gevent in the same worker
    server.crash(f"/{kind}?1")
    event = one_event(receiver, server, kind)
    assert "fatal" == event["level"]
    assert "GET /" + kind == event["transaction"]
    assert ("crash" if kind == "segfault" else "give_up") in functions(event)
    number, name = (11, "SIGSEGV") if kind == "segfault" else (6, "SIGABRT")
    mechanism = event["exception"]["values"][0]["mechanism"]
    assert {"number": number, "name": name} == mechanism["meta"]["signal"] and "uwsgi.watch" == mechanism["type"]
    assert [kind, "GET /" + kind] == event["fingerprint"][:2]
    assert suspect(event)["url"].endswith("/" + kind)
    assert 3 == len(bystanders(event)) and all(url.endswith("/hold") for url in bystanders(event))
    place = "crash" if kind == "segfault" else "give_up"
    said = rf"uWSGI's worker \d died of {name} after [\d.]+ m?s in GET /{kind} at {place} \(app\.py:\d+\)"
    assert re.fullmatch(said, event["logentry"]["formatted"])


@pytest.mark.parametrize("mode", MODES)
def test_killed_from_outside(serve, receiver, mode):
    """SIGKILL from outside: the oldest request of the worker and its age; there is no stack to be had."""
    server = serve("sentry-watch = true\n" + mode)
    in_background(server, "/victim?30")
    pid_file = server.tmp_path / "victim.pid"
    pid = int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), "a busy worker"))
    hold_three(server, 30)
    os.kill(pid, signal.SIGKILL)
    event = one_event(receiver, server, "killed")
    assert "GET /victim" == event["transaction"] and "fatal" == event["level"]
    assert (9, pid) == (event["contexts"]["uwsgi"]["signal"], event["contexts"]["uwsgi"]["pid"])
    assert "stacktrace" not in event["exception"]["values"][0] and suspect(event)["age_ms"] > 0
    said = r"uWSGI's worker \d was killed by SIGKILL after [\d.]+ m?s in GET /victim"
    assert re.fullmatch(said, event["exception"]["values"][0]["value"])
    assert 3 == len(bystanders(event))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [7, 1, 30])
def test_exit_of_the_application(serve, receiver, mode, status):
    """os._exit in the application, with any status, is told with it, the request and the stack."""
    server = serve("sentry-watch = true\n" + mode)
    hold_three(server, 20)
    server.crash(f"/exit?{status},1")
    event = one_event(receiver, server, "exit")
    assert "GET /exit" == event["transaction"] and "error" == event["level"]
    assert status == event["contexts"]["uwsgi"]["exit_status"] and "signal" not in event["contexts"]["uwsgi"]
    assert "leave" == functions(event)[-1]
    said = rf"uWSGI's worker \d exited with status {status} after [\d.]+ m?s in GET /exit at leave \(app\.py:\d+\)"
    assert re.fullmatch(said, event["logentry"]["formatted"])


def test_source_lines_of_a_relative_name(serve, receiver):
    """wsgi-file = app.py gives frames with a relative name: their lines are read below the server's directory."""
    server = serve("sentry-watch = true\nwsgi-file = app.py\n" + PREFORK)
    server.crash("/exit?7,1")
    frame = one_event(receiver, server, "exit")["exception"]["values"][0]["stacktrace"]["frames"][-1]
    assert ("app.py", "    os._exit(status)") == (frame["filename"], frame["context_line"])


def test_programs_that_the_application_starts_get_no_descriptor(serve, receiver):
    """A program started with all that is not close-on-exec has neither the stack's memory file nor the spool."""
    server = serve("sentry-watch = true\n" + PREFORK)
    status, listing = server.get("/descriptors")
    assert status == 200 and "/proc/" in listing
    assert "heka-raven" not in listing and str(server.spool) not in listing


@pytest.mark.full
def test_a_thread_of_the_application_crashes_beside_gevent(serve, receiver):
    """Where one thread has all requests, another of the application's own crashes: it is told, with its stack; looking
    for the request on the wrong stack would crash once more."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT)
    server.crash("/thread?segfault")
    event = one_event(receiver, server, "segfault")
    assert "GET /thread" == event["transaction"] and "crash" == functions(event)[-2]
    wait_for(lambda: "end of backtrace" in server.text(), "uWSGI's own words")
    assert server.text().count("/sentry_plugin.so(") <= 2


LOADS_IN_A_THREAD = """
import sys, threading
sys.path.insert(0, {root!r})

def load():
    from heka_raven import uwsgi_bridge
    uwsgi_bridge.show_stacks()

def application(env, start):
    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    start("200 OK", [])
    return [b"well"]
"""


@pytest.mark.full
def test_a_thread_of_the_application_loads_the_bridge_beside_gevent(serve):
    """A thread of the application's own is the first to report, and imports what tells uWSGI: it crashes nothing."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT, app=LOADS_IN_A_THREAD)
    assert (200, "well") == server.get("/") == server.get("/")
    assert "Segmentation Fault" not in server.text()


@pytest.mark.full
def test_a_thread_of_the_application_reports_beside_gevent(serve, receiver):
    """There, uWSGI may be called from the main thread only: in another, a report or os._exit crashes no worker."""
    server = serve("sentry-watch = true\nenable-threads = true\n" + GEVENT)
    pid = server.get("/")[1]
    assert (200, pid) == server.get("/thread?tell") == server.get("/")
    server.crash("/thread?exit")
    event = one_event(receiver, server, "exit")
    assert "GET /thread" == event["transaction"] and 7 == event["contexts"]["uwsgi"]["exit_status"]


@pytest.mark.full
def test_a_hundred_deaths_are_a_hundred_events(serve, receiver):
    """Every death of a crash loop is told, each once, with its own request; the storm once a minute."""
    server = serve("sentry-watch = true\nforkbomb-delay = 0\n" + PREFORK)
    for number in range(100):
        server.crash(("/exit?7,0&n=%d", "/segfault?n=%d")[number % 2] % number)
    wait_for(lambda: len(receiver.events) - kinds(receiver).count("respawn-storm") >= 100, "100 events", 60)
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    queries = [e["request"]["query_string"].rpartition("n=")[2] for e in receiver.events if "request" in e]
    assert [str(n) for n in range(100)] == sorted(queries, key=int)
    assert 1 <= kinds(receiver).count("respawn-storm") <= 3


def test_a_server_that_is_down_loses_nothing(serve, receiver):
    """While the Sentry server is down the deaths wait in the spool; once it is back each arrives once."""
    receiver.status = 503
    server = serve("sentry-watch = true\n" + PREFORK)
    server.crash("/segfault")
    wait_for(lambda: server.waiting() == 1, "the event in the spool")
    server.crash("/exit?7,0")
    wait_for(lambda: server.waiting() == 2, "the second event in the spool")
    receiver.status = 200
    wait_for(lambda: len(receiver.events) == 2 and server.waiting() == 0, "both events", 60)
    assert ["exit", "segfault"] == sorted(kinds(receiver))


def test_a_death_that_nobody_saw_is_told(serve, receiver, tmp_path):
    """A worker that uWSGI reaps before anybody looked: told by what it left in shared memory, without its status."""
    # Between our look and its own, uWSGI's master opens this pidfile once a second: a FIFO holds it there.
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    stopped = threading.Event()

    def let_go_on(times):
        while times > 0 and not stopped.is_set():
            try:
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
                times -= 1
            except OSError:  # it is not there yet
                pass
            time.sleep(0.05)

    server = serve(f"sentry-watch = true\nprocesses = 1\nsmart-attach-daemon = {fifo} true")
    pid = server.get("/")[1]
    let_go_on(2)  # it opens it once before its loop begins
    wait_for(lambda: waits_for_a_writer(server.process.pid), "the master at the FIFO")
    server.crash("/exit?7,0")
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "the worker's end")
    thread = threading.Thread(target=let_go_on, args=(1000,))
    thread.start()
    try:
        event = one_event(receiver, server, "exit")
        assert "exit_status" not in event["contexts"]["uwsgi"]  # so it was this way
        assert "leave" == functions(event)[-1]
        server.stop()
    finally:
        stopped.set()
        thread.join()


def waits_for_a_writer(pid):
    """Whether a process is in the kernel's open() of a FIFO; where that is not told, it had time enough."""
    where = Path(f"/proc/{pid}/wchan").read_text()
    if where in ("", "0"):
        time.sleep(4)
    return where in ("", "0", "wait_for_partner")


def test_oom_kill(serve, receiver):
    """A worker that the kernel kills for its cgroup's memory is told as oom, the next SIGKILL as killed."""
    with cgroup_with_limit(200 << 20) as folder:
        server = serve(f"sentry-watch = true\ncgroup = {folder}\n" + PREFORK)
        hold_three(server, 20)
        server.crash("/grow?400")
        event = one_event(receiver, server, "oom")
        assert "GET /grow" == event["transaction"] and "fatal" == event["level"]
        most = event["contexts"]["uwsgi"]["grown_by"][0]
        assert "GET /grow" == most["request"] and most["rss_after_bytes"] - most["rss_before_bytes"] > 50 << 20
        assert event["contexts"]["uwsgi"]["rss_peak_bytes"] > 50 << 20 and 9 == event["contexts"]["uwsgi"]["signal"]
        pid = int(wait_for(lambda: server.get("/")[1], "a worker"))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "killed" in kinds(receiver), "the kill")
        server.stop()


def test_a_stack_overflow_has_its_stack(serve, receiver):
    """The handlers have a stack of their own; uWSGI's runs once, also where its backtrace crashes."""
    server = serve("sentry-watch = true\n" + PREFORK)
    server.crash("/overflow")
    assert "overflow" in functions(one_event(receiver, server, "segfault"))
    assert 1 >= server.text().count("got Segmentation Fault")


@pytest.mark.parametrize(
    "line, said",
    [
        (
            "sentry-watch = harakiri,earthquake",
            "sentry-watch: 'harakiri,earthquake' is not true, nor a list of harakiri",
        ),
        ("sentry-watch = true\nsentry-watch-backlog = 0", "sentry-watch-backlog: 0 is outside 1..100 percent"),
        ("sentry-watch = true\nsentry-watch-storm = 0", "sentry-watch-storm: 0 is outside 1..1000 deaths"),
        ("sentry-watch = true\nsentry-watch-storm-seconds = 0", "sentry-watch-storm-seconds: 0 is outside 1..86400"),
        ("sentry-watch = true\nsentry-watch-options = colour=red", "sentry-watch-options: "),
    ],
)
def test_wrong_options_are_said(serve, receiver, line, said):
    """A mistake is one line that names the option and the limit; the server runs."""
    assert "[sentry] " + said in serve(line).text()
