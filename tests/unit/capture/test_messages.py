"""The messages of exceptions: as str() gives them on a terminal, without running the application's code."""

import argparse
import asyncio
import collections
import configparser
import dataclasses
import datetime
import decimal
import email.message
import enum
import fractions
import getopt
import http
import http.client
import io
import ipaddress
import json
import pathlib
import shutil
import smtplib
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import urllib.error
import uuid
import xml.sax
import xmlrpc.client
import zipfile
import zoneinfo
from xml.etree import ElementTree

import pytest

from heka_raven.capture.messages import exception_text
from support.events import last_event, make_walker, raised, router_client

Pair = collections.namedtuple("Pair", "left right")
UTC = datetime.timezone.utc


class Color(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    y: str


class Text(str):
    pass


class Own(ValueError):
    pass


def bad_xml():
    return raised(ElementTree.fromstring, "<a")


def bad_sax():
    return raised(xml.sax.parseString, b"<a", xml.sax.ContentHandler())


def bad_certificate():
    return ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")


def http_error():
    return urllib.error.HTTPError("http://h/x", 404, "Not Found", email.message.Message(), io.BytesIO(b"body"))


def syntax_error():
    return raised(compile, "a b", "/srv/app/x.py", "exec")


def cause_of(exc):
    return exc


ON_A_TERMINAL = [
    ValueError(),
    ValueError("text"),
    ValueError("a", 1, None, 1.5, True),
    ValueError(("a", 1)),
    ValueError(["a", b"b"]),
    ValueError({"a": {"b": (1,)}, 2: {3}}),
    ValueError(set(), frozenset(), frozenset({1}), {}, [], ()),
    ValueError(Text("sub"), Text("class")),
    ValueError(Text("alone")),
    ValueError(Color.RED),
    ValueError(Color.RED, Number.ONE, http.HTTPStatus.NOT_FOUND),
    ValueError([Color.RED]),
    ValueError(Number.ONE),
    ValueError(http.HTTPStatus.NOT_FOUND),
    ValueError(Pair(1, "r")),
    ValueError([Point(1, "y")]),
    ValueError(KeyError("k")),
    ValueError([KeyError("k"), OSError(2, "x")]),
    ValueError(decimal.Decimal("1.50")),
    ValueError([decimal.Decimal("1.50"), fractions.Fraction(1, 3), 1 + 2j, range(3)]),
    ValueError(datetime.date(2013, 11, 29)),
    ValueError([datetime.datetime(2013, 11, 29, tzinfo=UTC), datetime.timedelta(1)]),
    ValueError(pathlib.PurePosixPath("/a")),
    ValueError([pathlib.PurePosixPath("/a"), uuid.UUID(int=5), ipaddress.ip_address("::1")]),
    ValueError(2**70, "grüße ☃"),
    Own(("a", 1)),
    KeyError("missing"),
    KeyError(("a", 1)),
    KeyError(1, 2),
    KeyError(),
    KeyError(Color.RED),
    IndexError("list index out of range"),
    AssertionError((1, 2)),
    AssertionError([1]),
    StopIteration((1, "a")),
    SystemExit(3),
    OSError(2, "No such file", "/x"),
    OSError(2, "No such file", "/x", None, "/y"),
    OSError(2, "No such file", b"/x"),
    OSError("text"),
    OSError(("a", 1)),
    FileNotFoundError(2, "No such file", pathlib.PurePosixPath("/x")),
    ConnectionRefusedError(111, "refused"),
    raised(json.loads, "{"),
    raised(int, "x"),
    raised("".encode, "nothing"),
    raised("grüße".encode, "ascii"),
    raised(b"\xff".decode),
    raised(lambda: None.attribute),
    raised(lambda: unknown),  # noqa: F821
    raised(lambda: {}["k"]),
    ImportError("no module", name="m"),
    ImportError(("a", 1)),
    syntax_error(),
    SyntaxError("bad", ("/a/b.py", None, 1, "x")),
    SyntaxError("bad", (None, 3, 1, "x")),
    SyntaxError(("a", 1)),
    argparse.ArgumentError(None, "bad argument"),
    argparse.ArgumentTypeError("bad"),
    asyncio.IncompleteReadError(b"x", 5),
    asyncio.TimeoutError(),
    configparser.NoOptionError("o", "s"),
    configparser.ParsingError("file.ini"),
    decimal.InvalidOperation([decimal.ConversionSyntax]),
    getopt.GetoptError("bad", "o"),
    http.client.IncompleteRead(b"abc", 5),
    http.client.BadStatusLine("x"),
    shutil.Error([("/a", "/b", "why")]),
    smtplib.SMTPResponseException(550, b"no"),
    sqlite3.OperationalError("no such table: x"),
    bad_certificate(),
    subprocess.CalledProcessError(1, ["ls", "-l"]),
    subprocess.CalledProcessError(-9, [pathlib.PurePosixPath("/bin/ls"), "-l"]),
    subprocess.TimeoutExpired("ls", 5),
    tarfile.ReadError("bad"),
    urllib.error.URLError(OSError(111, "refused")),
    urllib.error.URLError("text"),
    urllib.error.ContentTooShortError("short", b""),
    http_error(),
    xmlrpc.client.Fault(1, "bad"),
    bad_xml(),
    bad_sax(),
    zipfile.BadZipFile("bad"),
    zoneinfo.ZoneInfoNotFoundError("No time zone found with key X"),
]  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True], ids=["v7", "v3"])
@pytest.mark.parametrize("exc", ON_A_TERMINAL, ids=lambda exc: f"{type(exc).__name__}{exc.args!r}"[:60])
def test_as_on_a_terminal(exc, legacy):
    """What Python and its library raise reads as it would on a terminal, in both protocols."""
    assert str(exc) == exception_text(make_walker(legacy=legacy), exc)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of Python 3.11")
def test_a_group_on_a_terminal():
    """A group reads as on a terminal, with the number of its members."""
    group = eval("ExceptionGroup('g', [ValueError(1), KeyError(2)])")
    assert "g (2 sub-exceptions)" == exception_text(make_walker(), group) == str(group)


@pytest.mark.parametrize("protocol", [3, 7])
def test_quoted_once(protocol):
    """The text of a KeyError is quoted once, as raven 3.4 sent it, in the whole event."""
    client = router_client(protocol=protocol)
    client.raven(exc_info=KeyError("missing"))
    event = last_event(client)
    shown = event["sentry.interfaces.Exception"] if protocol == 3 else event["exception"]["values"][0]
    assert "'missing'" == shown["value"]


class Ran(BaseException):
    """Code of the application was run; nothing catches this."""


def _fail(*args, **kwargs):
    raise Ran


class Cruel:
    """An object none of whose methods may be called."""

    __repr__ = __str__ = __len__ = __iter__ = __eq__ = __bool__ = __format__ = _fail
    __hash__ = object.__hash__


class CruelText(str):
    __repr__ = __str__ = __getitem__ = __len__ = __iter__ = __format__ = _fail


class CruelDate(datetime.date):
    __repr__ = __str__ = isoformat = _fail


class CruelZone(datetime.tzinfo):
    utcoffset = dst = tzname = __repr__ = _fail


class CruelPair(Pair):
    __repr__ = __str__ = __iter__ = __len__ = __getitem__ = _fail


CRUEL = [
    Cruel(),
    CruelText("t"),
    CruelDate(2013, 11, 29),
    datetime.datetime(2013, 11, 29, tzinfo=CruelZone()),
    CruelPair(Cruel(), 1),
    type("CruelError", (ValueError,), {"__str__": _fail, "__repr__": _fail})("x"),
    type("CruelList", (list,), {"__repr__": _fail, "__iter__": _fail, "__len__": _fail})([1]),
    type("CruelDict", (dict,), {"__repr__": _fail, "items": _fail, "__len__": _fail})(a=1),
]


@pytest.mark.parametrize("value", CRUEL, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("make", [ValueError, KeyError, OSError, urllib.error.URLError, shutil.Error, SyntaxError])
def test_no_code_of_the_application_runs(make, value):
    """Whatever stands in an exception's arguments, none of its methods is called for the message."""
    for make_args in (
        lambda: (value,), lambda: (value, value), lambda: ([value],), lambda: ({"k": value},), lambda: ({value: 1},),
    ):  # fmt: skip
        try:
            exc = make(*make_args())
        except (TypeError, Ran):
            continue  # Python itself asks the value: such an exception cannot be made
        assert type(exception_text(make_walker(), exc)) is str


def test_objects_in_a_message_are_named():
    """An object inside a message is named by its class: what it holds stands among the local variables."""
    cart = Cruel()
    cart.lines = [1]
    assert f"<{__name__}.Cruel object>" == exception_text(make_walker(), ValueError(cart))


def test_messages_are_masked_by_names():
    """In dicts, fields and members of enums inside a message private values are masked by their names."""
    keys = enum.Enum("Keys", {"API_KEY": "hidden"})
    login = collections.namedtuple("login", "user password")("bob", "hidden")
    walker = make_walker()
    for value in ({"a": {"token": ["hidden"]}}, login, [login], [keys.API_KEY], (Point(1, "y"), {"passwd": b"hidden"})):
        text = walker.guard.clean_text(exception_text(walker, ValueError(value)))
        assert "hidden" not in text and "[Filtered]" in text


def test_messages_are_bounded():
    """A message of nested containers is cut before it costs, and one that holds itself ends."""
    tree = ["x" * 1000]
    for _ in range(6):
        tree = [tree] * 50
    loop = ValueError()
    loop.args = (loop,)
    nested = ValueError()
    nested.args = ([nested], KeyError(nested))
    for exc in (
        ValueError(tree),
        ValueError(*[tree] * 50),
        loop,
        nested,
        ValueError("x" * 10**7),
        KeyError("x" * 10**7),
    ):
        assert len(exception_text(make_walker(), exc)) <= 16384


def test_attributes_in_place_of_arguments():
    """The application's own exception with a ``__str__`` of its own and no arguments is shown by its attributes."""

    class Refused(Exception):
        def __init__(self, code, token):
            self.code = code
            self.token = token

        __str__ = _fail

    exc = Refused.__new__(Refused)
    Refused.__init__(exc, 5, "hidden")
    assert "code=5, token=[Filtered]" == exception_text(make_walker(), exc)
