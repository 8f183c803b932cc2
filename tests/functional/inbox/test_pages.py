"""The pages, asked for without a browser: what they show, and that nothing in an event comes alive in them."""

import json
import random
import re
import time
from html.parser import HTMLParser

import pytest
from webob import Request

from heka_raven.inbox.store.keep import Keep
from heka_raven.inbox.web.app import make_app

PAGES = ["/", "/?q=x", "/hosts", "/data", "/login", "/api/events", "/nothing", "/static/inbox.js"]
NASTY = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}&amp;\u202e\x00"


@pytest.fixture
def app(tmp_path):
    app = make_app(str(tmp_path / "inbox.db"), keep=Keep(events=1_000))
    yield app
    app.close()


def get(app, path, **headers):
    return Request.blank(path, base_url="http://localhost", headers=headers).get_response(app)


def post(app, path, data=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request.blank(path, base_url="http://localhost", POST=data or {}, headers=headers).get_response(app)


def put(app, number=1, **event):
    event_id = f"{number:032x}"
    app.intake.take_event("1", json.dumps({"event_id": event_id, **event}).encode())
    return event_id


class Checker(HTMLParser):
    """Reads a page as a browser would, and notes everything that could run or load."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.tags = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "formaction") or "javascript:" in (value or ""):
                self.found.append((tag, name, value))
            if name in ("src", "href", "action", "xlink:href") and not re.match(r"/(?!/)|#", value or ""):
                self.found.append((tag, name, value))
        if tag == "script" and "src" not in attributes:
            self.found.append((tag, "inline"))
        if tag in ("iframe", "object", "embed", "base", "style", "foreignobject"):
            self.found.append((tag,))

    def handle_data(self, data):
        self.text.append(data)


def read(response):
    checker = Checker()
    checker.feed(response.text)
    assert [] == checker.found
    return checker


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_has_the_strict_headers(app, path):
    """Nothing inline, nothing from elsewhere, no sniffing, no frame; pages are not kept by caches."""
    response = get(app, path)
    csp = response.headers["Content-Security-Policy"]
    assert csp.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in csp
    assert "nosniff" == response.headers["X-Content-Type-Options"]
    assert "DENY" == response.headers["X-Frame-Options"]
    if not path.startswith("/static/"):
        assert "no-store" == response.headers["Cache-Control"]


def nasty_event():
    frame = {
        "function": NASTY, "module": NASTY, "filename": NASTY, "abs_path": NASTY, "lineno": 3,
        "context_line": NASTY, "pre_context": [NASTY], "post_context": [NASTY], "vars": {NASTY: NASTY},
    }  # fmt: skip
    mechanism = {"type": NASTY, "source": NASTY, "data": {"carets": [[0, 3, 3, 3, 40]], NASTY: NASTY, "notes": [NASTY]}}
    error = {"type": NASTY, "value": NASTY, "module": NASTY, "mechanism": mechanism, "stacktrace": {"frames": [frame]}}
    suspect = {"method": NASTY, "url": NASTY, "transaction": NASTY, "event_id": NASTY, "worker": NASTY, NASTY: NASTY}
    return {
        "level": NASTY, "logger": NASTY, "transaction": NASTY, "culprit": NASTY, "server_name": NASTY,
        "release": NASTY, "environment": NASTY, "platform": NASTY, "logentry": {"formatted": NASTY},
        "exception": {"values": [error, error]}, "threads": {"values": [{"name": NASTY, **error}]},
        "request": {"method": NASTY, "url": "javascript:alert(1)" + NASTY, "query_string": {NASTY: NASTY},
                    "headers": {NASTY: NASTY}, "cookies": {NASTY: NASTY}, "env": {NASTY: NASTY}, "data": NASTY},
        "user": {NASTY: NASTY}, "tags": {NASTY: NASTY, "uwsgi.event": NASTY, "uwsgi.worker": NASTY},
        "extra": {NASTY: {NASTY: [NASTY]}}, "contexts": {NASTY: {NASTY: NASTY}, "uwsgi": {"suspect": suspect}},
        "breadcrumbs": {"values": [{"message": NASTY, "category": NASTY, "level": NASTY, "data": {NASTY: NASTY}}]},
        "sdk": {"name": NASTY, "version": NASTY}, "modules": {NASTY: NASTY}, "fingerprint": [NASTY],
    }  # fmt: skip


def test_an_event_with_script_in_every_field_is_shown_inert(app):
    """Every page that shows it has no script, handler, style or address of its making, and shows it as text."""
    event_id = put(app, **nasty_event())
    put(app, 2, **nasty_event())
    issue = app.store.reader.execute("SELECT id FROM issue").fetchone()[0]
    for path in ("/", f"/event/{event_id}", f"/issue/{issue}?all", "/hosts", f"/?q={NASTY[:30]}", "/?release=%3Cb%3E"):
        response = get(app, path)
        assert 200 == response.status_int
        checker = read(response)
        assert "\x00" not in response.text
        assert "\u202e" not in response.text
        assert 1 == checker.tags.count("img")  # the brand's
        if path in ("/", f"/event/{event_id}"):
            assert "<script>alert(1)</script>" in "".join(checker.text)
            assert "{{7*7}}" in response.text


@pytest.mark.parametrize("form", ["json", "markdown", "curl", "envelope"])
def test_copies_of_a_hostile_event_are_never_html(app, form):
    """Text and JSON, unsniffed."""
    response = get(app, f"/event/{put(app, **nasty_event())}/{form}")
    assert response.content_type in ("text/plain", "application/json")
    assert "nosniff" == response.headers["X-Content-Type-Options"]


BOMBS = {
    "nested lists": b'{"message":"x","extra":{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}}",
    "nested objects": b'{"message":"x","extra":' + b'{"a":' * 150_000 + b"1" + b"}" * 150_000 + b"}",
    "nested to the parser's limit": b'{"message":"x","extra":' + b'{"a":' * 1_000 + b"1" + b"}" * 1_000 + b"}",
    "keys": b'{"message":"x","extra":{' + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}}",
    "tags": b'{"message":"x","tags":{' + b",".join(b'"k%d":"v"' % n for n in range(70_000)) + b"}}",
    "frames": b'{"exception":{"values":[{"type":"x","stacktrace":{"frames":['
    + b",".join(b'{"lineno":%d}' % n for n in range(60_000))
    + b"]}}]}}",
    "exceptions": b'{"exception":{"values":[' + b",".join([b'{"type":"x"}'] * 70_000) + b"]}}",
    "breadcrumbs": b'{"message":"x","breadcrumbs":{"values":[' + b",".join([b'{"message":"x"}'] * 60_000) + b"]}}",
    "one long text": b'{"message":"' + b"x" * 1_000_000 + b'"}',
    "one long line": b'{"exception":{"values":[{"type":"x","stacktrace":{"frames":[{"lineno":1,"context_line":"'
    + b"y" * 1_000_000
    + b'"}]}}]}}',
    "bystanders": b'{"message":"x","contexts":{"uwsgi":{"bystanders":['
    + b",".join([b'{"url":"/x"}'] * 70_000)
    + b"]}}}",
    "contexts": b'{"message":"x","contexts":{' + b",".join(b'"k%d":{"a":1}' % n for n in range(50_000)) + b"}}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_megabyte_of_anything_is_stored_and_shown_small(app, name):
    """Nesting, keys, frames, exceptions, texts without end: taken, and the page stays under 300 kB."""
    event_id = app.intake.take_event("1", BOMBS[name])
    page = get(app, f"/event/{event_id}")
    assert 200 == page.status_int
    assert len(page.body) < 300_000
    read(page)
    for path in ("/", "/hosts", f"/event/{event_id}/markdown", f"/event/{event_id}/json", f"/api/events/{event_id}"):
        assert 200 == get(app, path).status_int
    assert json.loads(get(app, f"/api/events/{event_id}").body)["event"]


def test_the_event_page_shows_what_was_reported(app):
    """Chain, source, failing columns, locals, request with what was filtered, tags, user, breadcrumbs."""
    frame = {"function": "pay", "filename": "shop.py", "lineno": 7, "in_app": True, "vars": {"n": "42"},
             "context_line": "    return a[b]", "pre_context": ["def pay():"], "post_context": ["# end"]}  # fmt: skip
    event_id = put(
        app,
        exception={"values": [
            {"type": "KeyError", "value": "'b'"},
            {"type": "RuntimeError", "value": "no price", "stacktrace": {"frames": [{**frame, "in_app": False}, frame]},
             "mechanism": {"data": {"carets": [[1, 7, 12, 7, 16]]}}},
        ]},
        request={"method": "GET", "url": "http://x/pay", "headers": {"Authorization": "[Filtered]"}},
        tags={"payment": "card"}, user={"id": "4711"}, breadcrumbs=[{"message": "a crumb"}],
    )  # fmt: skip
    text = get(app, f"/event/{event_id}").text
    assert '<span class="tk">return</span> <mark>a[b]</mark>' in text
    assert text.index("RuntimeError") < text.index("caused by") < text.index("KeyError", text.index("caused by"))
    assert "def pay():" in re.sub(r"<[^>]+>", "", text)
    for part in (">42<", "http://x/pay", '<span class="filtered">', "payment", "4711", "a crumb"):
        assert part in text
    assert text.index('class="frame app"') < text.index("1 frame in shop.py")


def test_the_list_is_live_by_its_etag(app):
    """The script asks with the page's ETag: 304 until an event comes or goes."""
    first = get(app, "/")
    etag = first.headers["ETag"]
    again = get(app, "/", **{"X-Live": "1", "If-None-Match": etag})
    assert again.status_int in (304, 200)  # 200 when a minute began between the two
    put(app)
    response = get(app, "/", **{"X-Live": "1", "If-None-Match": etag})
    assert 200 == response.status_int
    assert etag != response.headers["ETag"]


@pytest.mark.parametrize(
    "path", ["/event/" + "0" * 32, "/issue/5", "/issue/5?all", "/event/x", "/static/../app.py", "/static/app.py",
             "/event/" + "0" * 32 + "/json", "/issue/" + "9" * 30, "/%ff", "/?q=%ff", "//", "/api/events/1"],
)  # fmt: skip
def test_what_is_not_there_is_404(app, path):
    """One line of text, no trace of the inside."""
    response = get(app, path)
    assert 404 == response.status_int
    assert "Traceback" not in response.text


QUERIES = [
    "q=%00&level=x&before=-1",
    "before=" + "9" * 99,
    "level=error&level=fatal",
    "q=" + "a%20" * 3_000,
    "q=%22%22%22",
    "release=" + "x" * 9_000,
    "before=%D9%A3",
    "q=::::",
    "q=!%20-%20:",
]


@pytest.mark.parametrize("query", QUERIES)
def test_any_query_is_answered(app, query):
    """What is no valid choice is ignored."""
    put(app)
    for path in ("/", "/hosts", "/data", "/api/events"):
        assert 200 == get(app, f"{path}?{query}").status_int
    for span in ("1h", "x", "7d"):
        for end in ("0", "1", "9" * 15, "9" * 99, "-5", "x", "1e9"):
            assert 200 == get(app, f"/hosts?span={span}&end={end}").status_int


@pytest.mark.parametrize(
    "headers", [{"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Origin": "http://evil.example"},
                {"Origin": "null"}, {"Origin": "http://localhost:99"}],
)  # fmt: skip
def test_another_site_cannot_delete(app, headers):
    """A form on a foreign page is refused."""
    event_id = put(app)
    for path in (f"/event/{event_id}/delete", "/issue/1/delete", "/data/delete"):
        assert 403 == post(app, path, {"sure": "yes"}, **headers).status_int
    assert 200 == get(app, f"/event/{event_id}").status_int


def test_a_get_changes_nothing(app):
    """Links and previews delete nothing."""
    event_id = put(app)
    for path in (f"/event/{event_id}/delete", "/issue/1/delete", "/data/delete", "/data/import"):
        assert 405 == get(app, path).status_int
    assert 200 == get(app, f"/event/{event_id}").status_int


def test_deleting_by_the_buttons(app):
    """An event leads to the next of its issue, the last one to the list; everything needs its box ticked."""
    one, two = put(app, 1, message="x"), put(app, 2, message="x")
    three = put(app, 3, message="other")
    response = post(app, f"/event/{two}/delete", Sec_Fetch_Site="same-origin")
    assert (303, f"http://localhost/event/{one}") == (response.status_int, response.headers["Location"])
    response = post(app, f"/event/{one}/delete", Origin="http://localhost")
    assert "http://localhost/" == response.headers["Location"]
    assert 400 == post(app, "/data/delete").status_int
    assert 200 == get(app, f"/event/{three}").status_int
    assert 303 == post(app, "/data/delete", {"sure": "yes"}).status_int
    assert b"[]" == get(app, "/api/events").body


def test_importing_by_the_page(app):
    """A file of the form is stored; rubbish is told to be so."""
    envelope = b'{"event_id":"%s"}\n{"type":"event"}\n{"message":"from a file"}\n' % (b"e" * 32)
    response = post(app, "/data/import", {"file": ("x.env", envelope)})
    assert "1+events+imported" in response.headers["Location"]
    assert "from a file" in get(app, "/").text
    for content in (b"", b"rubbish", b"\x1f\x8b rubbish", b"{"):
        assert 400 == post(app, "/data/import", {"file": ("x", content)}).status_int
    assert 400 == post(app, "/data/import", {"file": "no file"}).status_int
    assert 400 == post(app, "/data/import").status_int


def test_the_host_view_links_what_happened(app):
    """A death, a span of a full queue and the app's errors, each on its lane, each a link."""
    now = time.time()
    dead = put(app, 1, message="worker 2 died", timestamp=now - 60, server_name="web", level="fatal",
               tags={"uwsgi.event": "segfault", "uwsgi.worker": "2"})  # fmt: skip
    for number in (2, 3):
        put(app, number, message="queue full", timestamp=now - 100 + number * 10, server_name="web",
            level="warning", tags={"uwsgi.event": "listen-queue"})  # fmt: skip
    put(app, 4, message="error", timestamp=now - 30, server_name="web", tags={"uwsgi.worker": "2"})
    page = get(app, "/hosts?span=15m")
    read(page)
    assert f'href="/event/{dead}"' in page.text
    assert 1 == page.text.count('class="mark queue warning" aria-label')
    for part in ("worker 2", "server", "segfault: worker 2 died", "web"):
        assert part in page.text


def test_the_empty_inbox_says_what_to_do(app):
    """Its first page names the DSN to configure."""
    assert "http://inbox@localhost/1" in get(app, "/").text


def test_a_browser_gets_a_page_for_what_is_not_there(app):
    """With a way back."""
    response = get(app, "/event/" + "0" * 32, Accept="text/html,*/*")
    assert 404 == response.status_int
    assert "it was deleted, or it was too old to keep" in response.text
    read(response)


def test_a_full_disk_is_503(app):
    """A sender that can wait keeps the event; what was stored stays readable, and later events are taken again."""
    first = put(app, 1)
    pages = app.store._writer.execute("PRAGMA page_count").fetchone()[0]
    app.store._writer.execute(f"PRAGMA max_page_count = {pages}")
    random_text = "".join(random.Random(1).choices("abcdefghij", k=500_000))

    def send(number, text):
        body = json.dumps({"event_id": f"{number:032x}", "message": text, "extra": {"a": text}}).encode()
        return Request.blank(
            "/api/1/store/?sentry_key=a", base_url="http://localhost", method="POST", body=body
        ).get_response(app)

    response = send(2, random_text)
    assert (503, "30") == (response.status_int, response.headers["Retry-After"])
    assert 200 == get(app, f"/event/{first}").status_int
    app.store._writer.execute("PRAGMA max_page_count = 1000000")
    assert 200 == send(2, random_text).status_int


def test_a_failing_page_says_only_where_to_look(app, caplog):
    """The reason goes to the log, not to the visitor."""
    app.store.reader.execute("PRAGMA query_only = OFF")
    app.store.reader.execute("DROP TABLE total")
    response = get(app, "/")
    assert (500, "the inbox failed; its log says why\n") == (response.status_int, response.text)
    assert "no such table" in caplog.text
