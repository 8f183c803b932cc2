"""Crashes in C: the event's stack goes on below Python, with the library and function that did it."""

import json
import os
import signal
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from heka_raven.inbox.event.shape import read_event
from support.crashes import APP, build_id, build_libraries
from support.events import remarks
from support.paths import DATA
from support.users import NOBODY, ROOT_ONLY, launch_readable
from support.waiting import wait_for
from support.watch import GEVENT, MODES, PREFORK, THREADS, frames, full, functions, native, one_event

WATCH = "sentry-watch = true\n"
PATIENT = WATCH + "sentry-watch-patience = 5000\n"
SCHEMA = DATA / "sentry_event.schema.json"
CRASHES = {  # the event, the names that it shows, outermost first, and what tells it from others
    "write": ("segfault", ["shop_write", "inner_write"], "inner_write"),
    "abort": ("abort", ["shop_abort", "give_up", "abort"], "give_up"),
    "free": ("abort", ["shop_free", "abort"], "shop_free"),  # free() of glibc 2.43 has left when another aborts
    "call_nothing": ("segfault", ["shop_call_nothing"], "shop_call_nothing"),
    "overflow": ("segfault", ["shop_overflow", "deeper"], "deeper"),
    "smash": ("segfault", ["smash", "inner_write"], "inner_write"),
    "smash_and_return": ("segfault", ["smash_and_return"], "smash_and_return"),
}


@pytest.fixture
def serve(serve, tmp_path):
    """A server whose application calls a C library that crashes."""
    build_libraries(tmp_path)
    return partial(serve, app=APP)


def names(event):
    return [function for function, _ in native(event)]


def images(event):
    return {os.path.basename(image["code_file"]): image for image in event["debug_meta"]["images"]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CRASHES)
def test_the_function_in_the_library(serve, receiver, mode, name):
    """One event: the request, Python's innermost function, and inside it those of the C library; neither the
    plugin's own frames nor what lies below Python."""
    server = serve(WATCH + mode)
    server.crash("/" + name)
    kind, expected, place = CRASHES[name]
    event = one_event(receiver, server, kind)
    assert "GET /" + name == event["transaction"] and "view" == functions(event)[-1]
    assert expected == [n for n in dict.fromkeys(names(event)) if n in expected], native(event)
    assert {n for n, library in native(event) if library == "libshop.so"} <= {*expected}
    assert [kind, "GET /" + name, "view in app.py", place] == event["fingerprint"]
    assert 4 >= names(event).count("deeper") and not {"main", "hk_unwind_take", "uwsgi_run"} & {*names(event)}
    whole = name not in ("smash", "smash_and_return", "call_nothing")
    guessed = "native_frames_guessed" in event["contexts"]["uwsgi"]
    assert not (whole and guessed)
    # Behind a stack that is written over lies what happens to be there: a call of Python's, none of ffi's (Debian 13).
    assert whole or guessed or {"libshop.so"} == {library for _, library in native(event)}
    assert all(frame["in_app"] is False for frame in frames(event, native=True))
    assert 1 >= server.text().count("got Segmentation Fault")


def test_a_library_is_named_by_its_build_id(serve, receiver, tmp_path):
    """debug_meta has what a server needs to find symbols: build id, address and size of each file with a frame."""
    server = serve(WATCH + PREFORK)
    server.crash("/write")
    event = one_event(receiver, server, "segfault")
    shown = images(event)
    assert {library for _, library in native(event)} == {*shown}
    shop, code_id = shown["libshop.so"], build_id(tmp_path / "libshop.so")
    assert ("elf", str(tmp_path / "libshop.so"), code_id) == (shop["type"], shop["code_file"], shop["code_id"])
    assert str(uuid.UUID(bytes_le=bytes.fromhex(code_id)[:16])) == shop["debug_id"]
    start = int(shop["image_addr"], 16)
    (inner,) = [f for f in frames(event, native=True) if f.get("function") == "inner_write"]
    assert start == int(inner["image_addr"], 16)
    assert start < int(inner["symbol_addr"], 16) <= int(inner["instruction_addr"], 16) < start + shop["image_size"]


@full
def test_sentry_and_the_inbox_take_it(serve, receiver):
    """Sentry's schema and its normaliser have no remark; the inbox shows function and library, and what was loaded."""
    server = serve(WATCH + PREFORK)
    server.crash("/smash")
    event = one_event(receiver, server, "segfault")
    jsonschema.validate(event, json.loads(SCHEMA.read_text()))
    assert ([], []) == remarks(event)
    shown = read_event(event)
    assert ("inner_write", "libshop.so") == (shown.errors[-1].frames[-1].name, shown.errors[-1].frames[-1].place)
    assert images(event)["libshop.so"]["debug_id"] in [image.ident for image in shown.images]


def test_memcpy_to_nowhere(serve, receiver):
    """The C library's own function is shown; in the fingerprint stands who called it."""
    server = serve(WATCH + PREFORK)
    server.crash("/memcpy")
    event = one_event(receiver, server, "segfault")
    assert "view" == functions(event)[-1]
    assert "libc.so.6" == native(event)[-1][1] and "libffi.so" in str(native(event))
    assert "libc" not in event["fingerprint"][3] and "mem" not in event["fingerprint"][3]


def test_a_library_without_symbols(serve, receiver, tmp_path):
    """The library, the address and the functions that it exports: what it hides has no name, and no wrong one."""
    server = serve(WATCH + PREFORK)
    server.crash("/bare_write")
    event = one_event(receiver, server, "segfault")
    assert [("shop_write", "libbare.so"), ("", "libbare.so")] == native(event)[-2:]
    assert build_id(tmp_path / "libbare.so") == images(event)["libbare.so"]["code_id"]


def test_a_library_that_was_replaced(serve, receiver, tmp_path):
    """A file that an upgrade put in the place of the loaded one names nothing: its functions lie elsewhere."""
    server = serve(WATCH + PREFORK)
    code_id = build_id(tmp_path / "libshop.so")
    other = (tmp_path / "shop.c").read_text().replace("inner_write", "another")
    build_libraries(tmp_path, other)
    server.crash("/write")
    event = one_event(receiver, server, "segfault")
    assert [("", "libshop.so")] * 2 == native(event)[-2:] and code_id == images(event)["libshop.so"]["code_id"]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python stops such a recursion itself: a RecursionError")
@pytest.mark.parametrize("mode", [pytest.param(PREFORK, id="prefork"), pytest.param(THREADS, id="threads")])
def test_a_stack_overflow_of_python(serve, receiver, mode):
    """Recursion that Python does not stop: the handler has a stack of its own, in each of uWSGI's threads."""
    server = serve(WATCH + mode)
    server.crash("/python_overflow")
    event = one_event(receiver, server, "segfault")
    assert "GET /python_overflow" == event["transaction"]
    assert "__repr__" == functions(event)[-1] and native(event)


@pytest.mark.parametrize("name", ["write", "overflow"])
def test_a_thread_of_the_application(serve, receiver, name):
    """A thread that uWSGI does not know: its frames, and no stack where it has none left."""
    server = serve(WATCH + "enable-threads = true\n" + PREFORK)
    server.crash("/thread_" + name)
    event = one_event(receiver, server, "segfault")
    assert "GET /thread_" + name == event["transaction"]
    if name == "write":
        assert "inner_write" == names(event)[-1]


@ROOT_ONLY
@pytest.mark.parametrize("mode", [PREFORK, THREADS, pytest.param(GEVENT, marks=full)])
def test_as_another_user(serve, receiver, passable, mode):
    """Workers that gave up root: the addresses come from the worker itself, and the names are read as its user."""
    build_libraries(passable)
    server = serve(f"uid = {NOBODY}\ngid = {NOBODY}\n{WATCH}{mode}", where=passable, launch=launch_readable(passable))
    server.crash("/abort")
    event = one_event(receiver, server, "abort")
    assert ["shop_abort", "give_up", "abort"] == [n for n in names(event) if n in CRASHES["abort"][1]]


HANGS = {
    "spin": ["shop_spin"],  # without the GIL, and with it
    "holding_spin": ["shop_spin"],
    "sleep": ["shop_sleep", "sleep"],  # which a signal ends
    "loop": [],  # of Python itself
}


@pytest.mark.parametrize("mode", [PREFORK, pytest.param(GEVENT, marks=full)])
@pytest.mark.parametrize("name", HANGS)
def test_a_harakiri_in_c(serve, receiver, mode, name):
    """A worker that hangs in C: the function and its library, also while Python cannot run; grouped as before."""
    server = serve(f"{PATIENT}harakiri = 3\n{mode}")
    server.crash("/" + name)
    event = one_event(receiver, server, "harakiri")
    assert "view" == functions(event)[-1]
    assert HANGS[name] == [n for n in names(event) if n in HANGS[name]]
    assert HANGS[name] or not native(event)
    assert ["harakiri", "GET /" + name, "view in app.py"] == event["fingerprint"]
    assert bool(HANGS[name]) == ("debug_meta" in event)


def test_frames_of_a_harakiri_that_was_outlived(serve, receiver):
    """What a worker told while it lived is not shown of its end."""
    graceful = f"harakiri = 2\nharakiri-graceful-timeout = 20\nharakiri-graceful-signal = {int(signal.SIGALRM)}\n"
    server = serve(f"{PATIENT}{graceful}processes = 1\n")
    assert 200 == server.get("/survive")[0]
    time.sleep(3)  # OUTLIVED_MS in watch/deaths.c, and a look of the master
    server.crash("/leave")
    wait_for(lambda: len(receiver.events) == 2, lambda: f"two events\n{server.text()}")
    by_kind = {event["tags"]["uwsgi.event"]: event for event in receiver.events}
    assert native(by_kind["harakiri"]) and not native(by_kind["exit"])


@full
def test_a_hundred_crashes_leave_nothing(serve, receiver):
    """Each is told once; the server has the descriptors, the memory and the processes of before."""
    server = serve(WATCH + "processes = 4\nsentry-watch-storm = 1000\nforkbomb-delay = 0\n")
    master = f"/proc/{server.process.pid}"

    def crash_all(number):  # at once: after each death uWSGI waits for a second
        with ThreadPoolExecutor() as pool:
            list(pool.map(server.crash, ["/write", "/abort", "/smash", "/call_nothing"]))
        wait_for(lambda: len(receiver.events) == number, lambda: f"{number} events, got {len(receiver.events)}")
        wait_for(lambda: len(server.pids()) == processes, lambda: f"all workers, got {server.pids()}")

    def state():
        return Path(master, "maps").read_text().count("\n"), len(os.listdir(f"{master}/fd"))

    processes = 3 + 4  # uWSGI's, the sender's, HTTP's, and the workers
    crash_all(4)
    before = state()
    for number in range(8, 101, 4):
        crash_all(number)
    assert all(native(event) for event in receiver.events)
    maps, descriptors = state()
    assert before[1] == descriptors and maps <= before[0] + 3
