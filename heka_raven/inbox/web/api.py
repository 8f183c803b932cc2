"""The inbox for programs: lists and events as JSON, copies in other forms, the export."""

from typing import Any

import orjson
from webob import Request, Response
from webob.exc import HTTPNotFound

from heka_raven.inbox.event.bounded import whole
from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.intake import archive
from heka_raven.inbox.intake.intake import Intake
from heka_raven.inbox.store.queries import Row, get_body, get_event, get_tags, list_events
from heka_raven.inbox.store.store import Store
from heka_raven.inbox.web import copies
from heka_raven.inbox.web.curl import as_curl
from heka_raven.inbox.web.traceback import as_traceback

MAX_EVENTS = 1_000  # events in one answer
DEFAULT_EVENTS = 500


def _plain(row: Row, tags: dict[str, str]) -> dict[str, Any]:
    return {**dict(row), "tags": tags}


class Api:
    """The views under ``/api/events`` and the copies of one event."""

    def __init__(self, store: Store, intake: Intake) -> None:
        self.store = store
        self.intake = intake

    def events(self, request: Request) -> Response:
        """``?since=ROW``: events stored after that row, newest first; ``&limit=`` up to 1,000."""
        since = whole(request.GET.get("since")) or 0
        limit = min(whole(request.GET.get("limit")) or DEFAULT_EVENTS, MAX_EVENTS)
        rows = list_events(self.store, since=since, limit=limit)
        tags = get_tags(self.store, [row["id"] for row in rows])
        body = orjson.dumps([_plain(row, tags[row["id"]]) for row in rows])
        return Response(body=body, content_type="application/json", charset=None)

    def event(self, request: Request, event_id: str) -> Response:
        """One event; ``event`` is its JSON as the client sent it."""
        row, body = self._find(event_id)
        found = {**_plain(row, get_tags(self.store, [row["id"]])[row["id"]]), "event": orjson.Fragment(body)}
        return Response(body=orjson.dumps(found), content_type="application/json", charset=None)

    def delete(self, request: Request, event_id: str) -> Response:
        if not self.store.delete_event(event_id):
            raise HTTPNotFound("no such event")
        return Response(status=204)

    def copy(self, request: Request, event_id: str, form: str) -> Response:
        """One event as JSON, as Markdown, as the request's curl command, as Python's traceback, or as an envelope."""
        row, body = self._find(event_id)
        if form == "json":
            text = copies.as_json(body)
        elif form == "envelope":
            text = archive.envelope_of(event_id, body, row["project"])
        else:
            document = orjson.loads(body)
            text = self._said(form, document, row).encode("utf-8", "replace")
        # Never text/html, never sniffed: the content is the client's.
        kind = "application/json" if form == "json" else "text/plain"
        response = Response(body=text, content_type=kind, charset="utf-8" if kind == "text/plain" else None)
        if form == "envelope":
            response.content_disposition = f'attachment; filename="{event_id}.env"'
        return response

    def _said(self, form: str, document: Any, row: Row) -> str:
        if form == "curl":
            return as_curl(document)
        event = read_event(document)
        return copies.as_markdown(event, row) if form == "markdown" else as_traceback(event.errors) + "\n"

    def export(self, request: Request) -> Response:
        """Every event as a tar of envelopes, oldest first."""
        response = Response(app_iter=archive.export(self.store), content_type="application/gzip", charset=None)
        response.content_disposition = 'attachment; filename="heka-raven-inbox.tar.gz"'
        return response

    def _find(self, event_id: str) -> tuple[Row, bytes]:
        row = get_event(self.store, event_id)
        body = get_body(self.store, row["id"]) if row else None
        if row is None or body is None:
            raise HTTPNotFound("no such event")
        return row, body
