"""What uWSGI's sentry-watch is told of a request while it runs. Without it no request passes here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from heka_raven.eyes.running import EYES
from heka_raven.middleware.culprit import ROUTE_KEYS, transaction
from heka_raven.middleware.request import CONTEXT_KEY, USER_KEY, client_address, find_user
from heka_raven.reporting.clients import reporter_of, rules_of
from heka_raven.uwsgi_bridge import answer_for_requests, answer_with_values, tell_request, tells_requests

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]

# Where a user or a route may stand before the application is called; REMOTE_USER the plugin reads itself.
_USERS = (USER_KEY, CONTEXT_KEY, "repoze.who.identity")
_KNOWN = (*_USERS, *ROUTE_KEYS)
_USER, _CONTEXT, _WHO, _WERKZEUG, _BOTTLE, _ROUTES, _ROUTING = _KNOWN


def is_wanted(client: Any) -> bool:
    """Whether somebody watches; then this process also answers when it is asked, as private as *client* is."""
    reporter = reporter_of(client)
    lines = EYES.add(rules_of(reporter.options)) if reporter is not None else b""  # gunicorn's watch asks them too
    if not tells_requests():
        return False
    if answer_for_requests() and lines:
        EYES.hide(answer_for_requests.__code__.co_filename)
        answer_with_values(EYES.look, lines)
    return True


def with_telling(
    app: Application, trusted_proxies: int, environ: Environ, start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """*app*; what the environ says when it begins, and before a body is iterated, is told."""
    __traceback_hide__ = True  # of the stack of an error, by Paste's convention
    # Each request passes here: a loop takes more than twice as long.
    if (
        _USER in environ or _CONTEXT in environ or _WHO in environ or _WERKZEUG in environ
        or _BOTTLE in environ or _ROUTES in environ or _ROUTING in environ
    ):  # fmt: skip
        _tell(environ, trusted_proxies)
    body = app(environ, start_response)
    if type(body) is not list:
        _tell(environ, trusted_proxies)
    return body


def _tell(environ: Environ, trusted_proxies: int) -> None:
    try:
        user = None
        if any(key in environ for key in _USERS):
            context = environ.get(CONTEXT_KEY)
            given = context.get("user") if type(context) is dict else None
            user = find_user(environ, given, client_address(environ, trusted_proxies))
        name = transaction(environ) if any(key in environ for key in ROUTE_KEYS) else None
        if user is not None or name is not None:
            tell_request(environ, transaction=name, user=user)
    except Exception:
        pass  # an event that knows less is better than a request that fails
