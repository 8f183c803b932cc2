"""From the bytes of a spool file to what goes over the wire (tests/data/requests.tsv).

Pure: no I/O and no clock.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache

import orjson

from heka_raven import CLIENT_NAME
from heka_raven.formats.dsn import Dsn, DsnError, parse_dsn
from heka_raven.formats.envelope import EnvelopeError, encode_item, encode_wire_envelope, parse_items, split_header

MAX_HK_TIMEOUT_S = 300.0
MAX_WAY = 2048  # bytes of hk.ca and of hk.proxy; a longer one is not read
VERSION_7 = 7  # of the Sentry protocol: events of type event
VERSION_3 = 3  # the raven blob


class RequestError(ValueError):
    """A spool file that nothing can be sent from; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached. Whoever writes an event says it: the sender may be another's, with other settings.

    None: not said, the sender's own; empty: the system's certificates, the environment's proxies.
    """

    no_verify: bool = False
    ca_file: str | None = None
    proxy: str | None = None


ANY_WAY = Way()


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a server, or one datagram (``url`` is then ``udp://host:port``)."""

    dsn: Dsn
    key: str  # dsn.key(): what pauses and backoffs go by
    url: str
    headers: Mapping[str, str]
    body: bytes
    way: Way = ANY_WAY
    timeout_s: float | None = None
    debug: bool = False

    @property
    def takes_reports(self) -> bool:
        """Whether this went to an envelope endpoint: only such a server knows client reports."""
        return self.headers.get("Content-Type") == "application/x-sentry-envelope"


def build_request(data: bytes, now: float, compress: str = "none") -> Request:
    """What to send for one spool file.

    Args:
        data: the file.
        now: Unix time, for ``sent_at`` and ``sentry_timestamp``.
        compress: ``gzip`` compresses an envelope.

    Raises:
        RequestError: for a file that is no event of ours.
    """
    try:
        header, offset = split_header(data)
        dsn_text = header.get("dsn")
        if not isinstance(dsn_text, str):
            raise RequestError("its header has no dsn")
        dsn, dsn_public = _read_dsn(dsn_text)
        items = parse_items(data, offset)
    except (EnvelopeError, DsnError) as error:
        raise RequestError(str(error)) from None
    event = next((item for item in items if item.type in ("event", "raven")), None)
    if event is None:
        raise RequestError("it has no item of type event or raven")
    hk = header.get("hk")
    hk = hk if isinstance(hk, dict) else {}
    way = Way(hk.get("no_verify") is True, _way(hk.get("ca")), _way(hk.get("proxy")))
    timeout_s, debug = _timeout_s(hk.get("timeout_s")), hk.get("debug") is True
    version = VERSION_3 if event.type == "raven" else VERSION_7
    if dsn.scheme == "udp":
        host, port = dsn.address()
        head = old_auth(dsn, version, now, first="timestamp").encode("ascii")
        url = f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"
        return Request(dsn, dsn_public, url, {}, head + b"\n\n" + event.payload, way, timeout_s, debug)
    if version == VERSION_3 or hk.get("api") == "store":
        kind = "application/octet-stream" if version == VERSION_3 else "application/json"
        headers = {"User-Agent": CLIENT_NAME, "X-Sentry-Auth": old_auth(dsn, version, now), "Content-Type": kind}
        return Request(dsn, dsn_public, dsn.url("store"), headers, event.payload, way, timeout_s, debug)
    event_id = header.get("event_id")
    body = encode_wire_envelope(
        event_id if isinstance(event_id, str) else None, dsn_public, rfc3339(now), data[offset:]
    )
    headers, body = _compressed(envelope_headers(dsn), body, compress)
    return Request(dsn, dsn_public, dsn.url("envelope"), headers, body, way, timeout_s, debug)


def try_request(data: bytes, now: float) -> Request | None:
    """The same, and None for a file that is no event of ours."""
    try:
        return build_request(data, now)
    except RequestError:
        return None


@lru_cache(maxsize=64)
def _read_dsn(text: str) -> tuple[Dsn, str]:
    """The DSN and its text without secret. Nearly every event has the same one."""
    dsn = parse_dsn(text)
    return dsn, dsn.without_secret()


def build_report(
    dsn: Dsn, discarded: Mapping[str, int], now: float, compress: str = "none", way: Way = ANY_WAY
) -> Request:
    """A ``client_report``: what was discarded here, by reason. It goes as an event with such a way does."""
    rows = [{"reason": reason, "category": "error", "quantity": n} for reason, n in sorted(discarded.items())]
    payload = orjson.dumps({"timestamp": now, "discarded_events": rows})
    body = encode_wire_envelope(None, dsn.key(), rfc3339(now), encode_item("client_report", payload))
    return Request(dsn, dsn.key(), dsn.url("envelope"), *_compressed(envelope_headers(dsn), body, compress), way)


def envelope_headers(dsn: Dsn) -> dict[str, str]:
    return {
        "User-Agent": CLIENT_NAME,
        "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client={CLIENT_NAME}, sentry_key={dsn.public}",
        "Content-Type": "application/x-sentry-envelope",
    }


def old_auth(dsn: Dsn, version: int, now: float, first: str = "version") -> str:
    """The auth line of the store API and of UDP: servers of that age ask for the time, and some for the secret."""
    time = f"sentry_timestamp={now:.2f}"
    client = f"sentry_client={CLIENT_NAME}"
    parts = (
        [f"sentry_version={version}", client, time]
        if first == "version"
        else [time, client, f"sentry_version={version}"]
    )
    parts.append(f"sentry_key={dsn.public}")
    if dsn.secret is not None:
        parts.append(f"sentry_secret={dsn.secret}")
    return "Sentry " + ", ".join(parts)


def rfc3339(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _way(value: object) -> str | None:
    return value if isinstance(value, str) and len(value.encode("utf-8", "replace")) <= MAX_WAY else None


def _timeout_s(value: object) -> float | None:
    """The event's own timeout; what is none, or beyond reason, leaves the sender's."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_HK_TIMEOUT_S:
        return None
    return float(value)


def _compressed(headers: dict[str, str], body: bytes, compress: str) -> tuple[dict[str, str], bytes]:
    if compress != "gzip":
        return headers, body
    return {**headers, "Content-Encoding": "gzip"}, gzip.compress(body, 6, mtime=0)
