"""Issue 17, item 6: users, tags and fingerprints of other types than text, and paths that are no UTF-8."""

import enum
import uuid
from wsgiref.util import setup_testing_defaults

import pytest

from heka_raven.middleware import RavenMiddleware
from support.events import last_event, last_fields, router_client


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    def __str__(self):
        raise KeyboardInterrupt("the application's code was run")

    __repr__ = __format__ = __str__


class Number(int):
    def __str__(self):
        raise KeyboardInterrupt("the application's code was run")

    __repr__ = __format__ = __index__ = __str__


ID = uuid.UUID(int=5)
LABELS = [
    ("plain", "plain"),
    (Text("subclass"), "subclass"),
    (7, "7"),
    (Number(8), "8"),
    (ID, str(ID)),
    (Colour.RED, "1"),
    (Colour.BLUE, "blue"),
    (Colour.PAIR, "PAIR"),
    (Level.HIGH, "3"),
]


def event_of(environ, client):
    """The event of a request with *environ* whose application fails."""
    setup_testing_defaults(environ)

    def app(environ, start_response):
        raise ValueError("no such order")

    with pytest.raises(ValueError):
        RavenMiddleware(app, client)(environ, lambda *given: None)
    return last_event(client)


def check(value, expected):
    client = router_client()
    context = {"tags": {"kind": value}, "fingerprint": [value, "b"]}
    event = event_of({"heka_raven.user": value, "heka_raven.context": context}, client)
    assert (expected, {"kind": expected}, [expected, "b"]) == (event["user"]["id"], event["tags"], event["fingerprint"])
    try:
        raise ValueError
    except ValueError:
        client.raven(user={"id": value, "username": value}, tags={"kind": value}, fingerprint=[value])
    event = last_event(client)
    assert {"id": expected, "username": expected} == event["user"]
    assert ({"kind": expected}, [expected]) == (event["tags"], event["fingerprint"])


@pytest.mark.parametrize(("value", "expected"), LABELS, ids=lambda value: type(value).__name__)
def test_a_user_a_tag_and_a_fingerprint_of_any_single_value(value, expected):
    """A UUID, a subclass of a text or a number, an Enum by its value or else its name: each is the word that it is."""
    check(value, expected)


def test_a_tag_that_is_no_single_value():
    """A list, a dict, a function: as it is shown elsewhere."""
    client = router_client()
    client.raven(exc_info=ValueError(), tags={"a": [1, 2], "b": {"c": 1}, "d": check}, fingerprint=[[1]])
    event = last_event(client)
    assert ("[1, 2]", "{'c': 1}") == (event["tags"]["a"], event["tags"]["b"])
    assert event["tags"]["d"].endswith(".check>")
    assert ["[1]"] == event["fingerprint"]


def test_numbers_of_numpy():
    """A database's driver may give numpy's integers as ids."""
    numpy = pytest.importorskip("numpy")
    check(numpy.int64(9), "9")
    check(numpy.str_("ten"), "ten")


@pytest.mark.parametrize(
    ("script", "path", "url"),
    [
        ("", "/caf\xe9", "http://127.0.0.1/caf%E9"),
        ("", "/caf\xc3\xa9", "http://127.0.0.1/caf%C3%A9"),
        ("/caf\xc3\xa9", "/a b", "http://127.0.0.1/caf%C3%A9/a%20b"),
        ("", "/\u20ac", "http://127.0.0.1/%E2%82%AC"),  # no WSGI server gives this, but a test client may
        ("", "/\udc80", "http://127.0.0.1/%ED%B2%80"),
    ],
)
def test_a_path_of_any_bytes(script, path, url):
    """The URL and the message's request_path are there whatever bytes the path has."""
    client = router_client()
    event = event_of({"SCRIPT_NAME": script, "PATH_INFO": path}, client)
    assert url == event["request"]["url"]
    assert url.removeprefix("http://127.0.0.1") == last_fields(client)["request_path"]


def test_the_script_name_is_decoded_as_the_path_is():
    """WSGI hands both over as if their bytes were Latin-1."""
    event = event_of({"SCRIPT_NAME": "/caf\xc3\xa9", "PATH_INFO": "/th\xc3\xa9"}, router_client())
    assert "GET /café/thé" == event["transaction"]
    assert "/café" == event["request"]["env"]["SCRIPT_NAME"]
