"""The key that a client shows, and the token that a reader shows. Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_FIELD = re.compile(r"(sentry_[a-z]+)\s*=\s*([^,\s]*)")
MIN_TOKEN = 16  # characters; a shorter one could be guessed over the network
SUPPORTED = range(2, 8)  # protocol versions


def read_auth_header(value: str) -> dict[str, str]:
    """The fields of ``Sentry sentry_version=7, sentry_key=…``; empty if it is no such header."""
    scheme, _, rest = value.strip()[:2_000].partition(" ")
    if scheme.lower() != "sentry":
        return {}
    return {found[1]: found[2] for found in _FIELD.finditer(rest)}


def client_fields(headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
    """The client's fields, from ``X-Sentry-Auth``, ``Authorization`` or the query string, first found first."""
    for name in ("X-Sentry-Auth", "Authorization"):
        found = read_auth_header(headers.get(name) or "")
        if found:
            return found
    return {key: query[key] for key in ("sentry_key", "sentry_version", "sentry_client") if key in query}


def key_of_dsn(value: Any) -> str:
    """The public key in a DSN that an envelope's header carries; empty if there is none."""
    try:
        return urlsplit(value).username or "" if isinstance(value, str) else ""
    except ValueError:
        return ""


def same(given: str, wanted: str) -> bool:
    """Compare secrets without telling by the time where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def derive(token: str, purpose: str) -> str:
    """A value that proves the token without containing it: the session cookie, the key in the DSN."""
    return hmac.new(token.encode(), purpose.encode(), hashlib.sha256).hexdigest()[:32]
