"""`./run faults [--seconds N] [--seed N] [-j N] [--keep FOLDER] [--list] [SCENARIO ...]`."""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback

from faults import c_half, changeover, fleet_half, inbox_half, python_half, uwsgi_half
from faults.receiver import Receiver
from faults.results import Line, Results, rows
from support.paths import ROOT

RECORD = ROOT / "docs" / "reliability" / "faults.txt"
MEMORY = "/dev/shm"  # a try writes some dozen small files


HALVES = (python_half, c_half, changeover, uwsgi_half, fleet_half, inbox_half)


def scenarios():
    return {one.name: one for half in HALVES for one in half.SCENARIOS}


def run_share(make, server, place, faults, results, until):
    """In a process of its own: try these faults and write a line each."""
    scenario = make(server)
    os.mkdir(place)
    scenario.open(place)
    try:
        with results.writer() as write:
            for number, fault in enumerate(faults, start=1):
                began = time.monotonic()
                if began > until:
                    break
                try:
                    tried = scenario.attempt(number, fault)
                    hit, wrong = tried.hit, tried.wrong
                except Exception:
                    hit, wrong = True, [traceback.format_exc()]
                write(Line(str(fault), hit, wrong, time.time(), round(time.monotonic() - began, 3)))
                shutil.rmtree(os.path.join(place, f"case{number}"), ignore_errors=True)
    finally:
        scenario.close()


def in_processes(jobs, work):
    """Call ``work(n)`` for each n in a process of its own."""
    pids = []
    for number in range(jobs):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(number)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    try:
        for pid in pids:
            os.waitpid(pid, 0)
    except BaseException:
        for pid in pids:  # one that went on without us would find its folder gone
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        raise


def learn(make, server, place, results):
    """The faults of this scenario, for all runs that go on with these results."""
    os.mkdir(place)
    scenario = make(server)
    scenario.open(place)
    try:
        kinds, faults = scenario.learn()
    finally:
        scenario.close()
    results.learn(sum(map(len, kinds.values())), faults)


def run(make, server, directory, options, results, dice):
    """One scenario: learn, choose, try."""
    make.prepare()
    if results.learned() is None:
        learn(make, server, os.path.join(directory, "learn"), results)
    faults = [fault for fault in results.left() if re.search(options.only, str(fault))]
    dice.shuffle(faults)
    until = time.monotonic() + options.seconds if options.seconds else float("inf")
    jobs = max(1, min(options.jobs, len(faults)))
    in_processes(
        jobs,
        lambda n: run_share(make, server, os.path.join(directory, f"place{n}"), faults[n::jobs], results, until),
    )


def main():
    parser = argparse.ArgumentParser(prog="./run faults", description=__doc__)
    parser.add_argument("scenario", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--seconds", type=float, default=0, help="at most so long for each; a sample, then")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", help="a pattern of faults, e.g. '^openat 3 error'")
    parser.add_argument("--record", action="store_true", help=f"write the table into {RECORD.relative_to(ROOT)}")
    parser.add_argument("--keep", metavar="FOLDER", help="results there, and go on with those that are there")
    parser.add_argument("--table", action="store_true", help="try nothing: only the table of --keep")
    parser.add_argument("-j", "--jobs", type=int, default=4, help="tries at once: they mostly wait (default: 4)")
    options = parser.parse_args()
    known = scenarios()
    if options.list:
        print("\n".join(known))
        return 0
    if wrong := [name for name in options.scenario if name not in known]:
        parser.error(f"{wrong[0]}: no such scenario; --list names them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = tempfile.mkdtemp(prefix="hk-faults-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    keep = options.keep or os.path.join(base, "results")
    os.makedirs(keep, exist_ok=True)
    every = [Results(keep, name) for name in options.scenario or known]
    try:
        if not options.table:
            run_all(every, known, base, options)
        table, bad = rows(every)
        print("\n".join(table), flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.record:
        RECORD.write_text("\n".join(table) + "\n", encoding="utf-8")
    return 1 if bad else 0


def run_all(every, known, base, options):
    server = Receiver()
    try:
        for results in every:
            directory = os.path.join(base, results.name)
            os.mkdir(directory)
            run(known[results.name], server, directory, options, results, random.Random(options.seed))
            print(rows([results])[0][2], file=sys.stderr, flush=True)
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        for one in known.values():
            one.end()
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
