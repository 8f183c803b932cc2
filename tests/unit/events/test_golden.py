"""Whole events against golden ones, Sentry's schema, and what raven 3.4 sent: a new field shows here first."""

import copy
import json
import os
import sys

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.formats.raven_payload import decode_raven
from support.events import frames_of, last_event, raised, router_client, spool_client
from support.paths import DATA
from support.scope import enter_request
from support.spools import spooled_items

SCHEMA = json.loads((DATA / "sentry_event.schema.json").read_text())
GOLDEN_V3 = {entry["name"]: entry for entry in json.loads((DATA / "raven_payloads.json").read_text())["payloads"]}
GRAPHS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.decimals(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text() | st.integers(), inner, max_size=8),
    max_leaves=30,
)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def call2(a, b, c):
    return a + b + c / (a - b)


def call1(x, y):
    return call2(y, x, 42)


def facts(environ):
    return scope.RequestFacts(
        request={
            "method": "POST",
            "url": "https://h/p",
            "query_string": "a=1",
            "headers": {"Accept": "*/*", "X-Number": 5},
            "cookies": {"lang": "de"},
            "data": {"n": [1, None]},
            "env": {"REMOTE_ADDR": "1.2.3.4"},
            "body": "not of the interface",
        },
        transaction="POST /p",
        user={"id": 7, "ip_address": "1.2.3.4", "plan": "free"},
        tags={"t": 1},
        extra={"e": 1},
        contexts={"app": {"app_name": "a"}, "bad": 5},
        fingerprint=["f"],
        trace={"trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "c" * 16},
        fields={"status": 500},
    )


def chained():
    try:
        call1(5, 5)
    except ZeroDivisionError as exc:
        raise RuntimeError("second") from exc


def group():
    raise __builtins__["ExceptionGroup"]("g", [ValueError("a"), KeyError("b")])


def noted():
    exc = ValueError("noted")
    exc.__notes__ = ["a note"]
    raise exc


def hostile():
    loop = []
    loop.append(loop)
    names = {1: b"\xff", None: float("nan"), (1,): 2**70, "k" * 500: "\x00\ud800", "b": [1] * 99}  # noqa: F841
    raise ValueError("\ud800 grüße ☃ \x00")


def recursion():
    return recursion()


KINDS = {
    "plain": lambda: call1(5, 5),
    "chained": chained,
    "group": group,
    "notes": noted,
    "hostile": hostile,
    "recursion": recursion,
    "no args": lambda: next(iter(())),
}


def report_kind(client, kind, **keywords):
    if kind == "group" and sys.version_info < (3, 11):
        pytest.skip("this Python has no exception groups")
    token = enter_request(facts, {}) if keywords.pop("request", False) else None
    try:
        assert client.raven("the msg", exc_info=raised(KINDS[kind]), **keywords)
    finally:
        if token is not None:
            scope.CURRENT.reset(token)


@pytest.mark.parametrize("request_", [False, True], ids=["outside", "request"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_satisfies_sentrys_schema(kind, request_, tmp_path):
    """Events of every kind satisfy Sentry's own schema of an event."""
    client = spool_client(tmp_path / "spool", release="r@1", environment="prod", tags={"a": "b"})
    own = {"tags": {"x": None, "y": 1.5, "": "e"}, "extra": {"o": object()}, "user": "bob", "contexts": {"c": {"n": 1}}}
    report_kind(client, kind, request=request_, own_field=(1, 2), **own)
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    VALIDATOR.validate(event)


@given(GRAPHS, st.text(), st.dictionaries(st.text(), GRAPHS, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_values_satisfy_the_schema(graph, text, extra):
    """Whatever stands in locals, messages, args and extra, the event satisfies the schema, with no value left out."""

    def fail(local):
        raise ValueError(text, local)

    client = router_client()
    assert client.raven(text, exc_info=raised(fail, graph), extra=extra, tags=extra, user=extra)
    event = last_event(client)
    VALIDATOR.validate(event)
    assert "logentry" not in event


def test_messages_satisfy_the_schema(tmp_path):
    """Messages, with a stack and breadcrumbs, and skeletons satisfy the schema, too."""
    from heka_raven.raven_plugin import RavenClient

    client = spool_client(tmp_path / "spool", before_send=lambda event, hint: 1 / 0 if "bad" in str(event) else event)
    raven = RavenClient(heka_client=client)
    raven.captureBreadcrumb(message="crumb", data={"n": 1}, level="critical", category="c")
    assert raven.captureMessage("hello %s", params=("you",), stack=True)
    assert raven.captureMessage("")
    assert raven.captureMessage("bad")
    for _, _, event in spooled_items(tmp_path / "spool"):
        VALIDATOR.validate(event)


def frozen(event):
    """*event* with what differs from run to run replaced, and only the innermost frames' places kept."""
    event = copy.deepcopy(event)
    assert 32 == len(event.pop("event_id"))
    assert event.pop("timestamp").endswith("Z")
    assert "heka-raven" in event.pop("modules")
    event["contexts"]["runtime"] = "…"
    event["sdk"]["version"] = "…"
    for value in event["exception"]["values"]:
        value["mechanism"].get("data", {}).pop("carets", None)
        if value["mechanism"].get("data") == {}:
            del value["mechanism"]["data"]
        frames = value["stacktrace"]["frames"]
        del frames[: -2 if len(frames) > 1 else -1]
        for frame in frames:
            for name in ("lineno", "colno", "abs_path", "filename", "pre_context", "post_context"):
                frame.pop(name, None)
    return event


def test_golden_event(tmp_path):
    """The whole event of one error in a request: a field that is not here does not leave the process."""
    client = spool_client(
        tmp_path / "spool", release="r@1", environment="prod", server_name="web1", tags={"a": "b"}, logger="app"
    )
    report_kind(client, "chained", request=True, level="warning", own="field")
    ((header, item, event),) = spooled_items(tmp_path / "spool")
    module = __name__
    chain = {"handled": True, "exception_id": 1, "parent_id": 0, "source": "__cause__", "type": "chained"}
    assert {
        "level": "warning",
        "logger": "app",
        "platform": "python",
        "server_name": "web1",
        "release": "r@1",
        "environment": "prod",
        "sdk": {"name": "heka-raven", "version": "…"},
        "contexts": {
            "runtime": "…",
            "trace": {"trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "c" * 16},
            "app": {"app_name": "a"},
        },
        "transaction": "POST /p",
        "culprit": "POST /p",
        "tags": {"a": "b", "t": "1"},
        "extra": {"e": 1, "own": "field", "msg": "the msg"},
        "user": {"id": "7", "ip_address": "1.2.3.4", "data": {"plan": "free"}},
        "fingerprint": ["f"],
        "request": {
            "method": "POST",
            "url": "https://h/p",
            "query_string": "a=1",
            "headers": {"Accept": "*/*", "X-Number": "5"},
            "cookies": {"lang": "de"},
            "data": {"n": [1, None]},
            "env": {"REMOTE_ADDR": "1.2.3.4"},
        },
        "exception": {
            "values": [
                {
                    "type": "ZeroDivisionError",
                    "module": "builtins",
                    "value": "division by zero",
                    "mechanism": chain,
                    "stacktrace": {
                        "frames": [
                            {
                                "function": "call1",
                                "module": module,
                                "in_app": True,
                                "context_line": "    return call2(y, x, 42)",
                                "vars": {"x": 5, "y": 5},
                            },
                            {
                                "function": "call2",
                                "module": module,
                                "in_app": True,
                                "context_line": "    return a + b + c / (a - b)",
                                "vars": {"a": 5, "b": 5, "c": 42},
                            },
                        ]
                    },
                },
                {
                    "type": "RuntimeError",
                    "module": "builtins",
                    "value": "second",
                    "mechanism": {"type": "generic", "handled": True, "exception_id": 0},
                    "stacktrace": {
                        "frames": [
                            {
                                "function": "raised",
                                "module": "support.events",
                                "in_app": True,
                                "context_line": "        function(*args)",
                                "vars": {"function": f"<function {module}.chained>", "args": []},
                            },
                            {
                                "function": "chained",
                                "module": module,
                                "in_app": True,
                                "context_line": '        raise RuntimeError("second") from exc',
                            },
                        ]
                    },
                },
            ]
        },
    } == frozen(event)
    assert ({"event_id", "dsn", "hk"}, {"ca": "", "proxy": ""}) == (set(header), header["hk"])
    assert {"type", "length"} == set(item)


# -- version 3 ---


def goldapp(name, **names):
    """Run one function of the golden sample application, in today's Python."""

    def exception_call2(a, b, c):
        return a + b + c / (a - b)

    def exception_call1(x, y):
        return exception_call2(y, x, 42)

    def unicode_error(name):
        text = "grüße ☃"
        password = "hunter2"  # noqa: F841
        raise ValueError(f"could not greet {text}")

    def deep(n):
        big = list(range(100))  # noqa: F841
        longstr = "x" * 1000  # noqa: F841
        blob = b"\xff\xfe\x00binary"  # noqa: F841
        nested = {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}  # noqa: F841
        none, yes, ratio, tup = None, True, 1.5, (1, "two", "three", None)  # noqa: F841
        mapping = {f"k{i:03d}": i for i in range(100)}  # noqa: F841
        if n == 0:
            return {}["missing"]
        return deep(n - 1)

    basic = lambda: exception_call1(5, 5)  # noqa: E731
    functions = {"basic": basic, "unicode": lambda: unicode_error("bob"), "deep": lambda: deep(3)}
    return functions[name]


def same_shape(golden, ours, where=""):
    """Every key of the golden value is there, with a value of the same type."""
    if golden is None or ours is None:
        return
    if isinstance(golden, dict):
        assert isinstance(ours, dict), where
        assert set(golden) <= set(ours), f"{where}: {set(golden) - set(ours)} missing"
        for name in golden:
            if name not in ("vars", "modules", "tags"):
                same_shape(golden[name], ours[name], f"{where}.{name}")
    elif isinstance(golden, list):
        assert isinstance(ours, list), where
        if golden and ours:
            same_shape(golden[0], ours[0], f"{where}[0]")
    else:
        assert type(golden) is type(ours), f"{where}: {golden!r} {ours!r}"


CASES = {
    "raven_msg": ("basic", "some message", {}),
    "raven_nomsg": ("basic", "", {}),
    "raven_kwargs": ("basic", "with extras", {"logger": "other", "severity": 1, "request_id": "abc", "attempt": 3}),
    "raven_exc_info": ("basic", "passed", {}),
    "raven_unicode": ("unicode", "grüße", {}),
    "raven_deep": ("deep", "deep", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_v3_has_the_golden_shape(name):
    """A version 3 payload decodes to what raven 3.4 sent: same keys, same types, same way to show values."""
    golden = GOLDEN_V3[name]
    function, msg, keywords = CASES[name]
    client = router_client(dsn=golden["plugin_config"]["dsn"], protocol=3, logger=None)
    client.raven(msg, exc_info=raised(goldapp(function)), **keywords)
    (message,) = sent_messages(client)
    event = decode_raven(message.payload)
    same_shape(golden["event"], event)
    assert golden["event"]["project"] == event["project"]
    assert repr(msg) == event["extra"]["msg"]
    assert (golden["event"]["extra"]["severity"], golden["severity"]) == (event["extra"]["severity"], message.severity)
    assert golden["event"]["extra"]["logger"] == event["extra"]["logger"]
    frame, expected = (e["sentry.interfaces.Stacktrace"]["frames"][-1] for e in (event, golden["event"]))
    assert expected["function"] == frame["function"]
    plain = {name.strip("'"): value for name, value in expected["vars"].items()}
    shown = {name: plain.get(name) for name in frame["vars"]}
    for local, value in frame["vars"].items():
        if local in ("blob", "nested", "tup", "text", "deep", "mapping"):
            continue  # text and bytes of Python 2 are told apart by other letters; a dict's order was another
        assert shown[local] == value, local


def test_v3_values_as_the_original_shows_them():
    """Names of locals plain, strings quoted, keys of dicts quoted, 50 items, the old mask."""
    client = router_client(protocol=3)
    client.raven(exc_info=raised(goldapp("deep")))
    shown = decode_raven(sent_messages(client)[0].payload)["sentry.interfaces.Stacktrace"]["frames"][-1]["vars"]
    assert list(range(50)) == shown["big"]
    assert "'" + "x" * 400 + "'" == shown["longstr"]
    assert {"'a'": {"'b'": {"'c'": {"'d'": {"'e'": "{'f': {'g': 1}}"}}}}} == shown["nested"]
    assert [1, "'two'", "'three'", None] == shown["tup"]
    assert 50 == len(shown["mapping"])
    client.raven(exc_info=raised(goldapp("unicode")))
    shown = decode_raven(sent_messages(client)[1].payload)["sentry.interfaces.Stacktrace"]["frames"][-1]["vars"]
    assert {"name": "'bob'", "text": "'grüße ☃'", "password": "********"} == shown


def test_v3_request_and_message():
    """Version 3 has flat interfaces for the request, the user and a message."""
    client = router_client(protocol=3, environment="prod")
    report_kind(client, "plain", request=True)
    event = last_event(client)
    assert "POST /p" == event["culprit"]
    keys = {"url", "method", "query_string", "data", "cookies", "headers", "env"}
    assert keys == set(event["sentry.interfaces.Http"])
    assert "7" == event["sentry.interfaces.User"]["id"]
    assert not [name for name in event if name in ("exception", "request", "user", "contexts")]
    from heka_raven.raven_plugin import RavenClient

    RavenClient(heka_client=client).captureMessage("hello %s", params=("you",))
    event = last_event(client)
    assert "hello you" == event["message"]
    assert {"message": "hello %s", "params": ["'you'"]} == event["sentry.interfaces.Message"]


def test_v3_to_the_spool(tmp_path):
    """In the spool a version 3 event is an item of type ``raven``, which is what goes on the wire."""
    client = spool_client(tmp_path / "spool", protocol="3")
    report_kind(client, "plain")
    ((header, item, event),) = spooled_items(tmp_path / "spool")
    assert "raven" == item["type"]
    assert header["event_id"] == event["event_id"]
    assert os.path.basename(sys.argv[0]) in event["extra"]["sys.argv"][0]


def test_frames_are_ordered(tmp_path):
    """The innermost frame is the last, in version 7 as in version 3."""
    client = router_client()
    report_kind(client, "plain")
    assert "call2" == frames_of(last_event(client))[-1]["function"]
