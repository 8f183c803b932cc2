"""What before_send, scrubbing and the DSN's secret leave of an event."""

import logging

import pytest

from heka_raven.spool.ledger import read_snapshot
from support.events import (
    DSN,
    frames_of,
    last_fields,
    raised,
    report,
    router_client,
    spool_client,
    vars_of,
)
from support.spools import spooled_items


def test_before_send_changes_and_drops(tmp_path):
    """``before_send`` may change the event, or drop it, which is counted; it gets the exception as a hint."""
    seen = []

    def before_send(event, hint):
        seen.append(hint["exc_info"][0])
        if "drop" in event["extra"].get("msg", ""):
            return None
        event["tags"]["added"] = "yes"
        return event

    client = spool_client(tmp_path / "spool", before_send=before_send)
    assert report(client, "keep")
    assert report(client, "drop this") is None
    assert [ZeroDivisionError] * 2 == seen
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    assert "yes" == event["tags"]["added"]
    snapshot = read_snapshot(str(tmp_path / "spool"))
    assert (2, 1) == (snapshot["captured"], snapshot["discarded.before_send"])


def test_before_send_changes_its_own_event_only(tmp_path):
    """What before_send does to an event shows in no later one, and in no other place of the same one."""
    changes = [True, False]

    def change(event, hint):
        if changes.pop(0):
            frame = event["exception"]["values"][0]["stacktrace"]["frames"][-1]
            frame["pre_context"][0] = frame["vars"]["shared"]["a"] = "changed"
            event["modules"].clear()
            event["sdk"]["name"] = event["contexts"]["runtime"]["name"] = "changed"
        return event

    def outer():
        shared = {"a": 1}
        inner(shared)

    def inner(shared):
        raise ValueError

    client = spool_client(tmp_path, before_send=change)
    for _ in range(2):
        client.raven(exc_info=raised(outer))
    first, second = (event for _, _, event in spooled_items(tmp_path))
    assert "changed" == vars_of(first)["shared"]["a"]
    assert {"a": 1} == frames_of(first)[-2]["vars"]["shared"]
    assert "changed" != frames_of(second)[-1]["pre_context"][0]
    assert "heka-raven" == second["sdk"]["name"]
    assert "changed" != second["contexts"]["runtime"]["name"]
    assert second["modules"]


@pytest.mark.parametrize("failure", ["raises", "exits", "returns a list", "returns what is no JSON"])
def test_before_send_that_fails(tmp_path, failure):
    """A privacy filter that fails lets out the skeleton only, and is counted."""

    def before_send(event, hint):
        if failure == "raises":
            raise ValueError
        if failure == "exits":
            raise SystemExit
        return [] if failure == "returns a list" else {"x": object()}

    client = spool_client(tmp_path / "spool", before_send=before_send)
    assert report(client, "the-msg", tags={"a": "the-tag"})
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    check_skeleton(event)
    assert 1 == read_snapshot(str(tmp_path / "spool"))["scrub_failed"]


def check_skeleton(event):
    text = str(event)
    for hidden in ("the-msg", "the-tag", "division", "42", "vars", "context_line"):
        assert hidden not in text.replace(event["event_id"], "").replace(event["timestamp"], "")
    value = event["exception"]["values"][-1]
    assert "ZeroDivisionError" == value["type"]
    assert ["report", "exception_call1", "exception_call2"] == [
        frame["function"] for frame in value["stacktrace"]["frames"]
    ]
    assert {"filename", "module", "function", "lineno", "in_app"} == set(value["stacktrace"]["frames"][0])


@pytest.mark.parametrize("method", ["scrub_event", "clean_text", "mask_names"])
def test_scrubbing_that_fails(tmp_path, method, monkeypatch, caplog):
    """If any rule of the scrubber fails, the skeleton goes out, and is counted."""
    client = spool_client(tmp_path / "spool")

    def fail(self, *args, **kwargs):
        raise ValueError("a rule failed")

    cls = type("Failing", (type(client.raven.reporter.scrubber),), {method: fail})
    monkeypatch.setattr(client.raven.reporter, "scrubber", cls())
    with caplog.at_level(logging.CRITICAL):
        assert report(client, "the-msg", tags={"a": "the-tag"}, extra={"u": "a=b"})
    ((_, _, event),) = spooled_items(tmp_path / "spool")
    value = event["exception"]["values"][-1]
    assert ("ZeroDivisionError", "") == (value["type"], value["value"])
    assert "vars" not in value["stacktrace"]["frames"][-1]
    assert "the-msg" not in str(event)
    assert 1 == read_snapshot(str(tmp_path / "spool"))["scrub_failed"]


def test_send_secret(tmp_path):
    """The DSN's secret is in the heka message only if ``send_secret`` says so; the spool's envelope needs it."""
    client = router_client(send_secret="true")
    report(client)
    assert DSN == last_fields(client)["dsn"]
    client = spool_client(tmp_path / "spool")
    report(client)
    ((header, _, event),) = spooled_items(tmp_path / "spool")
    assert DSN == header["dsn"]
    assert "topsecret" not in str(event)
