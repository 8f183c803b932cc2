"""What the visitor sees when the application failed and `catchall` is on."""

# Rule 1: nothing of the error is on the page, only the event id: it is what the visitor can quote.
# Rule 2: a page of the application's own that fails, or that the server does not take, is replaced by the built-in one.

from __future__ import annotations

import html
import json
import logging
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from heka.limited_log import TROUBLES
from heka_raven.capture.exceptions import traceback_of
from heka_raven.uwsgi_bridge import in_uwsgi

with warnings.catch_warnings():
    # WebOb 1.8 imports cgi, which Python 3.11 and 3.12 call deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webob.acceptparse import create_accept_header

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Page = tuple[str, Headers, list[bytes]]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

STATUS = "500 Internal Server Error"
TEXT = "Something went wrong on our side."
RECORDED = " The error was recorded."
OFFERS = ["text/html", "application/json", "text/plain"]
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Internal Server Error</title></head>
<body><h1>Internal Server Error</h1><p>{text}</p>{event}</body></html>
"""


def respond(
    environ: Environ,
    start_response: Callable[..., Any],
    error: BaseException,
    event_id: str | None,
    application: Application | None,
) -> list[bytes]:
    """Answer 500 in place of the application.

    Args:
        environ: of the request.
        start_response: the server's; it refuses when the response is on its way already.
        error: what happened.
        event_id: of the report, if there is one.
        application: a page of the user's own, a WSGI application.

    Raises:
        BaseException: what the server raises when the response has begun.
    """
    own = _own_page(application, environ)
    if own is not None:
        try:
            return _answer(own, environ, start_response, error, event_id)
        except Exception as refused:
            if refused is error:
                raise  # the response is on its way
            _tell("the server does not take the error page; the built-in one is shown")
    return _answer(built_in_page(environ, event_id), environ, start_response, error, event_id)


def _answer(
    page: Page,
    environ: Environ,
    start_response: Callable[..., Any],
    error: BaseException,
    event_id: str | None,
) -> list[bytes]:
    status, headers, body = page
    if event_id is not None and not any(name.lower() == "x-event-id" for name, _ in headers):
        headers.append(("X-Event-Id", event_id))
    if in_uwsgi():
        # With exc_info uWSGI's start_response leaves an exception set and returns a value: a SystemError. It replaces
        # the headers without it as well, and raises OSError once they are sent.
        start_response(status, headers)
    else:
        start_response(status, headers, (type(error), error, traceback_of(error)))
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else body


def built_in_page(environ: Environ, event_id: str | None) -> Page:
    """HTML, JSON or text, by the request's ``Accept``."""
    kind = _accepted(environ.get("HTTP_ACCEPT"))
    message = TEXT if event_id is None else TEXT + RECORDED
    if kind == "application/json":
        text = json.dumps({"error": "Internal Server Error", "message": message, "event_id": event_id}) + "\n"
    elif kind == "text/plain":
        text = f"Internal Server Error\n\n{message}\n" + (f"Event id: {event_id}\n" if event_id else "")
    else:
        event = f"<p>Event id: <code>{html.escape(event_id)}</code></p>" if event_id else ""
        text = _PAGE.format(text=html.escape(message), event=event)
    body = text.encode("utf-8")
    content_type = kind if kind == "application/json" else f"{kind}; charset=utf-8"
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    return STATUS, headers, [body]


def _accepted(header: Any) -> str:
    try:
        offers = create_accept_header(header if type(header) is str else None).acceptable_offers(OFFERS)
    except Exception:
        # Whatever was sent as Accept, an error page there must be.
        return OFFERS[0]
    return str(offers[0][0]) if offers else "text/plain"


def _own_page(application: Application | None, environ: Environ) -> Page | None:
    """What the user's *application* answers; None if there is none, or if it fails."""
    if application is None:
        return None
    started: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        started[:] = [status, list(headers)]
        return written.append

    try:
        body = application(environ, start_response)
        try:
            written += body
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        status, headers = started
        return status, headers, [b"".join(written)]
    except (Exception, SystemExit):
        _tell("the error page failed; the built-in one is shown")
        return None


def _tell(text: str) -> None:
    TROUBLES.tell(text, logging.WARNING, text, exc_info=True)
