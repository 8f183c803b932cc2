"""The messages of libraries' own exceptions, raised by the libraries: what a person needs, and no private value."""

import asyncio

import aiohttp
import jsonschema
import pydantic
import pytest
import sqlalchemy
import yaml
from aiohttp.client_reqrep import RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from heka_raven.capture.library_messages import MESSAGES
from heka_raven.capture.messages import exception_text
from support.events import make_walker, raised, spool_client
from support.spools import spooled

URL_ = URL("http://h/x?token=hidden")
REQUEST = RequestInfo(URL_, "GET", CIMultiDictProxy(CIMultiDict()), URL_)


class Cruel:
    """An object of the application none of whose methods may be called."""

    def __repr__(self):
        raise KeyboardInterrupt("the application's code was run")

    __str__ = __len__ = __iter__ = __bool__ = __repr__


class Signup(pydantic.BaseModel):
    password: int
    lines: list[int]


def execute(statement, parameters=None):
    engine = sqlalchemy.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("create table users (name text unique, password text)"))
            connection.execute(sqlalchemy.text("insert into users values ('bob', 'x')"))
            connection.execute(sqlalchemy.text(statement), parameters or {})
    finally:
        engine.dispose()


async def refused():
    async with aiohttp.ClientSession() as session, session.get("http://127.0.0.1:1/?token=hidden"):
        pass


def connect():
    asyncio.run(refused())


def answered():
    raise aiohttp.ClientResponseError(REQUEST, (), status=404, message="Not Found")


CASES = {
    "yaml": (
        lambda: yaml.safe_load("a: [1, 2\nb: {password: hidden"),
        'while parsing a flow sequence\n  in "<unicode string>", line 1, column 4\n'
        "expected ',' or ']', but got ':'\n  in \"<unicode string>\", line 2, column 2",
    ),
    "sqlalchemy": (
        lambda: execute("insert into users (name, password) values ('bob', 'hidden')"),
        "(sqlite3.IntegrityError) UNIQUE constraint failed: users.name\n"
        "[SQL: insert into users (name, password) values ('…', '…')]",
    ),
    "sqlalchemy parameters": (
        lambda: execute("select nope from users where password = :password", {"password": "hidden"}),
        "(sqlite3.OperationalError) no such column: nope\n[SQL: select nope from users where password = [Filtered]]",
    ),
    "sqlalchemy long": (
        lambda: execute("select nope, " + "1, " * 5000 + "1"),
        "(sqlite3.OperationalError) too many columns in result set\n[SQL: select nope, " + "1, " * 678 + "1…]",
    ),
    "pydantic": (
        lambda: Signup(password="hidden", lines=[1, Cruel()]),
        "2 validation errors for Signup\n"
        "password\n  Input should be a valid integer, unable to parse string as an integer\n"
        "lines.1\n  Input should be a valid integer",
    ),
    "jsonschema": (
        lambda: jsonschema.validate({"n": "x", "password": "hidden"}, {"properties": {"n": {"type": "number"}}}),
        "'x' is not of type 'number'",
    ),
    "aiohttp": (connect, "Cannot connect to host 127.0.0.1:1"),
    "aiohttp response": (answered, "404, message='Not Found'"),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case, tmp_path):
    """A library's exception says what it is about, where it says so, and no private value; no __repr__ runs."""
    function, expected = CASES[case]
    exc = raised(function)
    client = spool_client(tmp_path / "spool", locals="off")
    assert client.raven(exc_info=exc)
    (event,) = spooled(tmp_path / "spool")
    shown = event["exception"]["values"][-1]
    assert expected == shown["value"]
    assert "hidden" not in str([value["value"] for value in event["exception"]["values"]])


def test_named_parameters_of_sql():
    """Parameters of a statement are shown under their names, masked by these; those by position are not shown."""
    named = sqlalchemy.exc.OperationalError(
        "select 1", {"name": "bob", "password": "hidden", "o": Cruel()}, Exception("no")
    )
    shown = f"{{'name': 'bob', 'password': [Filtered], 'o': <{__name__}.Cruel object>}}"
    assert f"[parameters: {shown}]" == exception_text(make_walker(), named).split("\n")[-1]
    by_place = sqlalchemy.exc.OperationalError("select 1", ("bob", "hidden"), Exception("no"))
    assert "hidden" not in exception_text(make_walker(), by_place)


def test_every_library_of_the_table_is_here():
    """Each library of the table is tried here, or with the standard library's exceptions."""
    of_python = {"urllib", "xml"}
    assert {name.split(".")[0].split("_core")[0] for name in MESSAGES} - of_python == {
        case.split()[0] for case in CASES
    }
