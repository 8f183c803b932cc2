"""The table of types, Python's own: a test for each row. Libraries: tests/functional/events/test_libraries.py."""

import asyncio
import collections
import datetime
import decimal
import fractions
import functools
import io
import ipaddress
import logging
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import types
import uuid
import zoneinfo

import pytest

from heka_raven.capture.readers import BUILT_IN, BY_NAME, row_of
from support.events import make_walker

UTC = datetime.timezone.utc


def show(value, **options):
    return make_walker(**options).show(value)


def sqlite_row():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    try:
        return database.execute("select 1 as id, 'x' as token").fetchone()
    finally:
        database.close()


def function():
    """For the test of functions."""


async def coroutine():
    """For the test of coroutines."""


async def async_generator():
    yield 1


def closed_coroutine():
    running = coroutine()
    running.close()
    return running


class Method:
    def of(self):
        """For the test of methods."""


M = __name__
ROWS = {
    datetime.datetime: (datetime.datetime(2013, 11, 29, 12, tzinfo=UTC), "2013-11-29T12:00:00+00:00"),
    datetime.time: (datetime.time(12, 30), "12:30:00"),
    datetime.date: (datetime.date(2013, 11, 29), "2013-11-29"),
    datetime.timedelta: (datetime.timedelta(seconds=90), "0:01:30"),
    datetime.timezone: (UTC, "UTC"),
    decimal.Decimal: (decimal.Decimal("1.50"), "1.50"),
    fractions.Fraction: (fractions.Fraction(1, 3), "1/3"),
    complex: (1 + 2j, "(1+2j)"),
    range: (range(0, 10, 3), "range(0, 10, 3)"),
    slice: (slice(1, None, 2), "slice(1, None, 2)"),
    memoryview: (memoryview(b"12"), "<memoryview of 2 bytes>"),
    type(...): (..., "Ellipsis"),
    type(NotImplemented): (NotImplemented, "NotImplemented"),
    re.Pattern: (re.compile("a+"), "re.compile('a+')"),
    re.Match: (re.search("b(.)", "abc"), {"__class__": "re.Match", "span": [1, 3], "match": "bc", "groups": ["c"]}),
    pathlib.PosixPath: (pathlib.PosixPath("/a") / "b", "/a/b"),
    pathlib.PurePosixPath: (pathlib.PurePosixPath("/a/b"), "/a/b"),
    pathlib.PureWindowsPath: (pathlib.PureWindowsPath("c:/a"), "c:\\a"),
    ipaddress.IPv4Address: (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    ipaddress.IPv6Address: (ipaddress.ip_address("::1"), "::1"),
    ipaddress.IPv4Network: (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    ipaddress.IPv6Network: (ipaddress.ip_network("::/8"), "::/8"),
    zoneinfo.ZoneInfo: (zoneinfo.ZoneInfo("UTC"), "<zoneinfo.ZoneInfo UTC>"),
    functools.partial: (
        functools.partial(int, "5", base=7),
        {"__class__": "functools.partial", "func": "<class int>", "args": ["5"], "keywords": {"base": 7}},
    ),
    type({}.items()): ({"a": 1, "token": "x"}.items(), {"a": 1, "token": "[Filtered]"}),
    type(collections.OrderedDict().items()): (collections.OrderedDict(a=1).items(), {"a": 1}),
    types.MappingProxyType: (types.MappingProxyType({"a": 1, "token": "x"}), {"a": 1, "token": "[Filtered]"}),
    types.FunctionType: (function, f"<function {M}.function>"),
    types.BuiltinFunctionType: (len, "<built-in function len>"),
    types.MethodType: (Method().of, f"<bound method {M}.Method.of>"),
    types.ModuleType: (re, "<module re>"),
    types.GeneratorType: ((n for n in ()), "<generator <genexpr>>"),
    types.CoroutineType: (closed_coroutine(), "<coroutine coroutine>"),
    types.AsyncGeneratorType: (async_generator(), "<async generator async_generator>"),
    "collections.UserDict": (collections.UserDict(a=1, token="x"), {"a": 1, "token": "[Filtered]"}),
    "collections.UserList": (collections.UserList([1]), [1]),
    "collections.UserString": (collections.UserString("abc"), "abc"),
    "ipaddress.IPv4Interface": (ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    "ipaddress.IPv6Interface": (ipaddress.ip_interface("::1/8"), "::1/8"),
    "logging.Logger": (logging.getLogger("shop.cart"), "<logger shop.cart>"),
    "sqlite3.Row": (sqlite_row(), {"id": 1, "token": "[Filtered]"}),
    "uuid.UUID": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
}  # fmt: skip
FILES = {"_io.BufferedRandom", "_io.BufferedReader", "_io.BufferedWriter", "_io.FileIO", "_io.TextIOWrapper"}
NEWER = {"string.templatelib.Template", "string.templatelib.Interpolation", "builtins.frozendict"}
LIBRARIES = ("arrow.", "django.", "numpy.", "pandas.", "pendulum.", "sqlalchemy.")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(row):
    """Each type of the table is shown as its row says, masked by names."""
    value, expected = ROWS[row]
    assert row_of(type(value)) is (BY_NAME if type(row) is str else BUILT_IN)[row]
    assert expected == show(value)
    assert [expected] == show([value])


def test_every_row_has_a_test():
    """A row that nobody tests may be wrong for years."""
    assert set(BUILT_IN) == {row for row in ROWS if type(row) is not str}
    of_python = {name for name in BY_NAME if not name.startswith(LIBRARIES)}
    assert of_python == {row for row in ROWS if type(row) is str} | FILES | NEWER


@pytest.mark.parametrize(
    ("mode", "buffering", "kind"),
    [("r", -1, "TextIOWrapper"), ("rb", -1, "BufferedReader"), ("wb", -1, "BufferedWriter"),
     ("r+b", -1, "BufferedRandom"), ("rb", 0, "FileIO")],
)  # fmt: skip
def test_files(mode, buffering, kind, tmp_path):
    """A file is shown by its name, its mode and its position, or that it is closed."""
    path = tmp_path / "file"
    path.write_text("some text\n")
    with open(path, mode, buffering=buffering) as file:
        shown = show(file)
        name = {"__class__": f"_io.{kind}", "name": str(path)}
        assert {**name, "mode": {"r+b": "rb+"}.get(mode, mode), "position": 0} == shown
    assert show(file)["closed"] is True


def test_a_file_is_not_flushed(tmp_path):
    """What an application has not written yet stays unwritten when its file is shown."""
    with open(tmp_path / "file", "w") as file:
        file.write("half a line")
        assert "position" in show(file)
        assert "" == (tmp_path / "file").read_text()


def test_a_file_over_a_stream_of_the_application():
    """A text file over an object of the application does not ask that object."""

    class Stream(io.RawIOBase):
        def __getattribute__(self, name):
            raise KeyboardInterrupt(name)

    buffer = io.BufferedReader.__new__(io.BufferedReader)
    assert "<_io.BufferedReader object>" == show(buffer)
    wrapper = io.TextIOWrapper(io.BytesIO(b"x"))
    assert "<_io.TextIOWrapper object>" == show(wrapper)
    assert "object>" in show(Stream.__new__(Stream))


def test_a_pipe_has_no_position():
    """A file that cannot tell its position is shown without."""
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading) as file:
        assert {"__class__": "_io.TextIOWrapper", "name": reading, "mode": "r"} == show(file)


def test_named_groups_are_masked():
    """A match with named groups is shown by these, each masked by its name, and not by its whole text."""
    match = re.match(r"login (?P<user>\w+) (?P<password>\w+)", "login bob hunter2")
    assert {"user": "bob", "password": "[Filtered]"} == show(match)["groups"]
    assert "hunter2" not in str(show(match))


def test_a_view_of_the_applications_mapping():
    """A proxy of a mapping of the application is shown by what that holds, and does not ask it."""

    class Mapping(dict):
        def items(self):
            raise KeyboardInterrupt

        __iter__ = __getitem__ = keys = __len__ = __repr__ = items

    assert {"a": 1} == show(types.MappingProxyType(Mapping(a=1)))
    assert {"a": 1} == show(dict.items(Mapping(a=1)))
    assert ["a"] == show(dict.keys(Mapping(a=1)))


def test_subclasses_of_dates_and_decimals():
    """A subclass of a date or a decimal is shown by what C keeps of it: its own methods are not called."""

    class Day(datetime.date):
        def isoformat(self):
            raise KeyboardInterrupt

        __str__ = __repr__ = isoformat

    class Moment(datetime.datetime):
        isoformat = __str__ = year = tzinfo = property(Day.isoformat)

    class Amount(decimal.Decimal):
        __str__ = __repr__ = __sizeof__ = Day.isoformat

    assert ["2013-11-29", "2013-11-29T00:00:00", "1.50"] == [
        show(value) for value in (Day(2013, 11, 29), Moment(2013, 11, 29), Amount("1.50"))
    ]


def test_a_class_that_only_bears_the_name():
    """A class of the application that calls itself like a library's is not taken for it."""
    liar = type("ndarray", (), {"__module__": "numpy", "dtype": property(lambda self: 1 / 0)})
    value = liar()
    value.size = 3
    assert {"__class__": "numpy.ndarray", "size": 3} == show(value)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="this Python has no t-strings")
def test_t_strings():
    """A t-string is shown by its texts and its values, each masked by its expression."""
    token, user = "x", "bob"  # noqa: F841
    template = eval('t"hello {user} {token}"')
    assert {
        "__class__": "string.templatelib.Template",
        "strings": ["hello ", " ", ""],
        "interpolations": [["user", "bob"], ["token", "[Filtered]"]],
    } == show(template)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="this Python has no frozendict")
def test_frozendict():
    """A frozendict is shown as a dict."""
    assert {"a": 1, "token": "[Filtered]"} == show(eval("frozendict(a=1, token='x')"))


def test_nothing_is_imported():
    """The table imports no library: a type whose module is not there costs nothing."""
    libraries = "{'numpy', 'pandas', 'sqlalchemy', 'django', 'pydantic'}"
    code = f"import sys, heka_raven.raven_plugin; print({libraries} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == ran.stdout.strip()


def test_running_things_are_left_alone():
    """A coroutine that an event showed still runs."""
    running = coroutine()
    assert "<coroutine coroutine>" == show(running)
    assert asyncio.run(running) is None
