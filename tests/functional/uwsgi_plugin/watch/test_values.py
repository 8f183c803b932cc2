"""The local variables of what hangs or dies: told by the worker itself, or read from outside."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from support.postgres import find_programs, locked_table
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.uwsgi import DEBIAN, find_uwsgi
from support.values import APP, PLANTED, assert_nowhere, assert_shown
from support.waiting import wait_for
from support.watch import EVERY_UWSGI, GEVENT, PREFORK, THREADS, WATCH, functions, in_background, one_event, suspect

pytestmark = pytest.mark.timeout(180)
full = pytest.mark.full
OUTSIDE = "sentry-watch-values = true\nsentry-watch-crash-wait = 10\n"
UWSGI = find_uwsgi()


@pytest.fixture
def serve(serve, receiver):
    """A server of an application that hangs and dies with values."""

    def start(lines, *, uwsgi=UWSGI, env=None, app=APP, **keywords):
        home = uwsgi == DEBIAN
        return serve(lines, uwsgi=uwsgi, app=app, home=home, env={"TEST_DSN": receiver.dsn, **(env or {})}, **keywords)

    return start


@pytest.fixture
def serve_as_nobody(serve, passable):
    """The same as a user that root's ini names."""
    return lambda lines, **keywords: serve(
        f"uid = {NOBODY}\ngid = {NOBODY}\n{lines}", where=passable, launch=launch_readable(passable), **keywords
    )


def wait_for_reader(server):
    server.sender_pid()
    wait_for(lambda: "spawned uWSGI sentry reader" in server.text(), server.text)
    return server


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize("what", ["sleep_in_python", "loop_in_python", "match_text"])
def test_the_worker_itself_tells(serve, receiver, uwsgi, what):
    """Where Python runs in the main thread, also within a regular expression, no reader is needed."""
    server = serve(f"{WATCH}harakiri = 2\n{PREFORK}", uwsgi=uwsgi)
    in_background(server, "/" + what)
    event = one_event(receiver, server, "harakiri")
    assert_shown(event, what)
    assert "/" + what in suspect(event)["url"]
    assert "told by the worker" == event["contexts"]["uwsgi"]["values"]
    assert_nowhere(server)


def test_os_exit_has_its_values(serve, receiver):
    """``os._exit`` shows the stack that it was called from, with its values."""
    server = serve(f"{WATCH}{PREFORK}")
    in_background(server, "/leave")
    event = one_event(receiver, server, "exit")
    assert_shown(event, "leave")
    assert "leave" == functions(event)[-1]
    assert_nowhere(server)


def test_slow_has_its_values(serve, receiver):
    """A slow request that lives on has its values too."""
    server = serve(f"{WATCH}sentry-watch-slow = 1\n{PREFORK}")
    in_background(server, "/sleep_in_python")
    event = one_event(receiver, server, "slow")
    assert_shown(event, "sleep_in_python")
    assert_nowhere(server)


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize(("what", "kind"), [("loop_in_c", "harakiri"), ("loop_in_c", "slow")])
def test_what_holds_the_interpreter_is_read_from_outside(serve, receiver, uwsgi, what, kind):
    """C code that keeps the interpreter is read by py-spy, a second before the harakiri; and masked."""
    lines = "harakiri = 4\n" if kind == "harakiri" else "sentry-watch-slow = 1\n"
    server = wait_for_reader(serve(f"{WATCH}{OUTSIDE}{lines}{PREFORK}", uwsgi=uwsgi))
    in_background(server, "/" + what)
    event = one_event(receiver, server, kind)
    assert_shown(event, what)
    assert "read from outside" == event["contexts"]["uwsgi"]["values"]
    assert_nowhere(server)


@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize(("what", "kind"), [("write_to_8", "segfault"), ("abort_in_c", "abort")])
def test_a_crash_waits_for_its_reader(serve, receiver, uwsgi, what, kind):
    """A crash has the values of its stack."""
    server = wait_for_reader(serve(f"{WATCH}{OUTSIDE}{PREFORK}", uwsgi=uwsgi))
    in_background(server, "/" + what)
    event = one_event(receiver, server, kind)
    assert_shown(event, what)
    assert_nowhere(server)


@ROOT_ONLY
@pytest.mark.parametrize("uwsgi", EVERY_UWSGI)
@pytest.mark.parametrize(
    ("what", "kind", "mode"),
    [
        ("sleep_in_python", "harakiri", PREFORK),
        ("loop_in_c", "harakiri", PREFORK),
        ("write_to_8", "segfault", PREFORK),
        pytest.param("leave", "exit", PREFORK, marks=full),
        pytest.param("loop_in_c", "harakiri", f"{PREFORK}master-as-root = true\n", marks=full),
        pytest.param("write_to_8", "segfault", THREADS, marks=full),
    ],
)
def test_of_a_worker_that_changed_its_user(serve_as_nobody, receiver, uwsgi, what, kind, mode):
    """uid = nobody, given by root: the same, from inside and from outside."""
    server = wait_for_reader(serve_as_nobody(f"{WATCH}{OUTSIDE}harakiri = 4\n{mode}", uwsgi=uwsgi))
    in_background(server, "/" + what)
    assert_shown(one_event(receiver, server, kind), what)
    assert_nowhere(server)


@pytest.mark.parametrize(
    ("what", "kind"),
    [("sleep_in_python", "harakiri"), ("loop_in_python", "slow"), ("loop_in_c", "harakiri"), ("abort_in_c", "abort")],
)
@pytest.mark.parametrize("mode", [THREADS, pytest.param(GEVENT, marks=full)])
def test_threads_and_greenlets(serve, receiver, what, kind, mode):
    """The suspect's thread is the one whose values are shown, whichever it is; the others are stacks without values."""
    lines = "harakiri = 4\n" if kind == "harakiri" else "sentry-watch-slow = 1\n" if kind == "slow" else ""
    server = wait_for_reader(serve(f"{WATCH}{OUTSIDE}{lines}{mode}"))
    time.sleep(0.5)  # a request that ends takes the one timer of its worker with it
    in_background(server, "/" + what)
    event = one_event(receiver, server, kind)
    assert_shown(event, what)
    for thread in event.get("threads", {"values": []})["values"]:
        assert all("vars" not in frame for frame in thread.get("stacktrace", {"frames": []})["frames"])
    if mode == THREADS:
        others = [
            frame["function"] for thread in event["threads"]["values"][1:] for frame in thread["stacktrace"]["frames"]
        ]
        assert "keep_busy" in others
        assert 1 == event["exception"]["values"][0]["thread_id"]
        assert [1] == [thread["id"] for thread in event["threads"]["values"] if thread["current"]]
    assert_nowhere(server)


@full
@pytest.mark.skipif(find_programs() is None, reason="no PostgreSQL: ./run test full installs one")
@pytest.mark.parametrize("mode", [PREFORK, THREADS])
def test_a_wait_for_a_lock_of_the_database(serve, receiver, mode):
    """libpq takes its wait up again after each signal: Python never runs, and the values come from outside."""
    with locked_table() as conninfo:
        lines = f"{WATCH}{OUTSIDE}harakiri = 4\n{mode}"
        server = wait_for_reader(serve(lines, env={"TEST_CONNINFO": conninfo}))
        time.sleep(0.5)  # a request that ends takes the one timer of its worker with it
        in_background(server, "/ask_database")
        assert_shown(one_event(receiver, server, "harakiri"), "ask_database")
        assert_nowhere(server)


# As the default profile of older container runtimes: ptrace, process_vm_readv and process_vm_writev are refused.
CONFINED = """
import ctypes, os, platform, struct, sys
refused = {"x86_64": (101, 310, 311), "aarch64": (117, 270, 271)}[platform.machine()]
rules = [(0x20, 0, 0, 0)]  # load the number of the call
rules += [(0x15, len(refused) - at, 0, number) for at, number in enumerate(refused)]  # one of these: to the end
rules += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | 1)]  # allow; EPERM
code = b"".join(struct.pack("HBBI", *rule) for rule in rules)
memory = ctypes.create_string_buffer(code)
program = struct.pack("HP", len(rules), ctypes.addressof(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"""


@full
@pytest.mark.parametrize(
    ("what", "kind"), [("loop_in_c", "harakiri"), ("write_to_8", "segfault"), ("loop_in_c", "slow")]
)
def test_where_a_container_refuses_ptrace(serve, receiver, what, kind):
    """There py-spy reads /proc/PID/mem: one event each, with its stack and its values."""
    lines = "harakiri = 4\n" if kind == "harakiri" else "sentry-watch-slow = 1\n" if kind == "slow" else ""
    launch = [sys.executable, "-c", CONFINED]
    server = wait_for_reader(serve(f"{WATCH}{OUTSIDE}{lines}{PREFORK}", launch=launch))
    in_background(server, "/" + what)
    event = one_event(receiver, server, kind)
    assert_shown(event, what)
    assert "read from outside" == event["contexts"]["uwsgi"]["values"]
    assert_nowhere(server)


# -- a reader that is not as it should be ------------------------------------------------------------------------------


def programs(where, py_spy):
    """A directory with a Python that masks, and this in the place of py-spy; its path."""
    where.mkdir()
    masker = where / "python3"
    masker.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    masker.chmod(0o755)
    if py_spy is not None:
        (where / "py-spy").write_text("#!/bin/sh\n" + py_spy)
        (where / "py-spy").chmod(0o755)
    return masker


def processes_of(server):
    """How many there are, and how many descriptors the reader has."""
    pids = server.pids()
    return len(pids), sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


NO_READERS = [
    pytest.param("exec sleep 1000\n", "none: the reader took too long", id="hangs"),
    pytest.param("trap '' TERM INT; sleep 1000 & wait\n", "none: the reader took too long", id="does-not-listen"),
    pytest.param("kill -SEGV $$\n", "none: py-spy could not read the process", id="crashes"),
    pytest.param("echo nonsense\n", "none: py-spy saw no Python there", id="nonsense"),
    pytest.param("exec yes\n", "none: py-spy could not read the process", id="says-too-much"),
    pytest.param("echo Error: Permission Denied >&2; exit 1\n", "none: not permitted (ptrace)", id="not-permitted"),
    pytest.param(None, "none: py-spy is not installed", id="not-installed"),
]


@pytest.mark.parametrize(("py_spy", "reason"), NO_READERS)
def test_without_a_reader_that_works(serve, receiver, tmp_path, py_spy, reason):
    """It is ended and counted; the event goes out as ever, and says why it has no values. Nothing is left behind."""
    masker = programs(tmp_path / "bin", py_spy)
    lines = f"{WATCH}{OUTSIDE}sentry-watch-python = {masker}\nsentry-watch-slow = 1\nprocesses = 1\n"
    server = wait_for_reader(serve(lines, env={"PATH": "/usr/bin:/bin"}))
    before = wait_for(lambda: processes_of(server), "processes")
    in_background(server, "/loop_in_c")
    event = one_event(receiver, server, "slow")
    assert "loop_in_c" == functions(event)[-1]
    assert reason == event["contexts"]["uwsgi"]["values"]
    assert f"[sentry] sentry-watch-values: {reason} (1 since the start)" in server.text()
    wait_for(lambda: processes_of(server)[0] == before[0], lambda: f"{before} {processes_of(server)}")


def test_a_crash_does_not_wait_for_ever(serve, receiver, tmp_path):
    """A reader that hangs holds a crash as long as sentry-watch-crash-wait says; none holds it for no time."""
    masker = programs(tmp_path / "bin", "exec sleep 1000\n")
    lines = f"{WATCH}sentry-watch-values = true\nsentry-watch-python = {masker}\nprocesses = 1\n"
    server = wait_for_reader(serve(lines, env={"PATH": "/usr/bin:/bin"}))
    began = time.monotonic()
    server.crash("/write_to_8")
    assert 0.4 < time.monotonic() - began < 3
    event = one_event(receiver, server, "segfault")
    assert "write_to_8" in functions(event)
    assert event["contexts"]["uwsgi"]["values"].startswith("none: ")


def test_many_looks_leave_nothing_behind(serve, receiver):
    """Twenty crashes that were read: no process, no zombie and no descriptor is left."""
    lines = f"{WATCH.replace('true', 'segfault')}{OUTSIDE}processes = 1\n"
    server = wait_for_reader(serve(lines))
    server.crash("/write_to_8")
    wait_for(lambda: len(receiver.events) == 1 and server.get("/")[0] == 200, server.text)
    before = processes_of(server)
    for count in range(2, 21):
        server.crash("/write_to_8")
        wait_for(lambda n=count: len(receiver.events) == n and server.get("/")[0] == 200, server.text)
    how = [event["contexts"]["uwsgi"]["values"] for event in receiver.events]
    assert 20 * ["read from outside"] == how
    wait_for(lambda: processes_of(server)[0] == before[0], lambda: f"{before} {processes_of(server)}")
    assert processes_of(server)[1] <= before[1] + 3
    stats = [path for path in Path("/proc").glob("[0-9]*/stat") if _session(path) == server.process.pid]
    zombies = [path for path in stats if re.search(r"\) Z ", _text(path))]
    assert [] == zombies


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def _session(path):
    fields = _text(path).rpartition(") ")[2].split()
    return int(fields[3]) if len(fields) > 3 else 0


def test_without_values_from_outside_the_event_says_so(serve, receiver):
    """C code holds the interpreter and sentry-watch-values is off: the stack as ever, and how to have the values."""
    server = serve(f"{WATCH}harakiri = 2\n{PREFORK}")
    in_background(server, "/loop_in_c")
    event = one_event(receiver, server, "harakiri")
    assert "loop_in_c" == functions(event)[-1]
    assert (
        "none: Python did not run in the main thread (see sentry-watch-values)" == event["contexts"]["uwsgi"]["values"]
    )
    assert PLANTED not in repr(event)


@pytest.mark.parametrize("wait", ["abc", "11s", "-1"])
def test_a_wrong_wait_is_said(serve, wait):
    """A time that is none is one line, and 500 ms is used."""
    server = serve(f"{WATCH}sentry-watch-crash-wait = {wait}\n")
    assert f"[sentry] sentry-watch-crash-wait: '{wait}' is not a time of at most 10s" in server.text()


DIES_EARLY = """
import ctypes, os, time
own_word = "planted" + "secret"
if not os.path.exists("died"):
    open("died", "w").close()
    time.sleep(3)  # until the reader is there
    ctypes.string_at(0)
from heka_raven.middleware import RavenMiddleware

def inner(env, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]

application = RavenMiddleware(inner, dsn=os.environ["TEST_DSN"], scrub_keys=["own_word"])
"""


def test_no_values_before_it_is_known_what_is_private(serve, receiver):
    """A worker that dies while its application is loaded, before that could say what is private, shows no values."""
    app = "import sys\nsys.path.insert(0, {root!r})\nfrom heka_raven import uwsgi_bridge\nuwsgi_bridge.show_stacks()\n"
    server = serve(f"{WATCH}{OUTSIDE}lazy-apps = true\nprocesses = 1\n", app=app + DIES_EARLY)
    event = one_event(receiver, server, "segfault")
    assert "none: the application has not said yet what is private" == event["contexts"]["uwsgi"]["values"]
    assert PLANTED not in repr(event)
    assert_nowhere(server)
