"""One event's page in a real Chromium: folds, locals, colours, the raw traceback, links, and nothing said twice."""

import subprocess
import time

import pytest

from support.browser import chromium, shoot, violations
from support.inbox import COMMAND, running_inbox
from support.inbox_pages import ENTER, all_of, frame, one, send, titles, wait

pytestmark = pytest.mark.full

SOURCE = "https://git.example/shop/{release}/{path}#L{line}"
LONG = "Please ring twice. " * 40


def library(module, **keys):
    return frame("get", False, module=module, filename=f"{module.replace('.', '/')}.py", **keys)


def failing(*frames, value="no rate", **event):
    error = {"type": "RateError", "value": value, "stacktrace": {"frames": list(frames)}}
    return {"exception": {"values": [error]}, "platform": "python", "release": "2.4", **event}


def deep():
    basket = {"items": [{"sku": f"A-{n}"} for n in range(14)], "paid": False, "note": LONG}
    return failing(
        frame("main", abs_path="/srv/shop/main.py", filename="shop/main.py"),
        *(library("django.core.handlers") for _ in range(7)),
        *(frame("walk", lineno=23) for _ in range(61)),
        frame("convert", vars={"basket": basket, "n": 3}, abs_path="/srv/my shop/totals.py"),
        library("decimal"),
        transaction="POST /checkout",
        request={"method": "POST", "url": "https://shop.example.com/checkout"},
        tags={"payment": "card", "release": "2.4"},
        server_name="web-1",
        user={"id": "4711"},
    )


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inbox")
    with running_inbox(folder / "inbox.db", "--editor", "vscode", "--source", SOURCE) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def event(inbox):
    return f"{inbox.url}/event/{send(inbox, 1, **deep())}"


def summaries(driver):
    return [item.text.partition("\n")[0].strip() for item in all_of(driver, ".stack > details > summary")]


def open_folds(driver):
    return driver.execute_script("return document.querySelectorAll('#exceptions details[open]').length")


def test_library_frames_and_recursion_are_lines(event, browser):
    """The app's frames stand alone, the innermost open; 7 of a library, and 60 of one call, are a line each."""
    browser.get(event)
    shown = summaries(browser)
    for said, begin in zip(shown, ("1 frame in decimal", "convert", "walk", "60 \N{MULTIPLICATION SIGN} the same",
                                   "7 frames in django", "main"), strict=True):  # fmt: skip
        assert said.startswith(begin)
    assert ["convert"] == [item.text for item in all_of(browser, ".stack > .frame[open] > summary .function")]
    all_of(browser, ".library > summary")[1].click()
    inside = all_of(browser, ".library[open] > .frame")
    assert 60 == len(inside)
    assert all(item.is_displayed() for item in inside)


def test_locals_are_a_tree(event, browser):
    """Those of the failing frame stand open, long ones folded; a click shows all of them."""
    browser.get(event)
    paid, note = (
        one(browser, ".stack > .frame[open] td > .tree > ul > li:nth-child(2)"),
        one(browser, ".stack > .frame[open] .long"),
    )
    assert ["paid", "false"] == paid.text.split()
    items = one(browser, ".stack > .frame[open] td > .tree .tree")
    assert "14 items" in items.text
    assert items.get_attribute("open") is None
    assert LONG.strip() not in note.text
    assert "400 characters" not in note.text
    assert f"{len(LONG)} characters" in note.text
    note.find_element("css selector", "summary").click()
    assert LONG.strip() in note.text
    items.find_element("css selector", "summary").click()
    assert "A-0" in items.text
    assert "13" in items.text


def test_expand_all(event, browser):
    """One click unfolds everything, one more folds it again."""
    browser.get(event)
    before = open_folds(browser)
    one(browser, "a[data-expand]").click()
    wait(lambda: 70 < open_folds(browser))
    assert "Fold" == one(browser, "a[data-expand]").text
    one(browser, "a[data-expand]").click()
    wait(lambda: before == open_folds(browser))


def test_expand_all_without_script(event, tmp_path):
    """The link asks the server."""
    with chromium(tmp_path / "profile", script=False) as driver:
        driver.get(event)
        one(driver, "a[data-expand]").click()
        wait(lambda: "?expand" in driver.current_url)
        wait(lambda: all(fold.get_attribute("open") for fold in all_of(driver, "#exceptions .stack details.frame")))


def test_the_raw_traceback(event, browser):
    """As Python prints it, whole, in place of the frames; with a button that copies it."""
    browser.get(event)
    one(browser, "a[href*='?raw']").click()
    text = one(browser, "pre.raw").text
    assert text.startswith('Traceback (most recent call last):\n  File "/srv/shop/main.py", line 9, in main\n')
    assert "[Previous line repeated 58 more times]" in text
    assert text.endswith("RateError: no rate")
    assert [] == all_of(browser, ".stack")
    browser.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    one(browser, "a[data-copy][href$=traceback]").click()
    wait(lambda: text == (browser.execute_script("return window.copied") or "").strip())


@pytest.mark.parametrize("dark", [False, True])
def test_source_has_colours(event, tmp_path, dark):
    """Made on the server, read without script; each kind differs from plain text, in both themes."""
    with chromium(tmp_path / "profile", dark=dark, script=False) as driver:
        driver.get(event)
        plain = one(driver, ".stack > .frame[open] code").value_of_css_property("color")
        keyword = one(driver, ".stack > .frame[open] .source .tk")
        assert "def" == keyword.text
        assert (
            plain
            != keyword.value_of_css_property("color")
            != one(driver, ".stack > .frame[open] .tf").value_of_css_property("color")
        )


def test_links_to_the_editor_and_the_source(event, browser):
    """A frame with a path on a disk opens in the editor, one of the app on the web server; nothing else is a link."""
    browser.get(event)
    editor, source = all_of(browser, ".stack > .frame[open] .goto a")
    assert "vscode://file/srv/my%20shop/totals.py:9:1" == editor.get_attribute("href")
    assert "https://git.example/shop/2.4/shop/totals.py#L9" == source.get_attribute("href")
    assert [] == all_of(browser, ".theirs .goto a[href^=https]")


HOSTILE = ["javascript:alert(1)", "//evil.example/x", "../../../x", 'x"onclick=alert(1)', "https://evil.example/"]


def test_an_event_cannot_choose_where_a_link_leads(inbox, browser):
    """Whatever paths and releases say, links begin as the options do."""
    for number, text in enumerate(HOSTILE):
        path = frame("f", filename=text, abs_path=f"/{text}")
        browser.get(f"{inbox.url}/event/{send(inbox, 100 + number, **failing(path, release=text))}")
        links = browser.execute_script("return [...document.querySelectorAll('main a')].map(a => a.href)")
        starts = (inbox.url + "/", "vscode://file/", "https://git.example/shop/")
        assert [] == [link for link in links if not link.startswith(starts)]


LEAVES = """
const seen = [], walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const box = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim().replace(/\\s+/g, ' ');
  const counts = text.length >= 6 && !box.closest('.source, .place, time, .acts, .hidden, option');
  if (counts && box.checkVisibility()) seen.push(text);
}
return seen;
"""


@pytest.mark.parametrize("kind", ["app", "server", "message", "chain"])
def test_nothing_stands_twice(inbox, browser, kind):
    """Type, message, place, host, release, time: each text is on the page once."""
    sentence = "uWSGI killed worker 3 after 60 s: POST /checkout waited in convert (shop/totals.py)"
    harakiri = {"values": [{"type": "harakiri", "value": sentence}]}
    chain = [{"type": "KeyError", "value": "'gbp'"}, {"type": "RateError", "value": "no rate for gbp"}]
    where = {"environment": "staging", "logger": "shop.jobs"}
    seen = {"uwsgi.event": "harakiri", "uwsgi.worker": "3"}
    events = {
        "app": deep(),
        "server": {"exception": harakiri, "logentry": {"formatted": sentence}, "tags": seen, "server_name": "web-1"},
        "message": {"message": "the nightly job left three orders", **where, "tags": where},
        "chain": {"exception": {"values": chain}, "message": "no rate for gbp"},
    }
    number = 20 + sorted(events).index(kind)
    browser.get(f"{inbox.url}/event/{send(inbox, number, timestamp=time.time(), **events[kind])}")
    texts = browser.execute_script(LEAVES)
    assert [] == sorted({text for text in texts if texts.count(text) > 1})


def test_the_sentence_of_the_server_is_the_heading(inbox, browser):
    """What uWSGI did, to whom and where, on top; the kind stands beside it as a mark."""
    sentence = "uWSGI killed worker 3 after 61 s: POST /checkout waited in convert (shop/totals.py)"
    event = {"exception": {"values": [{"type": "harakiri", "value": sentence}]}, "logentry": {"formatted": sentence}}
    browser.get(f"{inbox.url}/event/{send(inbox, 30, tags={'uwsgi.event': 'harakiri'}, **event)}")
    assert sentence == one(browser, "h1").text
    assert "harakiri" == one(browser, ".badge.server").text


def test_two_functions_of_one_name_differ_in_the_list(inbox, browser):
    """A row names the file and the function."""
    for number, name in enumerate(("views", "admin")):
        place = frame("hello", module=f"shop.{name}", filename=f"shop/{name}.py")
        send(inbox, 40 + number, **failing(place, value="hello", transaction="GET /hello"))
    browser.get(inbox.url + "/?q=hello")
    rows = [row.text for row in all_of(browser, ".issue .under")]
    assert 2 == len(rows) == len(titles(browser))
    assert {"views", "admin"} == {
        name for row in rows for name in ("views", "admin") if f"shop/{name}.py in hello" in row
    }
    one(browser, "#q").clear()
    one(browser, "#q").send_keys("shop/admin.py in hello", ENTER)
    wait(lambda: 1 == len(titles(browser)))


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible_unfolded(event, tmp_path, width, dark):
    """axe-core finds nothing, nothing is wider than the screen; the raw traceback likewise."""
    with chromium(tmp_path / "profile", (width, 1000), dark=dark) as driver:
        for view in ("", "?raw"):
            driver.get(event + view)
            shoot(driver, f"event{view.strip('?')}-{width}-{'dark' if dark else 'light'}")
            driver.execute_script(
                "document.querySelectorAll('details:not(.library)').forEach(fold => { fold.open = true; })"
            )
            assert [] == violations(driver)
            assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--editor", "emacs", "want vscode, pycharm, or a URL"),
        ("--editor", "javascript:alert('{path}')", "a link to javascript: opens no editor"),
        ("--source", "https://git.example/{branch}/{path}", "{branch} is not known"),
        ("--source", "ftp://git.example/{path}", "want https://host/"),
    ],
)
def test_a_wrong_link_option_is_one_line(tmp_path, option, value, reason):
    """It names the option and what would be right, and nothing was started."""
    done = subprocess.run(
        [*COMMAND, "--db", str(tmp_path / "inbox.db"), option, value], capture_output=True, text=True, timeout=60
    )
    assert 2 == done.returncode
    assert done.stderr.startswith(f"heka-raven inbox: {option}: ")
    assert reason in done.stderr
    assert 1 == done.stderr.count("\n")
    assert not (tmp_path / "inbox.db").exists()
