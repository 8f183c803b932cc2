"""The inbox as a WSGI application: routes, what every answer carries, and who may read."""

import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from webob import Request, Response
from webob.exc import (
    HTTPException,
    HTTPForbidden,
    HTTPMethodNotAllowed,
    HTTPNotFound,
    HTTPRequestEntityTooLarge,
)

from heka_raven.inbox.event.bounded import text
from heka_raven.inbox.intake.auth import client_fields
from heka_raven.inbox.intake.intake import MAX_WIRE, Intake, Limits, Refusal
from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.store.rules import Rules
from heka_raven.inbox.store.store import Store
from heka_raven.inbox.web.api import Api
from heka_raven.inbox.web.guard import Guard
from heka_raven.inbox.web.links import Links
from heka_raven.inbox.web.pages import Pages
from heka_raven.inbox.web.static import Static

log = logging.getLogger("heka_raven.inbox")

View = Callable[..., Response]

MAX_IMPORT = 256 * 1024 * 1024  # bytes of an import, which goes to a file, not memory
MAX_FORM = 64 * 1024  # bytes of any other request of a page

# Nothing inline, nothing from elsewhere, no frame around it, no form to elsewhere.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SPOTLIGHT = "/stream"  # where SDKs with the option `spotlight` send a copy of everything
_INTAKE = re.compile(r"/api/(?P<project>[\w.\-]{1,60})/(?P<kind>envelope|store)/?")
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "X-Sentry-Auth, Content-Type, Content-Encoding, sentry-trace, baggage",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Expose-Headers": "X-Sentry-Error, X-Sentry-Rate-Limits, Retry-After",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    response = Response(status=status, body=orjson.dumps(content), content_type="application/json", charset=None)
    response.headers.update(headers or {})
    return response


class Inbox:
    """The application. ``close()`` closes the database."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        guard: Guard,
        names: Mapping[str, str] | None = None,
        links: Links | None = None,
    ) -> None:
        self.store = store
        self.intake = intake
        self.guard = guard
        self.static = Static()
        self.pages = pages = Pages(store, intake, self.static, guard, names, links)
        api = Api(store, intake)
        event_id = r"(?P<event_id>[0-9a-f]{32})"
        routes: list[tuple[str, dict[str, View]]] = [
            (r"/", {"GET": pages.issues}),
            (r"/issue/(?P<issue>\d{1,15})", {"GET": pages.issue}),
            (r"/issue/(?P<issue>\d{1,15})/delete", {"POST": pages.delete_issue}),
            (r"/issues/state", {"POST": pages.set_state}),
            (rf"/event/{event_id}", {"GET": pages.event}),
            (rf"/event/{event_id}/delete", {"POST": pages.delete_event}),
            (rf"/event/{event_id}/(?P<form>json|markdown|curl|envelope|traceback)", {"GET": api.copy}),
            (r"/hosts", {"GET": pages.hosts}),
            (r"/data", {"GET": pages.data}),
            (r"/data/import", {"POST": pages.import_envelopes}),
            (r"/data/delete", {"POST": pages.delete_all}),
            (r"/data/export", {"GET": api.export}),
            (r"/login", {"GET": pages.login, "POST": pages.log_in}),
            (r"/api/events", {"GET": api.events}),
            (rf"/api/events/{event_id}", {"GET": api.event, "DELETE": api.delete}),
            (r"/static/(?P<name>[\w.\-]{1,60})", {"GET": self.static.serve}),
        ]
        self._routes = [(re.compile(pattern), views) for pattern, views in routes]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._respond(request)
        except HTTPException as error:
            response = self._refused(request, error)
        except Exception:
            log.exception("%s %r failed", request.method, request.path_info)
            response = Response(status=500, body=b"the inbox failed; its log says why\n", content_type="text/plain")
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        result: Iterable[bytes] = response(environ, start_response)
        return result

    def body_limit(self, environ: dict[str, Any]) -> int:
        """How many bytes of body a request may have, by its head: only who may import sends a large one."""
        request = Request(environ)
        try:
            if request.path_info == SPOTLIGHT or _INTAKE.fullmatch(request.path_info):
                return MAX_WIRE
            may = request.path_info == "/data/import" and self.guard.refuse(request) is None and _same_origin(request)
        except (HTTPException, UnicodeError):
            may = False
        return MAX_IMPORT if may else MAX_FORM

    def close(self) -> None:
        self.store.close()

    def _refused(self, request: Request, error: HTTPException) -> Response:
        """A page for a browser whose reader may see pages, a line for everyone else."""
        detail = error.detail or error.title
        if error.code == 404 and "text/html" in request.headers.get("Accept", ""):
            return self.pages.error(request, error.code, error.title, detail)
        return Response(status=error.status, body=f"{detail}\n".encode(), content_type="text/plain")

    def _respond(self, request: Request) -> Response:
        try:
            path, _ = request.path_info, request.GET
        except UnicodeDecodeError:
            raise HTTPNotFound("no such page: the address is not UTF-8") from None
        found = _INTAKE.fullmatch(path)
        if found:
            return self._take(request, found["project"], found["kind"])
        if path == SPOTLIGHT:
            return self._take(request, "spotlight", "stream")
        refused = self.guard.refuse(request)
        if refused is not None:
            return refused
        for pattern, views in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            method = "GET" if request.method == "HEAD" else request.method
            view = views.get(method)
            if view is None:
                raise HTTPMethodNotAllowed(f"allowed: {', '.join(views)}")
            if method != "GET" and not _same_origin(request):
                raise HTTPForbidden("a page of another site asked for this")
            if (request.content_length or 0) > self.body_limit(request.environ):
                raise HTTPRequestEntityTooLarge("more than is taken here")
            # waitress has all of a body, in memory or in a file: WebOb would copy it to another, and leave that open.
            request.is_body_seekable = getattr(request.body_file_raw, "seekable", bool)()
            return view(request, **match.groupdict())
        raise HTTPNotFound("no such page")

    def _take(self, request: Request, project: str, kind: str) -> Response:
        """Answer a client as Sentry does."""
        if request.method == "OPTIONS":
            return Response(status=200, headerlist=list(_CORS.items()))
        if request.method != "POST":
            raise HTTPMethodNotAllowed("allowed: POST, OPTIONS")
        try:
            if not self._may_send(request):
                raise Refusal(403, "events of this page are not taken: start the inbox with --key or --allow-host")
            if (request.content_length or 0) > MAX_WIRE:
                raise Refusal(413, f"request body larger than {MAX_WIRE:,} bytes")
            body = request.body_file.read(MAX_WIRE + 1)
            if len(body) > MAX_WIRE:
                raise Refusal(413, f"request body larger than {MAX_WIRE:,} bytes")
            fields = client_fields(request.headers, request.GET)
            takes = {"envelope": self.intake.take_envelope, "stream": self.intake.take_stream}
            take = takes.get(kind, self.intake.take_store)
            event_id = take(project, fields, body, request.headers.get("Content-Encoding", ""))
        except sqlite3.Error:
            # A full disk passes: 503 tells senders that can wait (ours does) to come again.
            log.exception("an event could not be stored")
            reason = "the inbox cannot store events now"
            return _json(503, {"detail": reason}, {**_CORS, "X-Sentry-Error": reason, "Retry-After": "30"})
        except Refusal as refusal:
            self._note_refused(request, project, refusal)
            headers = {**_CORS, "X-Sentry-Error": refusal.reason}
            if refusal.retry_after_s:
                headers["Retry-After"] = str(refusal.retry_after_s)
                headers["X-Sentry-Rate-Limits"] = f"{refusal.retry_after_s}::organization"
            return _json(refusal.status, {"detail": refusal.reason}, headers)
        return _json(200, {"id": event_id} if event_id else {}, _CORS)

    def _note_refused(self, request: Request, project: str, refusal: Refusal) -> None:
        """A line on the Data page and in the terminal: what a client lost must not vanish."""
        said = client_fields(request.headers, request.GET).get("sentry_client")
        name = said or request.user_agent or "unknown client"
        self.intake.note_refused(
            f"{' '.join(text(name, 100).split())} at {request.remote_addr or '?'}", project, refusal
        )

    def _may_send(self, request: Request) -> bool:
        """Whether a browser's page may send events: any may where clients need a key that they know, else local ones.

        A page that a developer visits could otherwise fill the inbox. What is no browser sends no Origin.
        """
        origin = request.headers.get("Origin")
        return origin is None or self.intake.limits.key is not None or self.guard.knows(urlsplit(origin).hostname or "")


def _same_origin(request: Request) -> bool:
    """Whether one of our own pages (or no browser at all) sent this request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == urlsplit(request.host_url).netloc


def make_app(
    db_path: str,
    *,
    keep: Keep | None = None,
    token: str | None = None,
    limits: Limits | None = None,
    hosts: Iterable[str] = (),
    names: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    links: Links | None = None,
    clock: Callable[[], float] = time.time,
) -> Inbox:
    """The inbox over one database file.

    Args:
        db_path: made if it is not there.
        keep: what to keep; everything by default.
        token: what a reader must show; without one, only requests to a loopback name are answered.
        limits: of the intake.
        hosts: more names by which the inbox may be called without a token.
        names: of projects, by their number.
        rules: what makes an alert; nothing by default.
        links: of frames, to an editor and to the source.

    Raises:
        StoreError: if the database cannot be used.
    """
    store = Store(db_path, keep, rules)
    return Inbox(store, Intake(store, clock, limits), Guard(token, hosts), names, links)
