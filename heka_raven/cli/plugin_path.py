"""`heka-raven plugin-path`: where the plugin for the uwsgi that is installed lies; built first where there is none yet.

    uwsgi --plugin "$(heka-raven plugin-path)" ...

A plugin belongs to one binary: it is kept under a hash of that binary and of the sources, in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from heka_raven.cli.build_plugin import PLUGIN, SOURCES, build, named_or_found
from heka_raven.cli.parser import EXIT_OK, EXIT_USAGE, Parser

SOURCE_KINDS = (".c", ".h", ".py")


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven plugin-path",
        description=f"Print the path of {PLUGIN} for that uwsgi, for its --plugin. The first time it is built.",
    )
    parser.add_argument(
        "--uwsgi", metavar="PROGRAM", help="default: uwsgi beside this Python, else uwsgi or uwsgi-core in PATH"
    )
    uwsgi = named_or_found(parser.prog, parser.parse_args(argv).uwsgi)
    if uwsgi is None:
        return EXIT_USAGE
    folder = cache() / key_of(Path(uwsgi))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What lies there is loaded into uWSGI, maybe by root: nobody else may have put it there.
    for path in (folder.parent, folder):
        info = path.lstat()
        if info.st_uid != os.geteuid() or info.st_mode & 0o022:
            print(f"{parser.prog}: {path}: another user may write there; set XDG_CACHE_HOME", file=sys.stderr)
            return EXIT_USAGE
    if not (folder / PLUGIN).is_file():
        code = build(parser.prog, uwsgi, folder)
        if code != EXIT_OK:
            return code
    print(folder / PLUGIN)
    return EXIT_OK


def cache() -> Path:
    """Where built plugins are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heka-raven"


def key_of(uwsgi: Path) -> str:
    """What a plugin is good for: that binary, and these sources."""
    key = hashlib.sha256(uwsgi.read_bytes())
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in SOURCE_KINDS:
            key.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return f"plugin-{key.hexdigest()[:32]}"
