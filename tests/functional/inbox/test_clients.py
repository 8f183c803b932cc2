"""Clients of the inbox: sentry-sdk, which nobody here wrote, and the bytes of each protocol version."""

import base64
import gzip
import json
import zlib
from pathlib import Path

import pytest
import sentry_sdk

from support.inbox import AUTH, envelope, running_inbox

EVENT = {
    "event_id": "c" * 32,
    "level": "error",
    "platform": "python",
    "logger": "shop.cart",
    "tags": {"payment": "card"},
    "exception": {"values": [{"type": "KeyError", "value": "'GBP'"}]},
}


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    with running_inbox(tmp_path_factory.mktemp("inbox") / "inbox.db") as running:
        yield running


@pytest.fixture
def fresh(tmp_path):
    with running_inbox(tmp_path / "inbox.db") as running:
        yield running


def test_sentry_sdk_reports_into_it(fresh):
    """An exception that sentry-sdk captures is read back with its type, frames, locals and tags."""
    with sentry_sdk.isolation_scope() as scope:
        client = sentry_sdk.Client(fresh.dsn(), release="shop@1", environment="test", default_integrations=False)
        scope.set_client(client)
        scope.set_tag("payment", "card")
        try:
            answer = 42
            answer / 0
        except ZeroDivisionError:
            event_id = sentry_sdk.capture_exception()
        client.close(timeout=10)
    [listed] = fresh.wait_for_events(1)
    assert event_id == listed["event_id"]
    assert ("ZeroDivisionError", "division by zero", "error") == (listed["type"], listed["message"], listed["level"])
    assert "card" == listed["tags"]["payment"]
    [error] = fresh.event(event_id)["event"]["exception"]["values"]
    frame = error["stacktrace"]["frames"][-1]
    assert "test_sentry_sdk_reports_into_it" == frame["function"]
    assert "42" == frame["vars"]["answer"]
    assert "answer / 0" in fresh.request(f"/event/{event_id}").shown
    assert "ZeroDivisionError" in fresh.request("/").text


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PACKINGS = {
    "plain": (bytes, None),
    "gzip": (gzip.compress, "gzip"),
    "zlib deflate": (zlib.compress, "deflate"),
    "raw deflate": (raw_deflate, "deflate"),
}


@pytest.mark.parametrize("kind", ["envelope", "store"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_takes_each_encoding(inbox, kind, packing):
    """A body arrives whole, plain, with gzip, and with deflate in both of its meanings."""
    pack, name = PACKINGS[packing]
    event_id = f"{zlib.crc32(f'{kind}{packing}'.encode()):032x}"
    event = {**EVENT, "event_id": event_id}
    body = envelope(event) if kind == "envelope" else json.dumps(event).encode()
    headers = {**AUTH, **({"Content-Encoding": name} if name else {})}
    reply = inbox.request(f"/api/7/{kind}/", pack(body), headers)
    assert (200, {"id": event_id}) == (reply.status, reply.json)
    assert event == inbox.event(event_id)["event"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("?sentry_key=abc&sentry_version=7", {}),
        ("", {"Authorization": "Sentry sentry_version=7,sentry_key=abc"}),
        ("", {"X-Sentry-Auth": "Sentry sentry_key=abc, sentry_version=7, sentry_client=x/1"}),
    ],
)
def test_takes_the_key_from_each_place(inbox, path, headers):
    """The key may come in the query string or in either header."""
    reply = inbox.request(f"/api/1/store/{path}", json.dumps(EVENT).encode(), headers)
    assert 200 == reply.status


def test_takes_the_key_from_the_envelope(inbox):
    """A client behind a tunnel names its DSN in the envelope only."""
    body = envelope(EVENT, dsn="https://abc@sentry.example.com/1")
    assert 200 == inbox.request("/api/1/envelope/", body).status


def test_the_same_event_twice_is_stored_once(fresh):
    """A sender delivers at least once; the inbox shows the event once."""
    for _ in range(3):
        assert 200 == fresh.request("/api/1/envelope/", envelope(EVENT), AUTH).status
    assert 1 == len(fresh.events())


def test_events_come_newest_first_and_since_a_row(fresh):
    """``since`` gives what was stored after that row."""
    for digit in "123":
        fresh.request("/api/1/store/", json.dumps({**EVENT, "event_id": digit * 32}).encode(), AUTH)
    listed = fresh.events()
    assert ["3" * 32, "2" * 32, "1" * 32] == [event["event_id"] for event in listed]
    newer = fresh.request(f"/api/events?since={listed[-1]['id']}").json
    assert ["3" * 32, "2" * 32] == [event["event_id"] for event in newer]


GOLDEN = Path(__file__).parent.parent.parent / "data" / "inbox_raven_v3.json"


@pytest.mark.parametrize("version", ["2.0", "3", "4", "5", "6"])
def test_takes_legacy_payloads(inbox, version):
    """The base64 of zlib that raven sends is shown like any other event: type, frames, locals without quotes."""
    event_id = f"{zlib.crc32(version.encode()):032x}"
    event = {**json.loads(GOLDEN.read_bytes()), "event_id": event_id}
    blob = base64.b64encode(zlib.compress(json.dumps(event).encode()))
    auth = {
        "X-Sentry-Auth": f"Sentry sentry_timestamp=1, sentry_client=raven/3, sentry_version={version}, sentry_key=a"
    }
    reply = inbox.request("/api/2/store/", blob, {**auth, "Content-Type": "application/octet-stream"})
    assert (200, event_id) == (reply.status, reply.json["id"])
    found = inbox.event(event_id)
    assert "ZeroDivisionError" == found["type"]
    page = inbox.request(f"/event/{event_id}")
    assert "return exception_call2(y, x, 42)" in page.shown
    assert '<th scope="row">x</th>' in page.text


def test_what_is_no_event_is_accepted_and_dropped(fresh):
    """Sessions, transactions and reports of other SDKs must not make them think that the server is broken."""
    body = b'{}\n{"type":"session"}\n{"started":"x"}\n{"type":"attachment","length":3,"filename":"x"}\n\x00\x01\x02\n'
    reply = fresh.request("/api/1/envelope/", body, AUTH)
    assert (200, {}) == (reply.status, reply.json)
    assert [] == fresh.events()
