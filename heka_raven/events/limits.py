"""Brings the parts of an event to the sizes that Sentry keeps of them, so that its normaliser has nothing to cut.

Runs when the event is scrubbed: a text that was cut before could not be parsed, and would be masked whole. The
variables of frames are brought to theirs when they are shown (capture/frames.py).
"""

from __future__ import annotations

from typing import Any

from heka_raven.capture.fit import fitted, json_size
from heka_raven.formats.text import cut

# Bytes of JSON, a little below what Sentry counts in a way of its own.
REQUEST_SIZES = {"headers": 7800, "cookies": 7800, "data": 7800, "env": 7800}
MAX_QUERY = 1000
EXTRA_SIZE = 15_500  # of one value
ALL_EXTRA_SIZE = 240_000
CONTEXT_SIZE = 7800
CRUMB_SIZE = 1900
PARAMS_SIZE = 1900
USER_SIZE = 1900  # of its data
USER_TEXTS = {"id": 128, "username": 128, "name": 128, "email": 75}  # characters


def fit_event(event: dict[str, Any]) -> None:
    """Cut, in place, what Sentry would cut of a version 7 event; whatever shape a before_send gave it."""
    request = event.get("request")
    if type(request) is dict:
        _fit(request, REQUEST_SIZES)
        for name in ("query_string", "fragment"):
            if type(request.get(name)) is str:
                request[name] = cut(request[name], MAX_QUERY)
    extra = event.get("extra")
    if type(extra) is dict:
        _fit(extra, dict.fromkeys(extra, EXTRA_SIZE))
        _fit(event, {"extra": ALL_EXTRA_SIZE})
    contexts = event.get("contexts")
    if type(contexts) is dict:
        _fit(contexts, dict.fromkeys(contexts, CONTEXT_SIZE))
    user = event.get("user")
    if type(user) is dict:
        _fit(user, {"data": USER_SIZE})
        for name, limit in USER_TEXTS.items():
            if type(user.get(name)) is str:
                user[name] = cut(user[name], limit)
    if type(event.get("logentry")) is dict:
        _fit(event["logentry"], {"params": PARAMS_SIZE})
    crumbs = event.get("breadcrumbs")
    if type(crumbs) is dict and type(crumbs.get("values")) is list:
        for crumb in crumbs["values"]:
            if type(crumb) is dict:
                _fit(crumb, {"data": CRUMB_SIZE})


def _fit(node: dict[Any, Any], sizes: dict[Any, int]) -> None:
    for name, limit in sizes.items():
        value = node.get(name)
        if type(value) in _CUT and json_size(value) > limit:
            node[name] = fitted(value, limit)


_CUT = frozenset({str, list, dict})
