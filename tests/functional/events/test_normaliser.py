"""Events through Sentry's own normaliser, the library that every event of a Sentry server goes through first."""

import sys

import pytest

from heka_raven import scope
from heka_raven.raven_plugin import RavenClient
from support.events import raised, remarks, spool_client
from support.scope import enter_request
from support.spools import spooled

pytestmark = pytest.mark.full

REQUEST = {
    "method": "POST",
    "url": "https://h/p",
    "query_string": "a=1&b=2",
    "headers": {"Accept": "*/*", "Content-Type": "text/plain"},
    "cookies": {"lang": "de"},
    "data": {"n": [1, None]},
    "env": {"REMOTE_ADDR": "1.2.3.4"},
}


class Order:
    def __init__(self):
        self.lines = [{"sku": f"sku {n}", "text": "x" * 300} for n in range(200)]
        self.customer = {"name": "bob", "address": {"city": "Ulm", "more": {"deep": {"deeper": 1}}}}


def plain():
    return 1 / 0


def wide_dict():
    wide = {f"key {n}": "x" * 100 for n in range(10_000)}  # noqa: F841
    return 1 / 0


def nested():
    rows = [[[[["x" * 400] * 50] * 50] * 50] * 50]  # noqa: F841
    order = Order()  # noqa: F841
    return 1 / 0


def deep(n=300):
    return deep(n - 1) if n else 1 / 0


def long_chain():
    exc = ValueError(0)
    for number in range(1, 200):
        newer = ValueError(number)
        newer.__cause__ = exc
        exc = newer
    raise exc


def group():
    if sys.version_info < (3, 11):
        return plain()
    raise __builtins__["ExceptionGroup"]("g", [ValueError(n) for n in range(100)])


def long_message():
    raise ValueError("grüße ☃ 𝄞" * 10_000)


FAILURES = [plain, wide_dict, nested, deep, long_chain, group, long_message]
REQUESTS = {
    "usual": {},
    "pairs": {"query_string": [["a", "1"], ["b", None], ["c", 5]], "headers": [["A", "1"], ["A", "2"], ["B", None]]},
    "objects": {"query_string": {"a": [1, {"b": 2}]}, "headers": {"A": ["1", "2"]}, "cookies": [["a", "b"]]},
    "texts": {"cookies": "a=b; c=d", "data": "some text"},
    "long": {
        "query_string": "a=" + "x" * 8000,
        "headers": {f"H{n}": "x" * 3000 for n in range(150)},
        "data": "x" * 60_000,
        "env": {f"E{n}": "x" * 3000 for n in range(50)},
    },
    "wide": {
        "data": {f"k{n}": "x" * 400 for n in range(1000)},
        "query_string": "&".join(f"q{n}={n}" for n in range(2000)),
    },
}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda function: function.__name__)
def test_of_an_exception(failure, tmp_path):
    """Sentry's normaliser has nothing to say to an event, however large what it is made of."""
    client = spool_client(tmp_path / "spool", release="r@1", environment="prod", tags={"a": "b"})
    assert client.raven("msg", exc_info=raised(failure))
    (event,) = spooled(tmp_path / "spool")
    assert ([], []) == remarks(event)


@pytest.mark.parametrize("case", REQUESTS)
def test_of_a_request(case, tmp_path):
    """Sentry's normaliser has nothing to say to a request, whatever shape and size it was given in."""
    request = {**REQUEST, **REQUESTS[case]}
    client = spool_client(tmp_path / "spool")
    token = enter_request(
        lambda environ: scope.RequestFacts(request=request, user={"id": "x" * 500, "plan": "free"}), {}
    )
    try:
        assert client.raven(exc_info=raised(plain))
    finally:
        scope.CURRENT.reset(token)
    (event,) = spooled(tmp_path / "spool")
    assert ([], []) == remarks(event)
    assert type(event["request"]["query_string"]) is str and type(event["request"]["headers"]) is dict


def test_of_a_message(tmp_path):
    """Sentry's normaliser has nothing to say to a message with everything that a caller may add."""
    client = spool_client(tmp_path / "spool")
    raven = RavenClient(heka_client=client)
    for _ in range(120):
        raven.captureBreadcrumb(message="crumb " * 500, category="c", data={f"d{n}": "x" * 400 for n in range(60)})
    big = {f"k{n}": ["x" * 400] * 50 for n in range(60)}
    # No assert around it: pytest would put a dozen variables of its own into this frame.
    raven.captureMessage("hello %s " * 100, params=("you",) * 100, stack=True, extra=big, tags={"t": "x" * 500})
    (event,) = spooled(tmp_path / "spool")
    assert ([], []) == remarks(event)
