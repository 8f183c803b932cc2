"""The host view and the search in a real Chromium: what is there can be seen, clicked and found."""

import time

import pytest

from support.browser import chromium, shoot
from support.inbox import running_inbox
from support.inbox_pages import ENTER, ESCAPE, all_of, frame, one, press, send, titles, wait

pytestmark = pytest.mark.full

TITLES = [
    "gaierror: [Errno -2] Name or service not known",
    "the backup began at 12:30:00 and did not end",
    "terminate called after throwing std::bad_alloc",
    "-1 is no age",
    "!important is not a level",
    'no such key: "a: b" in {"x": 1}',
    "https://bank.example/pay?id=1 timed out",
]


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    with running_inbox(tmp_path_factory.mktemp("inbox") / "inbox.db") as running:
        now = time.time()
        for number in range(9):
            send(running, number, message=f"uWSGI killed worker 3 after 60 s: GET /{number}", server_name="web-1",
                 tags={"uwsgi.event": "harakiri", "uwsgi.worker": "3"}, timestamp=now - 1)  # fmt: skip
        for number in range(4):
            send(running, 20 + number, message="full", server_name="web-1", timestamp=now - 3_590,
                 tags={"uwsgi.event": "segfault", "uwsgi.worker": "3"})  # fmt: skip
        error = {"type": "KeyError", "value": "'x'", "stacktrace": {"frames": [frame("pay")]}}
        for number in range(5):
            send(running, 30 + number, exception=[error], server_name="web-1", tags={"worker": "3"},
                 timestamp=now - 2, user={"email": "ann@example.com", "id": "4711"})  # fmt: skip
        for number, title in enumerate(TITLES):
            send(running, 50 + number, message=title, timestamp=now - 50_000)
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), (1280, 1000)) as driver:
        yield driver


OVERLAPS = """
const boxes = [...document.querySelectorAll('.lanes a')].map(a => [a, a.getBoundingClientRect()]), bad = [];
const frame = document.querySelector('.hostview.lanes').getBoundingClientRect();
for (const [a, box] of boxes) {
  const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
  const top = document.elementFromPoint(x, y);
  if (!a.contains(top)) bad.push(a.getAttribute('aria-label'));
  if (box.left < frame.left - 1 || box.right > frame.right + 1) bad.push('outside');
}
return [boxes.length, bad];
"""


def test_no_mark_hides_another(inbox, browser):
    """Nine harakiris of one second, deaths at the other end, and the app's errors: each can be clicked."""
    browser.get(inbox.url + "/hosts")
    shoot(browser, "hosts-crowded")
    count, bad = browser.execute_script(OVERLAPS)
    assert 9 + 4 + 1 == count
    assert [] == bad
    marks = browser.execute_script(
        "return [...document.querySelectorAll('.lanes a.mark')].map(a => a.getBoundingClientRect().left)"
    )
    assert all(8 < right - left for left, right in zip(sorted(marks), sorted(marks)[1:], strict=False))


def test_a_bar_and_a_mark_lead_to_their_events(inbox, browser):
    """A bar of several events to the newest of them; what it is says the title on hover."""
    browser.get(inbox.url + "/hosts")
    bar = one(browser, ".lanes a:not(.mark)")
    assert "KeyError: 'x' and 4 more" == bar.get_attribute("aria-label")
    bar.click()
    wait(lambda: "/event/" in browser.current_url)
    assert "KeyError" == one(browser, "h1").text


def test_a_row_says_what_happened(inbox, browser):
    """When, which kind, on which host and worker, and the sentence."""
    browser.get(inbox.url + "/hosts")
    row = one(browser, ".timeline.events li").text.split("\n")
    assert ["harakiri", "web-1, worker 3"] == row[1:3]
    assert row[3].startswith("uWSGI killed worker 3 after 60 s: GET /")


@pytest.mark.parametrize("title", TITLES)
def test_a_pasted_title_is_found(inbox, browser, title):
    """Whatever in it looks like a tag, a NOT or a quote."""
    browser.get(inbox.url + "/hosts")
    one(browser, "#q").send_keys(title, ENTER)
    wait(lambda: browser.current_url.startswith(f"{inbox.url}/?q="))
    assert title in titles(browser)


@pytest.mark.parametrize("query", ["user:ann@example.com", "ann@example.com", "user:4711", "user:4711 keyerror"])
def test_people_are_found(inbox, browser, query):
    """By e-mail or id, as a word or as the user."""
    browser.get(inbox.url + "/")
    one(browser, "#q").send_keys(query, ENTER)
    wait(lambda: ["KeyError: 'x'"] == titles(browser))


@pytest.mark.parametrize("path", ["/", "/hosts", "/data", f"/event/{1:032x}", "/issue/1?all", "/nothing"])
def test_every_page_explains_its_search(inbox, browser, path):
    """One click shows the words; Esc and a click elsewhere close them; / goes to the field."""
    browser.get(inbox.url + path)
    words = one(browser, ".words")
    words.find_element("css selector", "summary").click()
    for word in ("user:", "url:", "release:", "is:resolved"):
        assert word in words.text
    press(browser, ESCAPE)
    wait(lambda: not one(browser, ".words .panel").is_displayed())
    words.find_element("css selector", "summary").click()
    one(browser, ".foot").click()
    wait(lambda: not one(browser, ".words .panel").is_displayed())
    press(browser, "/")
    wait(lambda: "q" == browser.switch_to.active_element.get_attribute("id"))


def test_the_login_page_has_no_hints(tmp_path, browser):
    """Keys and search are of use once one is in."""
    with running_inbox(tmp_path / "inbox.db", "--token", "a token of some length") as running:
        browser.get(running.url)
        one(browser, "input[name=token]")
        assert [] == all_of(browser, ".keys, .find, .words, nav")


def test_an_empty_inbox_says_what_to_write(tmp_path, browser):
    """For sentry-sdk, Flask, Django and logging, with the address as the reader called it."""
    with running_inbox(tmp_path / "inbox.db") as running:
        browser.get(running.url)
        snippets = {item.text.split("\n")[0]: item.text for item in all_of(browser, ".snippets figure")}
        assert ["sentry-sdk", "Flask", "Django", "logging"] == [name.split(",")[0].split(" (")[0] for name in snippets]
        assert all(f"inbox@127.0.0.1:{running.port}/1" in text for text in snippets.values())
