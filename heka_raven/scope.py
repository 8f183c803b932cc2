"""What an event may know of the request it happened in."""

# Rule 1: the middleware sets CURRENT to two references, nothing else; describing a request costs only once it failed.
# Rule 2: breadcrumbs live in the environ of the request: they go when it goes and show in no other event.

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

# Keys that this package leaves in a WSGI environ.
REPORTED_KEY = "heka_raven.reported"  # set of the ids under which this request's exceptions were reported
EVENT_ID_KEY = "heka_raven.event_id"  # of the request's last event, or the error on its way; for pages and logs
BREADCRUMBS_KEY = "heka_raven.breadcrumbs"  # deque, made by the first log record of the request

MAX_BREADCRUMBS = 100  # as Sentry keeps


@dataclass(slots=True)
class RequestFacts:
    """One request as an event shows it.

    Nothing here is scrubbed: the scrubber runs over the finished event.

    Attributes:
        request: Sentry's request interface: method, url, query_string, headers, cookies, data, env.
        transaction: ``METHOD route``.
        user: Sentry's user interface.
        tags: merged under the tags of the call.
        extra: merged under the extra of the call.
        contexts: Sentry contexts, by name.
        fingerprint: how the server is to group the event.
        trace: ``trace_id``, ``span_id`` and perhaps ``parent_span_id`` of the caller's trace.
        fields: what the heka message carries: request_method, request_path, status, remote_addr.
    """

    request: dict[str, Any] = field(default_factory=dict)
    transaction: str = ""
    user: dict[str, Any] | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    contexts: dict[str, Any] = field(default_factory=dict)
    fingerprint: list[str] | None = None
    trace: dict[str, str] | None = None
    fields: dict[str, Any] = field(default_factory=dict)


Environ = dict[str, Any]
Describe = Callable[[Environ], RequestFacts]

CURRENT: ContextVar[list[Any] | None] = ContextVar("heka_raven_request", default=None)
"""The last request of this context: a list of ``describe``, ``environ``, and what else the middleware keeps of it.

``environ`` is ``None`` as soon as the application has returned, and between two steps of its body: what happens then,
in this context or in a copy of it, is not part of the request. So ask :func:`current_environ` or
:func:`describe_current`.
"""


def current_environ() -> Environ | None:
    """The environ of the running request, or ``None`` outside one."""
    current = CURRENT.get()
    return None if current is None else current[1]


def describe_current() -> RequestFacts | None:
    """What the middleware knows of the running request; ``None`` outside one, or if it cannot be described."""
    current = CURRENT.get()
    if current is None:
        return None
    describe, environ = current[0], current[1]
    if environ is None:
        return None
    try:
        facts: RequestFacts = describe(environ)
    except Exception:
        # A request that cannot be described must not cost the error that it ended in.
        return None
    return facts


def breadcrumbs(environ: Environ, create: bool = False) -> deque[dict[str, Any]] | None:
    """The breadcrumbs of the request of *environ*, oldest first."""
    found = environ.get(BREADCRUMBS_KEY)
    if found is None and create:
        found = environ[BREADCRUMBS_KEY] = deque(maxlen=MAX_BREADCRUMBS)
    return found if type(found) is deque else None
