"""What an event of the watch has, case by case: runs them all on this machine, and writes docs/watch_cases.tsv.

    python bench/_watch_cases.py [--only CASE]

The cases are those of the tests (tests/support/values.py and crashes.py): in workers of one request, in threads, and
under gevent; the server as root, and as nobody where root runs this. With --only it prints the rows, and writes
nothing. It takes three minutes.
"""

import argparse
import contextlib
import datetime
import os
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import crashes, values  # noqa: E402
from support.postgres import find_programs, locked_table  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.users import NOBODY, launch_readable  # noqa: E402
from support.uwsgi import Server, find_uwsgi, shared_plugin  # noqa: E402
from support.waiting import wait_for  # noqa: E402
from support.watch import GEVENT, PREFORK, THREADS, functions, native  # noqa: E402

TABLE = ROOT / "docs" / "watch_cases.tsv"
NOTHING = "\N{EN DASH}"
HEADS = ["servers", "event", "local variables", "innermost function of Python", "native frames", "waits for"]
MODES = {"prefork": PREFORK, "threads": THREADS, "gevent": GEVENT}
WATCHED = "harakiri = 4\nsentry-watch = true\nsentry-watch-values = true\nsentry-watch-storm = 100\n"
CASES = {  # the application, its path, and the words of the table
    "sleep_in_python": (values, "a sleep"),
    "loop_in_python": (values, "a loop in Python"),
    "match_text": (values, "a regular expression"),
    "ask_database": (values, "a lock in PostgreSQL"),
    "loop_in_c": (values, "a loop in C, holding the GIL"),
    "write_to_8": (values, "memcpy to address 8"),
    "abort": (crashes, "abort in a C library"),
    "smash": (crashes, "a smashed stack"),
}
AT_ONCE = 2  # servers: each waits for its harakiri most of the time
SHOWN = {values: "number", crashes: "name"}  # a variable that the innermost function has


@contextlib.contextmanager
def served(application, mode, user, environ):
    """A server of *application*, and who receives its events."""
    with tempfile.TemporaryDirectory(prefix="hk-cases-", ignore_cleanup_errors=True) as where:
        os.chmod(where, 0o777)
        lines, launch = WATCHED + MODES[mode], None
        if application is crashes:
            crashes.build_libraries(Path(where))
        if user == "nobody":
            lines, launch = f"uid = {NOBODY}\ngid = {NOBODY}\n{lines}", launch_readable(where)
        receiver = Receiver()
        uwsgi = find_uwsgi()
        keywords = {"app": application.APP, "launch": launch, "env": {"TEST_DSN": receiver.dsn, **environ}}
        server = Server(uwsgi, shared_plugin(uwsgi), Path(where), lines, dsn=receiver.dsn, **keywords)
        try:
            server.wait_ready()
            wait_for(lambda: "spawned uWSGI sentry reader" in server.text(), server.text)
            yield server, receiver
        finally:
            server.stop()
            receiver.close()


def event_of(server, receiver, path):
    """Ask for this, and wait for what is told of it."""
    wait_for(server._answers, server.text)
    time.sleep(0.5)  # a request that ends takes the one timer of its worker with it
    threading.Thread(target=server.crash, args=("/" + path,), daemon=True).start()
    return wait_for(lambda: next((e for e in receiver.events if url_of(e).endswith("/" + path)), None), receiver.texts)


def url_of(event):
    return event.get("contexts", {}).get("uwsgi", {}).get("suspect", {}).get("url", "")


def row_of(event, variable):
    """The cells of one event."""
    told = event["contexts"]["uwsgi"]
    frames = event["exception"]["values"][0].get("stacktrace", {"frames": []})["frames"]
    shows = any(variable in frame.get("vars", {}) for frame in frames)
    where = told.get("values", NOTHING)
    every = [f"{name or 'no name'} ({library})" for name, library in native(event)]
    machine_code = [frame for frame in every if "(libpython3" not in frame][-5:] or every[-3:]
    waits = told.get("waiting_on") or told.get("waiting_on_missing") or told.get("state", NOTHING)
    waits = re.sub(r"user \d+ may not read /proc/\d+/syscall", "not readable for the master's user", waits)
    return (
        event["tags"]["uwsgi.event"],
        where if shows or where.startswith("none") else f"{where}, but not of this function",
        functions(event)[-1] if functions(event) else NOTHING,
        " > ".join(machine_code) or NOTHING,
        re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", waits),
    )


def cells_of(mode, user, only, environ):
    """The cells of each case on these servers."""
    cells = {}
    for application in (values, crashes):
        paths = [case for case, (its, _) in CASES.items() if its is application and only in (None, case)]
        if paths:
            with served(application, mode, user, environ) as (server, receiver):
                for path in paths:
                    cells[path] = row_of(event_of(server, receiver, path), SHOWN[application])
    return cells


def run(only):
    """case → cells → the servers that had them; and all servers."""
    users = ["root", "nobody"] if os.geteuid() == 0 else [os.environ.get("USER", "one user")]
    servers = [(mode, user) for user in users for mode in MODES]
    shared_plugin(find_uwsgi())
    with contextlib.ExitStack() as stack:
        environ = {}
        if only in (None, "ask_database"):
            if find_programs() is None:
                raise SystemExit("watch_cases: no PostgreSQL: apt-get install postgresql")
            environ["TEST_CONNINFO"] = stack.enter_context(locked_table())
        pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        every = list(pool.map(lambda server: cells_of(*server, only, environ), servers))
    seen = {case: {} for case in every[0]}
    for server, cells in zip(servers, every, strict=True):
        for case, its in cells.items():
            seen[case].setdefault(its, []).append(server)
    return seen, servers


def servers_text(had, every):
    """``all``; ``threads``, where all users had it; ``prefork as nobody``."""
    if set(had) == set(every):
        return "all"
    users = list(dict.fromkeys(user for _, user in every))
    whole = [mode for mode in MODES if all((mode, user) in had for user in users)]
    users = [user for user in users if all((mode, user) in had for mode in MODES)]
    rest = [f"{mode} as {user}" for mode, user in had if mode not in whole and user not in users]
    return ", ".join([*whole, *(f"all as {user}" for user in users), *rest])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CASES, metavar="CASE", help=", ".join(CASES))
    only = parser.parse_args().only
    seen, every = run(only)
    day = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    rows = [[f"case, on {day}", *HEADS]]
    for case, found in seen.items():
        rows += [[CASES[case][1], servers_text(had, every), *cells] for cells, had in found.items()]
    text = "".join("\t".join(row) + "\n" for row in rows)
    if only is None:
        TABLE.write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
