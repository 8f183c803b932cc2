"""Runs benches: all of bench/, or those named.

    python bench/run.py [NAME ...]

Figures are of this machine and this run. Compare what stands in one table; do not compare two runs.
"""

import argparse
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent
NOT_A_BENCH = {"run"}


def main():
    names = sorted(p.stem for p in BENCH.glob("*.py") if p.stem not in NOT_A_BENCH and not p.stem.startswith("_"))
    parser = argparse.ArgumentParser(prog="./run bench", description=f"Benches: {', '.join(names)}")
    parser.add_argument("name", nargs="*", choices=[*names, []], default=[], metavar="NAME")
    failed = []
    for name in parser.parse_args().name or names:
        print(f"\n=== {name}", flush=True)
        arguments = ["--all"] if name == "peers" else []
        if subprocess.run([sys.executable, str(BENCH / f"{name}.py"), *arguments]).returncode:
            failed.append(name)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
