# request.py: what an event may know of a request, read from its environ after the failure.
#
# Rule 1: an environ may hold anything, or nothing: each fact is read for itself and may be missing.
# Rule 2: nothing is hidden here; the scrubber runs over the finished event.
"""The facts of a request, through WebOb."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from webob.request import BaseRequest

from heka_raven.middleware.culprit import transaction
from heka_raven.scope import RequestFacts

ENV_KEYS = ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")


def describe(
    environ: dict[str, Any], status: str | None = None, traceback: TracebackType | None = None
) -> RequestFacts:
    """Describe the request of *environ*."""
    facts = RequestFacts()
    request = BaseRequest(environ)
    facts.transaction = transaction(environ, traceback)
    facts.request = {
        "method": request.method,
        "url": request.path_url,
        "query_string": request.query_string,
        "headers": dict(request.headers),
        "cookies": dict(request.cookies),
        "env": {key: environ[key] for key in ENV_KEYS if key in environ},
    }
    facts.fields = {"request_method": request.method, "request_path": request.path}
    facts.fields["status"] = int(status[:3]) if status else 500
    if request.remote_addr:
        facts.fields["remote_addr"] = request.remote_addr
    return facts
