"""Builds the documentation, warnings as errors, and runs its doctests.

python docs/build.py [--theme default|mozilla]
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(prog="./run docs", description="Build the documentation as HTML.")
    parser.add_argument("--theme", choices=["default", "mozilla"], default="default")
    theme = parser.parse_args().theme
    out = DOCS / "_build" / theme
    environ = {**os.environ, "DOCS_THEME": theme}
    for builder, folder in (("doctest", DOCS / "_build" / "doctest"), ("html", out)):
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", builder, str(DOCS), str(folder)],
            env=environ,
        )
        if done.returncode:
            return done.returncode
    print(f"docs: {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
