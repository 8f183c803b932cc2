"""`./run faults [--seconds N] [--seed N] [-j N] [--list] [SCENARIO ...]`."""

import argparse
import contextlib
import json
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
from support.paths import ROOT

RECORD = ROOT / "docs" / "reliability" / "faults.txt"
MEMORY = "/dev/shm"  # a try writes some dozen small files


HALVES = (python_half, c_half, changeover, uwsgi_half, fleet_half, inbox_half)


def scenarios():
    return {one.name: one for half in HALVES for one in half.SCENARIOS}


def run_share(make, server, place, faults, out, until):
    """In a process of its own: try these faults and write a line each."""
    scenario = make(server)
    os.mkdir(place)
    scenario.open(place)
    try:
        with open(out, "w", encoding="utf-8") as file:
            for number, fault in enumerate(faults, start=1):
                if time.monotonic() > until:
                    break
                try:
                    result = scenario.attempt(number, fault)
                    line = {"fault": result.fault, "hit": result.hit, "wrong": result.wrong}
                except Exception:
                    line = {"fault": str(fault), "hit": True, "wrong": [traceback.format_exc()]}
                file.write(json.dumps(line) + "\n")
                file.flush()
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
    for pid in pids:
        os.waitpid(pid, 0)


def run(make, server, directory, options, seconds, dice):
    """One scenario: learn, choose, try. Returns the row of the table, and what is wrong."""
    began = time.monotonic()
    make.prepare()
    place = os.path.join(directory, "learn")
    os.mkdir(place)
    scenario = make(server)
    scenario.open(place)
    try:
        kinds, faults = scenario.learn()
    finally:
        scenario.close()
    known = len(faults)
    if options.only:
        faults = [fault for fault in faults if re.search(options.only, str(fault))]
    dice.shuffle(faults)
    until = time.monotonic() + seconds if seconds else float("inf")
    jobs = max(1, min(options.jobs, len(faults)))
    outs = [os.path.join(directory, f"out{number}") for number in range(jobs)]
    in_processes(
        jobs,
        lambda n: run_share(make, server, os.path.join(directory, f"place{n}"), faults[n::jobs], outs[n], until),
    )
    lines = []
    for out in outs:
        with contextlib.suppress(FileNotFoundError), open(out, encoding="utf-8") as file:
            lines += [json.loads(line) for line in file]
    row = {
        "scenario": make.name,
        "calls": sum(map(len, kinds.values())),
        "known": known,
        "tried": len(lines),
        "faults": sum(line["hit"] for line in lines),
        "wrong": sum(bool(line["wrong"]) for line in lines),
        "seconds": round(time.monotonic() - began, 1),
    }
    return row, [line for line in lines if line["wrong"]]


def main():
    parser = argparse.ArgumentParser(prog="./run faults", description=__doc__)
    parser.add_argument("scenario", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--seconds", type=float, default=0, help="at most so long for each; a sample, then")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--only", default="", help="a pattern of faults, e.g. '^openat 3 error'")
    parser.add_argument("--record", action="store_true", help=f"write the table into {RECORD.relative_to(ROOT)}")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    options = parser.parse_args()
    known = scenarios()
    if options.list:
        print("\n".join(known))
        return 0
    if wrong := [name for name in options.scenario if name not in known]:
        parser.error(f"{wrong[0]}: no such scenario; --list names them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = Receiver()
    base = tempfile.mkdtemp(prefix="hk-faults-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    bad, table = False, []

    def say(text):
        print(text, flush=True)
        table.append(text)

    try:
        say(time.strftime(f"%Y-%m-%d, {f'a sample of {options.seconds:g} s each' if options.seconds else 'whole'}"))
        say(f"{'scenario':20} {'calls':>6} {'possible':>9} {'faults':>7} {'not met':>8} {'wrong':>6} {'seconds':>8}")
        for name in options.scenario or known:
            directory = os.path.join(base, name)
            os.mkdir(directory)
            row, lines = run(known[name], server, directory, options, options.seconds, random.Random(options.seed))
            missed = row["tried"] - row["faults"]
            found = f"{row['faults']:>7} {missed:>8} {row['wrong']:>6} {row['seconds']:>8}"
            say(f"{name:20} {row['calls']:>6} {row['known']:>9} {found}")
            for line in lines:
                say(f"    {line['fault']}: {'; '.join(line['wrong'])}")
            bad = bad or bool(lines) or not row["faults"]
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        for one in known.values():
            one.end()
        server.stop()
        shutil.rmtree(base, ignore_errors=True)
    if options.record:
        RECORD.write_text("\n".join(table) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
