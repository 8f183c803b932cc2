"""The inbox for people. Each view gathers what its template shows; no page changes anything on GET."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from webob import Request, Response
from webob.exc import HTTPBadRequest, HTTPNotFound

from heka_raven.inbox.event.bounded import moment, whole
from heka_raven.inbox.event.merged import facts_of, merge
from heka_raven.inbox.event.shape import event_id_of, read_event
from heka_raven.inbox.intake.archive import ArchiveError, import_file
from heka_raven.inbox.intake.intake import Intake
from heka_raven.inbox.store.alerting import list_alerts, standings
from heka_raven.inbox.store.queries import (
    MAX_MARKS,
    choices,
    count_states,
    get_body,
    get_event,
    get_issue,
    histogram,
    host_events,
    issue_events,
    list_issues,
    list_refused,
    neighbours,
    newest_bodies,
    newest_of,
    projects,
    related,
    shares,
    totals,
)
from heka_raven.inbox.store.search import KINDS, LEVELS, MAX_PAGE, SORTS, STATES, column_query, parse_search, tag_query
from heka_raven.inbox.store.store import Store
from heka_raven.inbox.web import charts, hostview, wording
from heka_raven.inbox.web.frames import StackView, runs
from heka_raven.inbox.web.guard import Guard
from heka_raven.inbox.web.highlight import Painter
from heka_raven.inbox.web.lead import about, columns_of, lead_of, tags_beside
from heka_raven.inbox.web.links import Links
from heka_raven.inbox.web.static import Static
from heka_raven.inbox.web.traceback import as_traceback

EVENTS_ON_PAGE = 100
MUTES = {  # seconds, or events, after which the next event opens a muted issue again
    "10": (0, 10),
    "100": (0, 100),
    "1h": (3_600, 0),
    "1d": (86_400, 0),
    "7d": (604_800, 0),
}
ANY_KEY = "inbox"  # shown where every key is accepted
OPEN_TO_ALL = ("login.html", "error.html")  # say nothing of what the inbox holds


def _environment(static: Static) -> Environment:
    # autoescape for every template, whatever its name; an unknown name in a template is an error, not an empty text.
    environment = Environment(
        loader=PackageLoader("heka_raven.inbox.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        ago=wording.ago,
        iso=wording.iso,
        around=wording.around,
        figures=wording.figures,
        where=wording.where,
        machine=wording.machine,
        count=wording.count,
        size=wording.size,
        rules=wording.told_of,
        marked=wording.marked,
        tree=wording.tree,
        runs=runs,
        is_id=lambda text: bool(event_id_of(text)),
        spark=charts.sparkline,
        tag_query=tag_query,
        column_query=column_query,
    )
    environment.globals.update(static=static.url)
    return environment


def _own_page(text: str) -> str:
    """Where a form came from, if that is a page of ours: ``//host`` would lead elsewhere."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


class Pages:
    """The HTML views."""

    def __init__(
        self,
        store: Store,
        intake: Intake,
        static: Static,
        guard: Guard,
        names: Mapping[str, str] | None = None,
        links: Links | None = None,
    ) -> None:
        self.store = store
        self.intake = intake
        self.guard = guard
        self._templates = _environment(static)
        self.links = links or Links()
        self.names = dict(names or {})
        self._templates.filters["project"] = lambda number: self.names.get(number, number)

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        told = () if template in OPEN_TO_ALL else standings(self.store, self.store.rules.targets)
        text = self._templates.get_template(template).render(
            now=time.time(),
            host=request.host,
            scheme=request.scheme,
            locked=self.guard.token is not None,
            unreached=[one for one in told if one.error],
            **values,
        )
        return Response(body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8", status=status)

    def _dsn(self, request: Request) -> str:
        """What a client is configured with, in the words of the address that the reader used."""
        return f"{request.host_url.replace('://', f'://{self.intake.limits.key or ANY_KEY}@', 1)}/1"

    def error(self, request: Request, status: int, title: str, detail: str) -> Response:
        return self._page(request, "error.html", status=status, title=title, detail=detail)

    def issues(self, request: Request) -> Response:
        """The list. Its ETag changes when an event comes or goes, so that the live page asks cheaply."""
        events, size, changes = totals(self.store)
        now = time.time()
        # The minute, too: the sparklines move on.
        etag = f"{changes}-{int(now / 60)}"
        if etag in request.if_none_match and request.headers.get("X-Live"):
            return Response(status=304, etag=etag)
        search = parse_search(request.GET)
        rows, more = list_issues(self.store, search, now)
        known = projects(self.store)
        response = self._page(
            request,
            "issues.html",
            etag=etag,
            search=search,
            rows=rows,
            more=more,
            events=events,
            size=size,
            dsn=self._dsn(request),
            levels=LEVELS,
            kinds=KINDS,
            sorts=SORTS,
            states=STATES,
            counts=count_states(self.store),
            snippets=[] if events else wording.snippets(self._dsn(request)),
            projects=known if len(known) > 1 or search.project else [],
            releases=choices(self.store, "release"),
            environments=choices(self.store, "environment"),
        )
        response.etag = etag
        return response

    def issue(self, request: Request, issue: str) -> Response:
        """An issue is shown by its newest event; ``?all`` lists its events."""
        if "all" in request.GET:
            return self._events(request, int(issue))
        newest = newest_of(self.store, int(issue))
        if newest is None:
            raise HTTPNotFound("no such issue: it was deleted, or its events were too old to keep")
        return Response(status=303, location=f"/event/{newest}")

    def _events(self, request: Request, number: int) -> Response:
        issue = get_issue(self.store, number, time.time())
        if issue is None:
            raise HTTPNotFound("no such issue: it was deleted, or its events were too old to keep")
        page = min(whole(request.GET.get("page")) or 0, MAX_PAGE)
        rows = issue_events(self.store, number, page, EVENTS_ON_PAGE + 1)
        bodies = newest_bodies(self.store, number) if issue.count > 1 and not page else []
        return self._page(
            request,
            "events.html",
            issue=issue,
            rows=rows[:EVENTS_ON_PAGE],
            page=page,
            bars=[] if page else histogram(self.store, issue),
            shares=[] if page else shares(self.store, number),
            merged=merge(facts_of(orjson.loads(body)) for body in bodies),
            compared=len(bodies),
            columns=columns_of(rows),
            more=len(rows) > EVENTS_ON_PAGE,
            mutes=MUTES,
        )

    def set_state(self, request: Request) -> Response:
        """Resolve, mute or reopen issues: ``issue`` (repeatable), ``state``, and ``mute``, a key of MUTES."""
        issues = [number for text in request.POST.getall("issue") if (number := whole(text)) is not None]
        state, mute = request.POST.get("state", ""), request.POST.get("mute", "")
        if state not in STATES or (mute and mute not in MUTES):
            raise HTTPBadRequest("state: one of open, resolved, muted")
        seconds, events = MUTES.get(mute, (0, 0))
        self.store.set_state(issues[:1_000], state, time.time(), mute_s=seconds, mute_events=events)
        return Response(status=303, location=_own_page(request.POST.get("next", "")))

    def event(self, request: Request, event_id: str) -> Response:
        """One event, in full: ``?raw`` shows its traceback as Python prints it, ``?expand`` everything unfolded."""
        row = get_event(self.store, event_id)
        body = get_body(self.store, row["id"]) if row else None
        if row is None or body is None:
            raise HTTPNotFound("no such event: it was deleted, or it was too old to keep")
        event = read_event(orjson.loads(body))
        lead = lead_of(event, row["title"])
        stacks = [error.frames for error in reversed(event.errors)] + [frames for _, frames in event.threads]
        painter = Painter(event.platform, stacks, time.thread_time)
        return self._page(
            request,
            "event.html",
            row=row,
            event=event,
            lead=lead,
            about=about(event, row, self.names.get(row["project"], row["project"])),
            tags=tags_beside(event, row),
            raw=as_traceback(event.errors) if "raw" in request.GET else "",
            view=StackView(painter, self.links, event.release, lead.told, "expand" in request.GET),
            issue=get_issue(self.store, row["issue"], time.time()),
            near=neighbours(self.store, row),
            related=related(self.store, row),
            mutes=MUTES,
        )

    def hosts(self, request: Request) -> Response:
        """The host view: ``?span=`` of time, ``&end=`` Unix time of its right edge."""
        now = time.time()
        events, _, changes = totals(self.store)
        etag = f"{changes}-{int(now / 10)}"
        if etag in request.if_none_match and request.headers.get("X-Live"):
            return Response(status=304, etag=etag)
        span = request.GET.get("span", "1h")
        span = span if span in hostview.SPANS_S else "1h"
        end = moment(whole(request.GET.get("end")))
        later = end is not None and end < now
        end = end if end is not None and later else now
        width_s = hostview.SPANS_S[span]
        rows = host_events(self.store, end - width_s, end)
        lanes, hidden = hostview.lanes_of(rows, end - width_s, end)
        response = self._page(
            request,
            "hosts.html",
            etag=etag,
            span=span,
            spans=list(hostview.SPANS_S),
            start=end - width_s,
            end=end,
            earlier=f"/hosts?span={span}&end={int(end - width_s / 2)}" if events else "",
            later=f"/hosts?span={span}&end={int(end + width_s / 2)}" if later else "",
            lanes=lanes,
            hidden=hidden,
            cut=len(rows) == MAX_MARKS,
            shown=len(rows),
            ticks=hostview.ticks(end - width_s, end),
            width=hostview.WIDTH,
            names_width=hostview.NAMES_WIDTH,
            lane_height=hostview.LANE_HEIGHT,
            server_events=[row for row in rows if row["server_event"]][:100],
        )
        response.etag = etag
        return response

    def data(self, request: Request) -> Response:
        """Export, import, delete all."""
        events, size, _ = totals(self.store)
        said = request.GET.get("said", "")
        return self._page(
            request,
            "data.html",
            events=events,
            size=size,
            keep=self.store.keep,
            path=self.store.path,
            said=said[:200],
            refused=list_refused(self.store),
            rules=self.store.rules,
            targets=standings(self.store, self.store.rules.targets),
            alerts=list_alerts(self.store),
        )

    def import_envelopes(self, request: Request) -> Response:
        upload = request.POST.get("file")
        if upload is None or not hasattr(upload, "file"):
            raise HTTPBadRequest("choose a file first")
        try:
            taken, refused = import_file(self.intake, upload.file)
        except ArchiveError as error:
            raise HTTPBadRequest(str(error)) from None
        finally:
            upload.file.close()  # its room is free now, not when the collector comes
        gone = self.store.trim()
        said = f"{taken:,} events imported" + (f", {refused:,} refused" if refused else "")
        said += f", {gone:,} of the oldest deleted: --keep" if gone else ""
        return Response(status=303, location=f"/data?{urlencode({'said': said})}")

    def delete_event(self, request: Request, event_id: str) -> Response:
        row = get_event(self.store, event_id)
        self.store.delete_event(event_id)
        left = newest_of(self.store, row["issue"]) if row else None
        return Response(status=303, location=f"/event/{left}" if left else "/")

    def delete_issue(self, request: Request, issue: str) -> Response:
        self.store.delete_issue(int(issue))
        return Response(status=303, location="/")

    def delete_all(self, request: Request) -> Response:
        if request.POST.get("sure") != "yes":
            raise HTTPBadRequest("tick the box to confirm")
        self.store.delete_all()
        return Response(status=303, location="/data?said=everything+deleted")

    def login(self, request: Request) -> Response:
        return self._page(request, "login.html", wrong=False)

    def log_in(self, request: Request) -> Response:
        response = Response(status=303, location="/")
        if self.guard.log_in(str(request.POST.get("token", ""))[:1_000], response):
            return response
        return self._page(request, "login.html", status=403, wrong=True)
