"""Issue 14, item 6: raven's own options and arguments are honoured, or refused with what is here in their place."""

import inspect
import re
from pathlib import Path

import pytest
import raven.base
from raven.processors import Processor

from heka.holder import CLIENT_HOLDER
from heka_raven.raven_plugin import InvalidArgumentError, RavenClient
from heka_raven.reporting.raven_options import KEPT, REFUSED, RENAMED
from support.events import DSN, frames_of, last_event, router_client, sent_events, spool_client
from support.spools import spooled

DOCS = Path(__file__).parents[3] / "docs" / "migration.rst"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("SENTRY_DSN", "SENTRY_NAME", "SENTRY_RELEASE", "SENTRY_ENVIRONMENT", "HEROKU_SLUG_COMMIT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def heka():
    return router_client()


def event_of(heka, **options):
    """What a client with *options* sends of an error."""
    secret_plan = "in a local"
    try:
        raise ValueError(len(secret_plan))
    except ValueError:
        assert RavenClient(heka_client=heka, **options).captureException()
    return last_event(heka)


def ravens_options():
    """All that raven.Client takes, from its source."""
    source = inspect.getsource(raven.base.Client.__init__)
    return {*re.findall(r"o\.get\('(\w+)'", source), *inspect.signature(raven.base.Client.__init__).parameters} - {
        "self",
        "options",
    }


def test_item_6_every_option_of_raven_is_decided_about():
    """Each stands in exactly one of the three lists, and in the table of docs/migration.rst."""
    decided = [*RENAMED, *KEPT, *REFUSED]
    assert len(decided) == len(set(decided))
    assert set() == ravens_options() - set(decided)
    page = DOCS.read_text(encoding="utf-8")
    table = page[page.index(".. raven's options") : page.index(".. end of raven's options")]
    named = set(re.findall(r"``(\w+)``", "\n".join(line.split("  ")[0] for line in table.splitlines())))
    arguments = set(inspect.signature(raven.base.Client.capture).parameters) - {"self", "kwargs"}
    assert set() == ({*ravens_options(), *arguments} - {"_random_seed"}) - named


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("raise_send_errors", True),
        ("transport", object),
        ("timeout", 5),
        ("string_max_length", 1000),
        ("list_max_length", 5),
        ("repos", {"/srv/shop": {"name": "shop"}}),
        ("nonsense", 1),
        ("processors", ["no.such.module.Processor"]),
        ("processors", ["raven.processors.NoSuch"]),
        ("processors", [5]),
        ("processors", "raven.processors.SanitizeKeysProcessor"),
        ("processors", ["raven.processors.SanitizeKeysProcessor"]),
        ("release", "a/b"),
        ("sample_rate", 5),
        ("tags", 5),
        ("sanitize_keys", 5),
    ],
)
def test_what_has_no_place_is_refused(heka, option, value):
    """A clear error when the client is made, which names the option; never silence."""
    name = "sanitize_keys" if value == ["raven.processors.SanitizeKeysProcessor"] else option
    with pytest.raises(InvalidArgumentError, match=name):
        RavenClient(heka_client=heka, **{option: value})


def test_values_that_say_nothing_are_taken(heka):
    """raven's own integrations pass every option, as None or with raven's default."""
    options = dict.fromkeys(REFUSED)
    options |= {"string_max_length": 400, "list_max_length": 50, "raise_send_errors": False, "repos": {}, "tags": {}}
    assert RavenClient(heka_client=heka, include_paths=[], processors=None, **options).is_enabled()
    assert RavenClient(None, False, None, False, False, [], True, None, heka_client=heka).is_enabled()


def test_capture_locals(heka):
    """capture_locals=False, and RemoveStackLocalsProcessor: no variables."""
    assert "secret_plan" in frames_of(event_of(heka))[-1]["vars"]
    for options in ({"capture_locals": False}, {"processors": ["raven.processors.RemoveStackLocalsProcessor"]}):
        assert "vars" not in frames_of(event_of(heka, **options))[-1]


@pytest.mark.parametrize(
    "options", [{}, {"processors": ["raven.processors.SanitizeKeysProcessor", "raven.processors.Processor"]}]
)
def test_sanitize_keys(heka, options):
    """Names that contain a key are masked, with raven's processor and without."""
    event = event_of(heka, sanitize_keys=["plan"], context={"My_Plan": "x", "other": "y"}, **options)
    assert "[Filtered]" == frames_of(event)[-1]["vars"]["secret_plan"]
    assert ("[Filtered]", "y") == (event["extra"]["My_Plan"], event["extra"]["other"])


def test_remove_post_data(heka):
    """RemovePostDataProcessor: no body of the request."""
    for processors, expected in ((None, {"a": "1"}), (["raven.processors.RemovePostDataProcessor"], None)):
        client = RavenClient(heka_client=heka, processors=processors)
        client.http_context({"url": "http://h/x", "method": "POST", "data": {"a": "1"}})
        client.captureMessage("m")
        assert expected == last_event(heka)["request"].get("data")
        client.context.clear()


class Own(Processor):
    """As an application has it."""

    def filter_stacktrace(self, data, **kwargs):
        for frame in data["frames"]:
            frame["vars"] = {"seen": type(self.client).__name__}

    def filter_extra(self, data):
        return {"own": "extra"}


class Broken(Processor):
    def process(self, data, **kwargs):
        raise KeyError("no")


def test_a_processor_of_the_application(heka):
    """It runs over the finished event, by its name or itself; one that fails leaves no value in the event."""
    for processor in (Own, f"{__name__}.Own"):
        event = event_of(heka, processors=[processor, "raven.processors.SanitizePasswordsProcessor"])
        assert {"seen": "RavenClient"} == frames_of(event)[-1]["vars"]
        assert {"own": "extra"} == event["extra"]
    event = event_of(heka, processors=[Broken], context={"kept": "no"})
    assert "before_send failed" in event["logentry"]["formatted"]
    assert "vars" not in frames_of(event)[-1] and "extra" not in event


def test_options_beside_a_heka_client(monkeypatch):
    """release, environment and name win over those of the plugin, and what the plugin hides stays hidden."""
    heka = router_client(release="plugin-1", environment="plugin", scrub_keys="plan", before_send=mark)
    event = event_of(heka, release="raven-2", name="web9", environment="live", tags={"a": "b"}, site="shop")
    assert ("raven-2", "live", "web9") == (event["release"], event["environment"], event["server_name"])
    assert ({"a": "b", "site": "shop"}, "yes") == (event["tags"], event["extra"]["marked"])
    assert "[Filtered]" == frames_of(event)[-1]["vars"]["secret_plan"]
    for name in ("RELEASE", "ENVIRONMENT", "NAME"):
        monkeypatch.setenv(f"SENTRY_{name}", "from-env")
    assert ("plugin-1", "from-env") == tuple(event_of(heka)[name] for name in ("release", "server_name"))
    assert "modules" in event
    assert "modules" not in event_of(heka, include_versions=False)


def mark(event, hint):
    event.setdefault("extra", {})["marked"] = "yes"
    return event


def test_the_dsn_of_the_environment(monkeypatch, tmp_path):
    """RavenClient() reports to $SENTRY_DSN, as raven's does; a heka client it has, or the default one, comes first."""
    default = CLIENT_HOLDER._default_clientname
    CLIENT_HOLDER.set_default_client_name(None)
    monkeypatch.setenv("HEKA_RAVEN_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("HEKA_RAVEN_SENDER", "off")
    try:
        assert not RavenClient().is_enabled()
        monkeypatch.setenv("SENTRY_DSN", DSN)
        client = RavenClient()
        assert client.is_enabled() and client.captureMessage("from the environment")
        assert "from the environment" == spooled(tmp_path / "spool")[0]["logentry"]["formatted"]
        other = spool_client(tmp_path / "other")
        assert RavenClient(heka_client=other).captureMessage("m")
        assert 1 == len(spooled(tmp_path / "other"))
    finally:
        CLIENT_HOLDER.set_default_client_name(default)


FRAME = {"filename": "a.py", "lineno": 5, "function": "f", "vars": {"password": "hidden", "x": 1}, "bogus": object()}


def test_what_data_says_of_the_event(heka):
    """data= of capture: every part of an event that raven took is in it; what is no part of one is in extra."""
    client = RavenClient(heka_client=heka)
    given = {
        "event_id": "0123456789abcdef" * 2,
        "server_name": "web7",
        "release": "r7",
        "environment": "e7",
        "platform": "native",
        "modules": {"shop": "1.0"},
        "site": "de",
        "checksum": "abc",
        "exception": {"values": [{"type": "Odd", "value": "token=abcdef", "stacktrace": {"frames": [FRAME]}}]},
        "stacktrace": {"frames": [FRAME]},
        "template": {"filename": "t.html", "lineno": 3, "context_line": "{{ x }}"},
        "query": {"query": "SELECT 1", "engine": "pg"},
        "breadcrumbs": {"values": [{"message": "step", "timestamp": 1.0}]},
        "anything": {"else": 1},
    }
    assert given["event_id"] == client.captureMessage("m", data=given)
    event = last_event(heka)
    for name in ("event_id", "server_name", "release", "environment", "platform", "modules"):
        assert given[name] == event[name]
    frame = {"filename": "a.py", "lineno": 5, "function": "f", "vars": {"password": "[Filtered]", "x": 1}}
    assert [{"type": "Odd", "module": "", "value": "token=[Filtered]", "stacktrace": {"frames": [frame]}}] == (
        event["exception"]["values"]
    )
    assert ([frame], ["abc"]) == (event["stacktrace"]["frames"], event["fingerprint"])
    assert {"filename": "t.html", "lineno": 3, "context_line": "{{ x }}"} == event["template"]
    assert ("de", "step") == (event["tags"]["site"], event["breadcrumbs"]["values"][0]["message"])
    assert ({"query": "SELECT 1", "engine": "pg"}, {"else": 1}) == (event["extra"]["query"], event["extra"]["anything"])


def test_the_message_of_data_wins(heka):
    """data={'message'} is the text, whatever the argument says: raven sends it so."""
    RavenClient(heka_client=heka).captureMessage("argument %s", params=("x",), data={"message": "data's"})
    assert {"formatted": "data's"} == last_event(heka)["logentry"]


def test_a_query(heka):
    """captureQuery: the query is the text, its engine and parameters are in extra."""
    RavenClient(heka_client=heka).captureQuery("SELECT * FROM cart WHERE id = %s", params=(5,), engine="postgresql")
    event = last_event(heka)
    assert {"formatted": "SELECT * FROM cart WHERE id = %s"} == event["logentry"]
    assert ("postgresql", [5]) == (event["extra"]["engine"], event["extra"]["params"])


def test_a_generator_as_stack(heka):
    """stack= takes what raven's iter_stack_frames() gives."""
    from raven.utils.stacks import iter_stack_frames

    RavenClient(heka_client=heka).captureMessage("m", stack=iter_stack_frames())
    frames = last_event(heka)["stacktrace"]["frames"]
    assert "test_a_generator_as_stack" in [frame["function"] for frame in frames[-3:]]


def test_send_masks_what_others_made(heka):
    """An event that somebody else built is masked whole, its variables too."""
    client = RavenClient(heka_client=heka)
    client.send(message="m", exception={"values": [{"type": "T", "value": "v", "stacktrace": {"frames": [
        {"filename": "a.py", "vars": {"password": "hidden"}}]}}]})  # fmt: skip
    assert "hidden" not in str(sent_events(heka)[-1])
