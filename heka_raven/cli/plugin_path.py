"""`heka-raven plugin-path`: where the plugin for the uwsgi that is installed lies; built first where there is none yet.

    uwsgi --plugin "$(heka-raven plugin-path)" ...

A plugin belongs to one build of uWSGI, which is known by the flags of its compiler. The package heka-raven-plugin
brings plugins for the usual ones; any other is built, and kept in the user's cache under a hash of uwsgi and sources.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import sys
from pathlib import Path

from heka_raven.cli.build_plugin import PLUGIN, SOURCES, build, flags_of, named_or_found
from heka_raven.cli.parser import EXIT_OK, EXIT_USAGE, Parser

SOURCE_KINDS = (".c", ".h", ".py")
BROUGHT = "heka_raven_plugin"  # the package with plugins; .ci/plugin_wheel.py writes it
CURL = "libcurl.so.4"


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven plugin-path",
        description=f"Print the path of {PLUGIN} for that uwsgi, for its --plugin: one that the package "
        "heka-raven-plugin brought, else one that is built, the first time.",
    )
    parser.add_argument(
        "--uwsgi", metavar="PROGRAM", help="default: uwsgi beside this Python, else uwsgi or uwsgi-core in PATH"
    )
    arguments = parser.parse_args(argv)
    uwsgi = named_or_found(parser.prog, arguments.uwsgi)
    found = None if uwsgi is None else plugin_for(parser.prog, uwsgi)
    if isinstance(found, Path):
        print(found)
        return EXIT_OK
    return EXIT_USAGE if found is None else found


def plugin_for(prog: str, uwsgi: str) -> Path | int:
    """The plugin for *uwsgi*, built if there is none yet; or the exit code, once it was said why there is none."""
    flags = flags_of(uwsgi)
    path = brought(flags_hash(flags))
    if path is not None:
        if has_curl():
            return path
        print(f"{prog}: {path} needs {CURL}, which is not there: apt-get install libcurl4", file=sys.stderr)
        return EXIT_USAGE
    folder = cache() / key_of(Path(uwsgi), flags)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What lies there is loaded into uWSGI, maybe by root: nobody else may have put it there.
    for place in (folder.parent, folder):
        info = place.lstat()
        if info.st_uid != os.geteuid() or info.st_mode & 0o022:
            print(f"{prog}: {place}: another user may write there; set XDG_CACHE_HOME", file=sys.stderr)
            return EXIT_USAGE
    if not (folder / PLUGIN).is_file():
        code = build(prog, uwsgi, folder)
        if code != EXIT_OK:
            return code
    return folder / PLUGIN


def flags_hash(flags: str) -> str:
    """What the plugin knows those flags by: FNV-1a, as in uwsgi_plugin/uwsgiplugin.py and glue/plugin.c."""
    value = 0xCBF29CE484222325
    for byte in flags.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return f"{value:016x}"


def brought(flags: str) -> Path | None:
    """The plugin of heka-raven-plugin for a uWSGI with these flags: of our sources, and for a glibc like ours."""
    package = importlib.util.find_spec(BROUGHT)
    if package is None or not package.origin:
        return None
    folder = Path(package.origin).parent
    builds = json.loads((folder / "builds.json").read_text(encoding="utf-8"))
    if builds["machine"] != os.uname().machine or builds["sources"] != hash_of_sources():
        return None
    if glibc() < tuple(builds["glibc"]):
        return None
    name = builds["plugins"].get(flags)
    return folder / name / PLUGIN if name else None


def glibc() -> tuple[int, ...]:
    """Its version; zero where the C library is another one."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(int(part) for part in version.split(".")) if name == "glibc" else (0,)
    except ValueError:
        return (0,)


def has_curl() -> bool:
    """Whether what every plugin is linked with can be loaded."""
    try:
        ctypes.CDLL(CURL)
    except OSError:
        return False
    return True


def cache() -> Path:
    """Where built plugins are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heka-raven"


def hash_of_sources() -> str:
    """What the plugin is made of here."""
    key = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in SOURCE_KINDS:
            key.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return key.hexdigest()


def key_of(uwsgi: Path, flags: str) -> str:
    """What a plugin is good for: that program, and these sources. pyuwsgi's is a script, alike for all its versions."""
    key = hashlib.sha256(uwsgi.read_bytes() + flags.encode() + hash_of_sources().encode())
    return f"plugin-{key.hexdigest()[:32]}"
