"""The tables in tests/data that the Python and the C half share."""

import re

import pytest

from heka_raven import CLIENT_NAME
from heka_raven.formats.dsn import DsnError, parse_dsn
from heka_raven.formats.envelope import encode_spool_envelope, parse_envelope
from heka_raven.sender.policy import Reply, backoff_s, decide, parse_pauses, words
from heka_raven.sender.request import Way, build_request
from heka_raven.spool.ledger import MAGIC, OFFSETS, SIZE
from heka_raven.spool.spool import parse_name
from support.paths import DATA, read_vectors

NOW = 1700000000.0


def unescape(text):
    found = re.sub(rb"\\(x[0-9a-f]{2}|.)", _escape, text.encode())
    return found.decode("utf-8", "surrogateescape")


def _escape(match):
    code = match.group(1)
    return bytes((int(code[1:], 16),)) if code[:1] == b"x" else {b"t": b"\t", b"n": b"\n", b"r": b"\r"}.get(code, code)


def absent(cell):
    return None if cell == "-" else cell


@pytest.mark.parametrize("row", read_vectors("dsn.tsv"), ids=lambda row: row[0])
def test_dsn(row):
    """A DSN is read, or refused by an error that names the rule and quotes nothing of the text."""
    text = unescape(row[0])
    if row[1] == "error":
        with pytest.raises(DsnError) as caught:
            parse_dsn(text)
        assert row[2] in str(caught.value)
        assert "abc" not in str(caught.value) and "evil" not in str(caught.value)
        return
    dsn = parse_dsn(text)
    found = [
        dsn.scheme,
        dsn.public,
        dsn.secret,
        dsn.host,
        dsn.port,
        dsn.path or None,
        dsn.project,
        dsn.without_secret(),
    ]
    assert [absent(cell) for cell in row[2:10]] == [None if cell is None else str(cell) for cell in found]
    assert absent(row[10]) == (None if dsn.scheme == "udp" else dsn.url("envelope"))
    assert dsn == parse_dsn(dsn.with_secret())
    assert dsn.secret is None or dsn.secret not in repr(dsn)


def test_dsn_over_its_limit():
    """1,024 bytes are read, one more is refused."""
    text = "https://" + "a" * (1024 - len("https://@h/1")) + "@h/1"
    assert 1024 == len(text)
    assert parse_dsn(text).with_secret() == text
    with pytest.raises(DsnError, match="1024"):
        parse_dsn(text.replace("@", "a@"))


@pytest.mark.parametrize("row", read_vectors("replies.tsv"), ids=lambda row: row[0])
def test_replies(row):
    """What one reply does to an event."""
    name, status, location, hops, age_s, rate_limit, action, counter, dead, target = row
    scheme = "http" if name.startswith("plain") else "https"
    headers = {} if location == "-" else {"location": location}
    reply = {
        "error": Reply(None, {}, "refused"),
        "sent": Reply(0, {}),
        "too_large": Reply(None, {}, "too large", too_large=True),
    }.get(status) or Reply(int(status), headers)
    url = f"{scheme}://sentry.example/api/1/envelope/"
    verdict = decide(reply, url, hops=int(hops), age_s=float(age_s), max_age_s=86400, rate_limit=rate_limit)
    assert (action, absent(counter), dead == "yes", absent(target)) == (
        verdict.action,
        verdict.counter,
        verdict.dead,
        verdict.target,
    )


@pytest.mark.parametrize("row", read_vectors("reasons.tsv"), ids=lambda row: row[0])
def test_reasons(row):
    """What came back, in words: the same of both senders."""
    _, status, header, body, error, said = [
        cell if n == 5 else cell.translate({0x2400 + code: code for code in range(32)}) for n, cell in enumerate(row)
    ]
    headers = {} if header == "-" else {"x-sentry-error": header}
    detail = "" if body == "-" else body
    reply = Reply(None, {}, error) if status == "error" else Reply(int(status), headers, detail)
    assert said == words(reply)


@pytest.mark.parametrize("row", read_vectors("ratelimits.tsv"), ids=lambda row: row[0])
def test_rate_limits(row):
    """For how long a reply pauses a DSN."""
    _, status, rate_limits, retry_after, pause_all, pause_error = row
    pauses = parse_pauses(int(status), absent(rate_limits), absent(retry_after), NOW)
    expected = {"": absent(pause_all), "error": absent(pause_error)}
    assert {key: float(value) for key, value in expected.items() if value is not None} == pauses


@pytest.mark.parametrize("row", read_vectors("backoff.tsv"), ids=lambda row: "-".join(row))
def test_backoff(row):
    """How long a DSN is left alone after requests that failed."""
    failures, dice, seconds = row
    assert float(seconds) == pytest.approx(backoff_s(int(failures), float(dice)))


@pytest.mark.parametrize("row", read_vectors("requests.tsv"), ids=lambda row: row[0])
def test_requests(row):
    """What goes over the wire for one spool file."""
    _, dsn, item_type, api, transport, url, auth, content_type, body = row
    payload = b'{"a":1}' if item_type == "event" else b"eJyr"
    data = encode_spool_envelope("0" * 32, dsn, item_type, payload, None if api == "-" else {"api": api})
    request = build_request(data, NOW)
    auth = auth.replace("CLIENT", CLIENT_NAME).replace("NOW", "1700000000.00")
    if transport == "udp":
        assert (f"udp://{url}", auth.encode() + b"\n\n" + payload) == (request.url, request.body)
        return
    expected = {"User-Agent": CLIENT_NAME, "X-Sentry-Auth": auth, "Content-Type": content_type}
    assert (url, expected) == (request.url, request.headers)
    if body == "payload":
        assert payload == request.body
    else:
        header, items = parse_envelope(request.body)
        sent_at = "2023-11-14T22:13:20.000Z"
        assert {"event_id": "0" * 32, "dsn": parse_dsn(dsn).without_secret(), "sent_at": sent_at} == header
        assert [("event", payload)] == [(item.type, item.payload) for item in items]
        assert b"def" not in request.body


def test_spool_file_with_every_header_key():
    """Every key that a spool file may carry is understood, and none of `hk` goes over the wire."""
    (path,) = (DATA / "spool").glob("017000000002*.env")
    assert 1700000000250000000 == parse_name(path.name).timestamp_ns
    request = build_request(path.read_bytes(), NOW)
    assert (5.0, True) == (request.timeout_s, request.debug)
    assert Way(True, "/etc/ssl/café ca.pem", "http://user:word@proxy.example:3128") == request.way
    assert "https://sentry.example:9443/prefix/api/42/store/" == request.url
    assert b"caf\xc3\xa9" in request.body
    assert b"hk" not in request.body and "hk" not in str(request.headers)


def test_legacy_spool_file():
    """The v3 blob of a spool file is sent byte for byte."""
    (path,) = (DATA / "spool").glob("017000000010*.env")
    data = path.read_bytes()
    request = build_request(data, NOW)
    assert "udp://127.0.0.1:9001" == request.url
    assert request.body.endswith(b"\n\n" + parse_envelope(data)[1][0].payload)


def test_ledger_offsets():
    """The counters lie where the table says."""
    table = {row[0]: row[1] for row in read_vectors("ledger.tsv")}
    assert (str(SIZE), "0") == (table.pop("size"), table.pop("magic"))
    assert {name: int(offset) for name, offset in table.items()} == OFFSETS
    assert 8 == len(MAGIC)


def test_the_documentation_names_every_end():
    """docs/delivery.rst has a row for each counter of an end, docs/operations.rst one for each that can happen."""
    docs = DATA.parent.parent / "docs"
    if not docs.exists():
        pytest.skip("no documentation beside the tests")
    delivery, operations = ((docs / name).read_text(encoding="utf-8") for name in ("delivery.rst", "operations.rst"))
    for name in OFFSETS:
        if name.startswith("discarded."):
            assert f"``{name}`` " in delivery
            assert name == "discarded.queue_overflow" or f"``{name.partition('.')[2]}`` " in operations
