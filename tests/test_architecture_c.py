"""The shape of the C half, as docs/architecture.rst draws it: rooms, names, lengths."""

import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "uwsgi_plugin"

# Room: the rooms that it may include and call.
BELOW = {
    "core": (),
    "edge": ("core",),
    "sender": ("core", "edge"),
    "server": ("core", "edge"),
    "watch": ("core", "edge", "server"),
    "glue": ("core", "edge", "sender", "server", "watch"),
}
FILES = sorted(p.relative_to(PLUGIN).as_posix() for p in PLUGIN.rglob("*.[ch]"))
SOURCES = [name for name in FILES if name.endswith(".c")]
TESTS = sorted(p for folder in ("c", "fuzz") for p in (ROOT / "tests" / folder).glob("*.[ch]"))

MAX_LINES = 450
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 70

# core/ works on bytes, times and ids that it is given. elf.h, signal.h, sys/syscall.h: for types and numbers only.
PURE_HEADERS = {
    "elf.h", "stddef.h", "stdint.h", "string.h", "stdlib.h", "limits.h", "math.h", "signal.h", "stdalign.h",
    "sys/syscall.h",
}  # fmt: skip
IMPURE_CALLS = {
    "abort", "clock_gettime", "exit", "fopen", "fork", "fprintf", "getenv", "getpid", "gettimeofday", "getrandom",
    "kill", "open", "openat", "printf", "pthread_create", "raise", "rand", "random", "read", "setenv", "sigaction",
    "signal", "socket", "system", "time", "usleep", "write",
}  # fmt: skip


@cache
def code(name):
    """The file's text without comments and the insides of strings; each line stays a line."""
    text = (PLUGIN / name).read_text(encoding="utf-8")
    pattern = r"""/\*.*?\*/|//[^\n]*|(?<!include )"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
    return re.sub(pattern, lambda m: "\n" * m[0].count("\n") if m[0][0] == "/" else '""', text, flags=re.S)


@cache
def functions(name):
    """(name, is static, lines) of each function that the file defines."""
    found, head, start = [], [], None
    for number, line in enumerate(code(name).splitlines()):
        if line == "{":
            start = number - len(head)
            signature = " ".join(head)
        elif line == "}" and start is not None:
            word = re.search(r"(\w+)\(", re.sub(r"__attribute__\(\(.*?\)\)", "", signature))
            found.append((word[1], signature.startswith("static"), number - start + 1))
            start = None
        if start is None:
            head = [] if line == "" or line[0] in "#}" or line.endswith(";") else [*head, line]
    return found


def unit(name):
    return name.rsplit(".", 1)[0]


def room(name):
    return name.split("/", 1)[0]


@cache
def home():
    """The unit that owns each name seen by more than one file: a function it defines, or a variable."""
    owners = {}
    for name in FILES:
        for function, _static, _lines in functions(name):
            if function.startswith("hk_"):
                owners.setdefault(function, set()).add(unit(name))
    declared = {v for n in FILES for v in re.findall(r"^extern [^(]*?\**(\w+)(?:\[.*\])?;", code(n), re.M)}
    for name in SOURCES:
        for variable in re.findall(r"^(?!extern|static|typedef)\w[\w *]*?\b(\w+)(?:\[.*\])?(?: =|;)", code(name), re.M):
            if variable in declared:
                owners.setdefault(variable, set()).add(unit(name))
    return owners


@cache
def needs():
    """For each unit the others whose functions and variables it names (a header only declares them)."""
    owners = {word: min(units) for word, units in home().items()}
    out = {}
    for name in FILES:
        mine = out.setdefault(unit(name), {})
        if name.endswith(".c"):
            for word in set(re.findall(r"\b\w+\b", code(name))) & owners.keys():
                mine.setdefault(owners[word], word)
        mine.pop(unit(name), None)
    return out


@cache
def includes():
    """For each file the headers of ours that it includes."""
    return {
        name: [
            ((PLUGIN / name).parent / path).resolve().relative_to(PLUGIN).as_posix()
            for path in re.findall(r'^#include "(.+)"', code(name), re.M)
        ]
        for name in FILES
    }


def test_the_parser_sees_the_code():
    """What this file reads is what the compiler reads: some hundred functions, each defined once."""
    assert 6 == len({room(name) for name in FILES})
    assert 250 < sum(len(functions(name)) for name in FILES)
    assert {} == {word: units for word, units in home().items() if len(units) > 1}
    assert {"hk_buf_put", "hk_settings", "hk_settings_options"} <= home().keys()


def test_rooms_point_down():
    """No file includes a header of a room above or beside its own, nor calls a function that is defined there."""
    up = [
        f"{user} names {owner} ({why})"
        for user, used in needs().items()
        for owner, why in used.items()
        if room(owner) != room(user) and room(owner) not in BELOW[room(user)]
    ]
    up += [
        f"{name} includes {header}"
        for name, headers in includes().items()
        for header in headers
        if room(header) != room(name) and room(header) not in BELOW[room(name)]
    ]
    assert [] == up


def module(name):
    """The file; of a module that has several, the first: text.c, text_words.c and text_shapes.c are one, text."""
    first = unit(name).split("_")[0]
    return first if first + ".c" in FILES else unit(name)


@pytest.mark.parametrize("graph", [needs, includes])
def test_no_circle(graph):
    """Files that need each other are one module: none calls, or includes, over others, itself."""
    modules = {}
    for user, used in graph().items():
        modules.setdefault(module(user), set()).update(map(module, used))
    try:
        TopologicalSorter({name: used - {name} for name, used in modules.items()}).prepare()
    except CycleError as circle:
        pytest.fail(" > ".join(circle.args[1]))


def test_the_build_knows_the_rooms():
    """uwsgiplugin.py lists every source, room by room from the ground up."""
    plugin = {}
    exec((PLUGIN / "uwsgiplugin.py").read_text(encoding="utf-8"), plugin)
    assert list(BELOW) == list(plugin["ROOMS"])
    assert SOURCES == sorted(f + ".c" for f in plugin["GCC_LIST"])
    assert {} == {r: files for r, files in plugin["ROOMS"].items() if files != sorted(files)}


def test_only_the_sender_includes_curl():
    """libcurl lives in the sender's process alone."""
    assert ["sender/http_state.h"] == [name for name in FILES if re.search(r"^#include <curl/", code(name), re.M)]


def test_who_includes_uwsgi():
    """core, edge and sender compile, and are tested, without uWSGI."""
    assert {"server", "watch", "glue"} >= {
        room(name) for name in FILES if re.search(r"^#include [<\"]uwsgi\.h", code(name), re.M)
    }


@pytest.mark.parametrize("name", [name for name in FILES if room(name) == "core"])
def test_core_is_pure(name):
    """core/ opens nothing, asks no clock and starts nothing: bytes, times and ids are passed in."""
    headers = set(re.findall(r"^#include <(.+)>", code(name), re.M))
    assert set() == headers - PURE_HEADERS
    assert set() == set(re.findall(r"(?<![\w.>])(\w+)\(", code(name))) & IMPURE_CALLS


def names_of(stem):
    return f"hk_{stem}_", f"hk_{stem.split('_')[0]}_"


def test_names():
    """A function that others see is called hk_<file>_<verb>, or hk_<first word of the file>_<verb> where a module has
    several files; everything else is static; a file's name occurs once."""
    stems = [unit(name).split("/")[1] for name in SOURCES]
    assert sorted(set(stems)) == sorted(stems)
    wrong = [
        f"{name}: {function}"
        for name in FILES
        for function, static, _lines in functions(name)
        if not function.startswith(names_of(unit(name).split("/")[1])) and (not static or name.endswith(".h"))
    ]
    assert [] == wrong


def test_no_function_is_long():
    """A function fits on a screen: 70 lines at most."""
    long = [
        f"{name}: {function}: {lines}"
        for name in FILES
        for function, _static, lines in functions(name)
        if lines > MAX_FUNCTION_LINES
    ]
    assert [] == long


def test_no_file_is_long():
    """A file is read in one sitting: 450 lines at most, 600 for a test."""
    paths = [(PLUGIN / name, MAX_LINES) for name in FILES] + [(path, MAX_TEST_LINES) for path in TESTS]
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path, most in paths
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > most
    ]
    assert [] == long
