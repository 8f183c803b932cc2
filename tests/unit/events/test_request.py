"""The request of an event: one shape, whatever the caller has; and the sizes that Sentry keeps."""

import pytest

from heka_raven.events.limits import fit_event
from heka_raven.events.request import shown_request
from heka_raven.scrub.scrubber import Scrubber
from support.events import last_event, make_walker, router_client


def request_of(**given):
    return shown_request(given, make_walker())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Accept": "*/*", "X-Number": 5}, {"Accept": "*/*", "X-Number": "5"}),
        ([["Accept", "a"], ("X", "1"), ["accept", "b"]], {"Accept": "a, b", "X": "1"}),
        ([["Cookie", "a=1"], ["Cookie", "b=2"]], {"Cookie": "a=1; b=2"}),
        ([["Content-Type", "text/plain"], ["Content-Type", "text/plain"]], {"Content-Type": "text/plain"}),
        ({"Accept": ["a", "b"], b"X": b"1", 5: "no"}, {"Accept": "a, b", "X": "1"}),
        ([["one"], "two", None, ["a", "b", "c"]], None),
        ("Accept: */*", None),
    ],
)
def test_headers_are_an_object(given, expected):
    """Headers are an object of texts; equal names are joined, as HTTP has it."""
    assert expected == request_of(headers=given).get("headers")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a=1&b=2", "a=1&b=2"),
        ("?a=1", "a=1"),
        (b"a=1", "a=1"),
        ([["a", "1"], ["a", "ü &"], ("b", None), ["c", 5]], "a=1&a=%C3%BC+%26&b=&c=5"),
        ({"a": "1", "b": [1, 2]}, "a=1&b=1%2C+2"),
        ([], None),
        ({}, None),
        ("", None),
    ],
)
def test_the_query_is_a_text(given, expected):
    """A query is a text, however it was given."""
    assert expected == request_of(query_string=given).get("query_string")


def test_a_query_of_pairs_is_masked():
    """A query and headers that were given as pairs are masked by their names like any other."""
    event = {"request": request_of(query_string=[["token", "hidden"], ["a", "1"]], headers=[["X-Api-Key", "hidden"]])}
    Scrubber().scrub_event(event)
    assert {"query_string": "token=[Filtered]&a=1", "headers": {"X-Api-Key": "[Filtered]"}} == event["request"]


@pytest.mark.parametrize("given", [{"lang": "de"}, [["lang", "de"]]])
def test_cookies_are_an_object(given):
    """Cookies are an object, or the text of the header."""
    assert {"lang": "de"} == request_of(cookies=given)["cookies"]
    assert "lang=de" == request_of(cookies="lang=de")["cookies"]


def test_version_3_has_the_same_shape():
    """To an old server go the same texts: an object of headers, the query as a text."""
    client = router_client(protocol=3)
    request = {"url": "http://h/x", "method": "GET", "headers": [["A", "1"], ["A", "2"]], "query_string": [["a", "1"]]}
    from heka_raven.raven_plugin import RavenClient

    raven = RavenClient(heka_client=client)
    raven.http_context(request)
    raven.captureMessage("m")
    shown = last_event(client)["sentry.interfaces.Http"]
    assert ({"A": "1, 2"}, "a=1") == (shown["headers"], shown["query_string"])


def test_sizes_that_sentry_keeps():
    """Every part of an event is brought to the size that Sentry keeps of it; small ones stay as they are."""
    event = {
        "request": {
            "headers": {f"H{n}": "x" * 2000 for n in range(100)},
            "data": "x" * 60_000,
            "env": {"REMOTE_ADDR": "1.2.3.4"},
            "query_string": "a=" + "x" * 8000,
        },
        "extra": {f"e{n}": ["x" * 400] * 50 for n in range(40)},
        "contexts": {"own": {f"c{n}": "x" * 400 for n in range(50)}, "runtime": {"name": "CPython"}},
        "user": {"id": "x" * 500, "email": "e" * 100, "data": {f"d{n}": "x" * 400 for n in range(50)}},
        "logentry": {"formatted": "f", "params": ["x" * 400] * 50},
        "breadcrumbs": {"values": [{"data": {f"d{n}": "x" * 400 for n in range(50)}}, "not a crumb"]},
    }
    fit_event(event)
    sizes = {name: len(repr(event[name])) for name in event}
    assert sizes["request"] < 20_000 and sizes["extra"] < 260_000 and sizes["contexts"] < 9_000
    assert sizes["user"] < 3_000 and sizes["logentry"] < 2_500 and sizes["breadcrumbs"] < 2_500
    assert {"REMOTE_ADDR": "1.2.3.4"} == event["request"]["env"]
    assert {"name": "CPython"} == event["contexts"]["runtime"]
    assert 128 == len(event["user"]["id"])


@pytest.mark.parametrize("wrong", [None, 5, "text", [], {}, [["a", "b"]], {"values": 5}])
def test_any_shape_is_taken(wrong):
    """Whatever a before_send put into an event, bringing it to size raises nothing."""
    names = ("request", "extra", "contexts", "user", "logentry", "breadcrumbs")
    fit_event(dict.fromkeys(names, wrong))
    for name in names:
        fit_event(
            {name: {"headers": wrong, "data": wrong, "values": wrong, "params": wrong, "own": wrong, "id": wrong}}
        )
