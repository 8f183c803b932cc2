"""The trace that a request belongs to, from the headers that tracing systems send along.

Where several are there, Sentry's own wins, then W3C's, then what the baggage says.
"""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import unquote

_SENTRY_TRACE = re.compile(r"\s*([0-9a-f]{32})-([0-9a-f]{16})(?:-[01])?\s*")
_TRACEPARENT = re.compile(r"\s*(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?\s*")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_MAX_BAGGAGE = 8192  # bytes, as W3C has it


def parse_trace(environ: dict[str, Any]) -> dict[str, str] | None:
    """The trace of the request: ``trace_id``, a new ``span_id``, and ``parent_span_id`` where the caller sent one."""
    for key, pattern in (("HTTP_SENTRY_TRACE", _SENTRY_TRACE), ("HTTP_TRACEPARENT", _TRACEPARENT)):
        found = pattern.fullmatch(_text(environ, key))
        if found and found[1].strip("0") and found[2].strip("0"):
            return {"trace_id": found[1], "span_id": secrets.token_hex(8), "parent_span_id": found[2]}
    for member in _text(environ, "HTTP_BAGGAGE")[:_MAX_BAGGAGE].split(","):
        name, _, value = member.partition(";")[0].partition("=")
        trace_id = unquote(value.strip()).lower()
        if name.strip() == "sentry-trace_id" and _TRACE_ID.fullmatch(trace_id) and trace_id.strip("0"):
            return {"trace_id": trace_id, "span_id": secrets.token_hex(8)}
    return None


def _text(environ: dict[str, Any], key: str) -> str:
    value = environ.get(key)
    return value.lower() if type(value) is str and key != "HTTP_BAGGAGE" else value if type(value) is str else ""
