"""What a thread waits for, by the tables that the C half reads too; and the numbers of system calls, by the headers."""

import re
from pathlib import Path

import pytest

from heka_raven.events.waiting import (
    CALLS,
    calls_of,
    lock_holder,
    read_call,
    read_channel,
    read_peer,
    read_stat,
    words_of,
)
from support.paths import read_vectors

HEADERS = [
    ("x86_64", Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), 3),
    ("aarch64", Path("/usr/include/asm-generic/unistd.h"), 4),
]


def absent(cell):
    return "" if cell == "-" else cell


def number_of(name):
    return next((row[3] for row in (line.split() for line in CALLS.split("\n") if line) if row[0] == name), "110")


@pytest.mark.parametrize("row", read_vectors("waiting.tsv"), ids=lambda row: f"{row[0]} {row[4]}")
def test_words(row):
    """The call by name, and the other end of what it waits at; one line, whatever a file is called."""
    name, target, peer, number, words = row
    target = absent(target).replace("\\xff", "\udcff").replace("\\n", "\n").replace("\\x1b", "\x1b")
    if name.startswith("wchan:"):
        call = read_channel(name.removeprefix("wchan:"))
    else:
        call = read_call(f"{number_of(name)} 0x3 0x0 0x0 0x0 0x0 0x0 0x7ffc 0x7fc5", calls_of("x86_64"))
    assert absent(words).replace("NUMBER", "110") == words_of(call, target, absent(peer), int(absent(number) or 0))


@pytest.mark.parametrize("row", read_vectors("sockets.tsv"), ids=lambda row: row[2])
def test_peers(row):
    """The other end of a connection; the own address of a socket that listens."""
    found, peer = read_peer(row[0], "tcp")
    assert absent(row[2]) == (peer if found == int(row[1]) else "")


def test_arguments():
    """The arguments of a call are numbers; a thread that runs is in none, nor is nonsense."""
    call = read_call("7 0x7ffc19105e70 0x2 0xffffffffffffffff 0x0 0x0 0x0 0x7ffc 0x7fc5\n", calls_of("x86_64"))
    assert ("poll", [0x7FFC19105E70, 2, 0xFFFFFFFFFFFFFFFF, 0, 0, 0]) == (call.name, call.arguments)
    assert [None] * 4 == [read_call(text, {}) for text in ("running\n", "-1 0x7ffc 0x7fc5", "", "x y")]
    assert [0, 0, 0, 0] == read_call("7 0x 0xzz rubbish -", calls_of("x86_64")).arguments
    assert {} == calls_of("pdp11")


def test_stat():
    """State and CPU time, whatever the process is called."""
    line = "23852 (a) R (b) S 23846 23846 24935 0 -1 4194304 126 0 0 0 17 5 0 0 20 0 1 0 1243652\n"
    assert ("S", 22) == read_stat(line)
    assert [None] * 3 == [read_stat(text) for text in ("", "1 (x) S 1", line.replace("17", "x"))]


def test_lock_holder():
    """Who holds the lock that a process waits for: the entry that its own stands under."""
    locks = (
        "1: FLOCK  ADVISORY  WRITE 812 fe:00:7873103 0 EOF\n"
        "1: -> FLOCK  ADVISORY  WRITE 899 fe:00:7873103 0 EOF\n"
        "1: -> FLOCK  ADVISORY  WRITE 900 fe:00:7873103 0 EOF\n"
        "2: POSIX  ADVISORY  READ 22439 fe:00:2171041 128 128\n"
        "3: OFDLCK ADVISORY  WRITE -1 fe:00:2171041 0 EOF\n"
        "3: -> POSIX  ADVISORY  WRITE 901 fe:00:2171041 0 EOF\n"
    )
    assert [812, 0, 0, 0] == [lock_holder(locks, pid) for pid in (900, 812, 901, 1)]
    assert 0 == lock_holder("rubbish\n1:\n1: ->\n", 1)


@pytest.mark.parametrize(("machine", "header", "column"), HEADERS, ids=[row[0] for row in HEADERS])
def test_numbers_are_those_of_the_headers(machine, header, column):
    """Each number in the table is the kernel's, on both architectures."""
    if not header.exists():
        pytest.skip("no kernel headers")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    known.setdefault("newfstatat", known.get("fstatat"))
    for line in CALLS.split("\n"):
        if line:
            row = line.split()
            assert known.get(row[0]) == (None if row[column] == "-" else row[column]), row[0]
