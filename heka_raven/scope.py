"""What an event may know of the request it happened in."""

# Rule 1: a request that goes well costs an object and a weak reference; it is described only once something failed.
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


class CurrentRequest:
    """A request in progress, as those see it who make events in it. The middleware's own knows more.

    Attributes:
        environ: None as soon as the application has returned, and between two steps of its body: what happens then, in
            this context or in a copy of it, is not part of the request.
    """

    __slots__ = ("__weakref__", "environ")

    environ: Environ | None

    def describe(self, environ: Environ) -> RequestFacts:
        """What an event may know of it."""
        return RequestFacts()


CURRENT: ContextVar[Callable[[], CurrentRequest | None] | None] = ContextVar("heka_raven_request", default=None)
"""The last request of this context, by a weak reference: whoever runs it keeps it, and nobody when it is over.

So ask :func:`current_environ` or :func:`describe_current`.
"""


def current_request() -> CurrentRequest | None:
    """The request that is running in this context, or ``None`` outside one."""
    reference = CURRENT.get()
    request = None if reference is None else reference()
    return None if request is None or request.environ is None else request


def current_environ() -> Environ | None:
    """The environ of the running request, or ``None`` outside one."""
    request = current_request()
    return None if request is None else request.environ


def describe_current() -> RequestFacts | None:
    """What the middleware knows of the running request; ``None`` outside one, or if it cannot be described."""
    request = current_request()
    environ = None if request is None else request.environ
    if request is None or environ is None:
        return None
    try:
        return request.describe(environ)
    except Exception:
        # A request that cannot be described must not cost the error that it ended in.
        return None


def breadcrumbs(environ: Environ, create: bool = False) -> deque[dict[str, Any]] | None:
    """The breadcrumbs of the request of *environ*, oldest first."""
    found = environ.get(BREADCRUMBS_KEY)
    if found is None and create:
        found = environ[BREADCRUMBS_KEY] = deque(maxlen=MAX_BREADCRUMBS)
    return found if type(found) is deque else None
