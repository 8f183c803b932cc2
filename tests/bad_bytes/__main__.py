"""`python -m bad_bytes`, with tests/ and the project on PYTHONPATH."""

import argparse
import random
import sys
import time

import bad_bytes


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m bad_bytes", description=bad_bytes.__doc__.splitlines()[0])
    parser.add_argument("target", nargs="*", help=f"default: {', '.join(bad_bytes.TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each; 0: until the runs are done")
    parser.add_argument("--runs", type=int, default=0, help="at most so many for each")
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args(argv)
    bad = False
    for name in options.target or bad_bytes.TARGETS:
        began = time.monotonic()
        done, broken = bad_bytes.run(name, random.Random(options.seed), options.seconds, options.runs, keep=True)
        print(f"{name}: {done:,} runs in {time.monotonic() - began:.0f} s, seed {options.seed}: {len(broken)} broke")
        print("".join(broken), end="", flush=True)
        bad = bad or bool(broken)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
