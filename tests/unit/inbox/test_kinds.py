"""What clients of many kinds send is shown: templates, native frames, images, devices, bodies, long messages."""

import json

import pytest
from webob import Request

from heka_raven.formats.envelope import EnvelopeError, parse_envelope
from heka_raven.inbox.event.shape import read_event
from heka_raven.inbox.web.app import make_app
from heka_raven.inbox.web.copies import as_markdown
from heka_raven.inbox.web.wording import figures

AUTH = {"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=a"}
LONG = "first line\n" + "".join(f"line {n} of a long log message\n" for n in range(250)) + "the end"


@pytest.fixture
def app(tmp_path):
    app = make_app(str(tmp_path / "inbox.db"))
    yield app
    app.close()


def ask(app, path, body=None, **headers):
    request = Request.blank(path, base_url="http://localhost", headers=headers)
    if body is not None:
        request.method, request.body = "POST", body
    return request.get_response(app)


def shown(app, **event):
    """The page and the Markdown of such an event."""
    assert 200 == ask(app, "/api/1/store/", json.dumps({"event_id": "a" * 32, **event}).encode(), **AUTH).status_int
    return ask(app, f"/event/{'a' * 32}").text, ask(app, f"/event/{'a' * 32}/markdown").text


def test_ravens_template(app):
    """Where a template failed: its name, line and source."""
    template = {
        "filename": "cart.html",
        "lineno": 7,
        "context_line": "{% bad %}",
        "pre_context": ["<p>"],
        "post_context": [],
    }
    page, markdown = shown(app, message="x", template=template)
    assert "cart.html" in page and "{% bad %}" in page and "cart.html" in markdown
    assert "cart.html" in shown(app, event_id="b" * 32, message="x", **{"sentry.interfaces.Template": template})[0]


def test_native_frames_and_images(app):
    """A frame without a function shows its address and its library; what was loaded is listed."""
    frames = [{"instruction_addr": "0x7f00dead", "package": "/usr/lib/libssl.so.3", "platform": "native"}]
    images = [
        {
            "type": "elf",
            "code_file": "/usr/lib/libssl.so.3",
            "debug_id": "1234-abcd",
            "image_addr": "0x7f000000",
            "image_size": 2_500_000,
        }
    ]
    page, markdown = shown(
        app,
        exception={"values": [{"type": "SIGSEGV", "stacktrace": {"frames": frames}}]},
        debug_meta={"images": images},
    )
    for text in ("0x7f00dead", "/usr/lib/libssl.so.3", "1234-abcd", "0x7f000000", "2.5 MB"):
        assert text in page
    assert "0x7f00dead" in markdown


def test_threads(app):
    """Each thread with a stack, and which one crashed."""
    threads = [{"id": 1, "name": "main", "crashed": True, "stacktrace": {"frames": [{"function": "run"}]}}, {"id": 2}]
    assert "Thread main (crashed)" in shown(app, message="x", threads={"values": threads})[0]


def test_breadcrumbs_stand_above_the_headers(app):
    """What led to it comes before what was asked."""
    request = {"url": "http://h/", "headers": {"X-A": "1"}}
    page = shown(app, message="x", request=request, breadcrumbs=[{"message": "clicked"}])[0]
    assert page.index('id="breadcrumbs"') < page.index('id="request"')


@pytest.mark.parametrize(
    "data", [{"a": [1, {"b": None}], "c": "d"}, [], [1, "ü"], {"x": {"y": {"z": {"deep": {"er": [[[1]]]}}}}}]
)
def test_a_body_is_json_that_parses(data):
    """What the client took apart can be pasted."""
    assert data == json.loads(read_event({"request": {"url": "http://h/", "data": data}}).request.data)


def test_figures_of_a_device():
    """Bytes of memory and storage, milliseconds and the battery in units."""
    rows = [("memory_size", "8000000000"), ("free_storage", "1500000"), ("boot_ms", "1500"), ("battery_level", "59.5")]
    rows += [("size", "12"), ("model", "1500000"), ("memory_size", "many")]
    assert ["8000000000 (8.0 GB)", "1500000 (1.5 MB)", "1500 (1.5 s)", "59.5 %", "12", "1500000", "many"] == [
        value for _, value in figures(rows)
    ]


@pytest.mark.parametrize("message", [LONG, "two\nlines", "y" * 8_192])
def test_a_log_message_stands_whole(app, message):
    """On the page and in Markdown, to 8,192 characters and its last line."""
    page, markdown = shown(app, message=message, logger="jobs")
    assert message in page
    assert message in markdown


def test_a_short_message_stands_once(app):
    """No text twice."""
    page, _ = shown(app, message="only this")
    assert 0 == page.count('class="message')
    assert "only this" in as_markdown(
        read_event({"message": "only this"}), {"title": "x", "happened": 0.0, "culprit": "", "event_id": "a"}
    )


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_empty_item_at_the_end(app, end):
    """An envelope that ends right after the header of an item of length 0 is taken, with its event."""
    data = b'{"event_id":"%s"}\n{"type":"event"}\n{"message":"m"}\n{"type":"attachment","length":0}%s' % (
        b"a" * 32,
        end,
    )
    assert 2 == len(parse_envelope(data)[1])
    assert 200 == ask(app, "/api/1/envelope/", data, **AUTH).status_int
    assert 200 == ask(app, f"/event/{'a' * 32}").status_int


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no", "line 1: the header line is no JSON"),
        (b'{}\n{"type":"event"}\n{}\nno\n', "line 4: the header of item 2 is no JSON"),
        (b'{}\n{"type":"event","length":9}\n{}\n', "line 3: item 1 ends before its length, 9"),
        (b'{}\n{"type":"event","length":1}\n{}\n', "line 3: item 1 goes on after its length, 1"),
        (b"{}\n\n[]\n", "line 3: the header of item 1 is no JSON object"),
    ],
)
def test_a_broken_envelope_names_the_line(app, data, words):
    """To the client and on the Data page."""
    with pytest.raises(EnvelopeError, match=words):
        parse_envelope(data)
    assert words in ask(app, "/api/1/envelope/", data, **AUTH).headers["X-Sentry-Error"]
    assert words in ask(app, "/data").text


def test_spotlights_address(app, tmp_path):
    """SDKs with the option ``spotlight`` send here, without a key; with --key only those that know it."""
    data = b'{"event_id":"%s"}\n{"type":"event"}\n{"message":"m"}\n' % (b"a" * 32)
    assert 200 == ask(app, "/stream", data).status_int
    assert "spotlight" in ask(app, f"/event/{'a' * 32}").text
    assert 200 == ask(app, "/stream", data, Origin="http://localhost:3000").status_int
    assert 403 == ask(app, "/stream", data, Origin="https://evil.example").status_int
    app.intake.limits.key = "secret"
    assert 401 == ask(app, "/stream", data).status_int
    known = data.replace(b'"event_id"', b'"dsn":"http://secret@h/1","event_id"', 1)
    assert 200 == ask(app, "/stream", known).status_int
