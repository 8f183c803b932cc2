"""Events as the SDKs of many languages send them: taken, listed, shown. tests/data/sdks has one envelope a file."""

import html
import re

import pytest
from webob import Request

from heka_raven.inbox.web.app import make_app
from support.inbox import AUTH
from support.paths import DATA, read_vectors

ROWS = read_vectors("sdks/expected.tsv")


@pytest.fixture
def app(tmp_path):
    found = make_app(str(tmp_path / "inbox.db"))
    yield found
    found.close()


def get(app, path):
    answer = Request.blank(path, host="localhost").get_response(app)
    assert 200 == answer.status_int, answer.status
    return answer


def text_of(page):
    """What a person reads: without tags, spaces as one."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "\x00", page)).replace("\x00", " ").split())


def joined(text):
    """Without spaces: colours part a line of source into pieces."""
    return "".join(text.split())


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_sdk_is_taken_listed_and_shown(app, row):
    """The intake answers 200; the list has level and title; the page its contents. Other items leave no event."""
    name, level, title, shown = row
    body = (DATA / "sdks" / f"{name}.env").read_bytes()
    answer = Request.blank("/api/1/envelope/", method="POST", body=body, headers=AUTH).get_response(app)
    assert 200 == answer.status_int, answer.text
    listed = get(app, "/api/events").json
    if level == "-":
        assert [] == listed
        return
    (event,) = listed
    assert (level, title) == (event["level"], event["title"])
    assert title in text_of(get(app, "/?q=").text)
    page = get(app, f"/event/{event['event_id']}").text
    missing = [words for words in shown.split(" | ") if joined(words) not in joined(text_of(page))]
    assert [] == missing
    for form in ("json", "markdown", "curl", "envelope"):
        get(app, f"/event/{event['event_id']}/{form}")


def test_every_file_is_expected():
    """A file that nobody looks at says nothing."""
    files = {path.stem for path in (DATA / "sdks").glob("*.env")}
    assert {row[0] for row in ROWS} == files
    assert 30 <= len([row for row in ROWS if row[1] != "-"])
