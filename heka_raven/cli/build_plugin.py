"""`heka-raven build-plugin`: sentry_plugin.so for the uwsgi binary that is installed here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Parser

PLUGIN = "sentry_plugin.so"
SOURCES = Path(__file__).resolve().parent.parent / "uwsgi_plugin"
LOG_LINES = 15  # of a failed build: the compiler's last words
ANSWER_S = 60  # for uwsgi --cflags
PACKAGES = "gcc libcurl4-openssl-dev"  # by their names in Debian
# What uwsgi.h includes for the features that this uWSGI was compiled with; Debian's own has them all.
FEATURES = {
    "UWSGI_CAP": "libcap-dev",
    "UWSGI_PCRE": "libpcre3-dev",
    "UWSGI_PCRE2": "libpcre2-dev",
    "UWSGI_SSL": "libssl-dev",
    "UWSGI_UUID": "uuid-dev",
    "UWSGI_ZLIB": "zlib1g-dev",
}


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven build-plugin",
        description=f"Build {PLUGIN} with `uwsgi --build-plugin`, for that uwsgi: a plugin belongs to one binary.",
    )
    parser.add_argument(
        "--uwsgi", metavar="PROGRAM", help="default: uwsgi beside this Python, else uwsgi or uwsgi-core in PATH"
    )
    parser.add_argument("--output", metavar="DIR", default=".", help="where to put it (default: here)")
    parser.add_argument("--sources", metavar="DIR", default=str(SOURCES), help="default: those of this package")
    arguments = parser.parse_args(argv)
    uwsgi = named_or_found(parser.prog, arguments.uwsgi)
    if uwsgi is None:
        return EXIT_USAGE
    sources = Path(arguments.sources)
    if not (sources / "uwsgiplugin.py").is_file():
        print(f"{parser.prog}: {sources} has no uwsgiplugin.py", file=sys.stderr)
        return EXIT_USAGE
    output = Path(arguments.output).resolve()
    if not output.is_dir() or not os.access(output, os.W_OK):
        print(f"{parser.prog}: {output} is not a directory that can be written to", file=sys.stderr)
        return EXIT_USAGE
    code = build(parser.prog, uwsgi, output, sources)
    if code == EXIT_OK:
        print(f"{output / PLUGIN}: built for {uwsgi}. In the ini: plugins-dir = {output} and plugin = sentry")
    return code


def build(prog: str, uwsgi: str, output: Path, sources: Path = SOURCES) -> int:
    """Put a plugin for *uwsgi* into *output*; the exit code, and what went wrong on stderr."""
    if not shutil.which(os.environ.get("CC", "gcc").split()[0]):
        print(f"{prog}: no C compiler; apt-get install {packages_for(uwsgi)}, or name one in $CC", file=sys.stderr)
        return EXIT_USAGE
    print("compiling the plugin: half a minute, as a rule", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="heka-raven-build-") as scratch:
        # Built in a copy: an installed package may be read-only, and uwsgi leaves object files beside the sources.
        copy = Path(scratch) / "uwsgi_plugin"
        shutil.copytree(sources, copy, ignore=shutil.ignore_patterns("*.o", "*.so", "__pycache__"))
        ran = subprocess.run(  # noqa: S603 - the program the user named
            [uwsgi, "--build-plugin", str(copy)],
            cwd=scratch,
            # Its builder runs $PYTHON, else "python", which Debian does not have.
            env={"PYTHON": sys.executable, **os.environ},
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
        built = Path(scratch) / PLUGIN
        if ran.returncode != 0 or not built.is_file():
            print("\n".join((ran.stdout + ran.stderr).splitlines()[-LOG_LINES:]), file=sys.stderr)
            needed = f"it needs (Debian): apt-get install {packages_for(uwsgi)}"
            print(f"{prog}: {uwsgi} --build-plugin failed, see above; {needed}", file=sys.stderr)
            return EXIT_FAILED
        # Beside the target first: a server that has the old one mapped must not see it change.
        temporary = output / f".{PLUGIN}.{os.getpid()}"
        shutil.copyfile(built, temporary)
        temporary.chmod(0o755)
        temporary.rename(output / PLUGIN)
    return EXIT_OK


def flags_of(uwsgi: str) -> str:
    """The flags it was compiled with; empty where it does not tell."""
    try:
        ran = subprocess.run(  # noqa: S603 - the program the user named
            [uwsgi, "--cflags"], capture_output=True, text=True, errors="replace", check=False, timeout=ANSWER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.rstrip("\n") if ran.returncode == 0 else ""


def packages_for(uwsgi: str) -> str:
    """What a plugin for this uwsgi is compiled with."""
    flags = set(re.findall(r"-D(\w+)", flags_of(uwsgi)))
    return " ".join([PACKAGES, *(package for flag, package in FEATURES.items() if flag in flags)])


def named_or_found(prog: str, named: str | None) -> str | None:
    """The uwsgi that was named, or the one that is installed; None once it was said that there is none."""
    uwsgi = find_uwsgi(named)
    if uwsgi is None and named:
        print(f"{prog}: --uwsgi {named}: there is no such program", file=sys.stderr)
    elif uwsgi is None:
        print(
            f"{prog}: no uwsgi found; install one (libpcre2-dev, then pip install --no-binary uwsgi uwsgi), or name it "
            "with --uwsgi",
            file=sys.stderr,
        )
    return uwsgi


def find_uwsgi(named: str | None) -> str | None:
    """Its absolute path: it runs in the folder that the plugin is built in."""
    beside = Path(sys.executable).parent / "uwsgi"
    if named:
        found = shutil.which(named)
    elif os.access(beside, os.X_OK):
        found = str(beside)
    else:
        found = shutil.which("uwsgi") or shutil.which("uwsgi-core")
    return os.path.abspath(found) if found else None
