"""An issue's page in a real Chromium: its events as a table, and what they have in common."""

import re
import time

import pytest

from support.browser import chromium, shoot, violations
from support.inbox import running_inbox
from support.inbox_pages import ENTER, all_of, frame, one, press, send, wait

pytestmark = pytest.mark.full

COUNT = 41


@pytest.fixture(scope="module")
def inbox(tmp_path_factory):
    with running_inbox(tmp_path_factory.mktemp("inbox") / "inbox.db") as running:
        now = time.time()
        for number in range(COUNT):
            error = {"type": "RateError", "value": f"no rate {number}", "stacktrace": {"frames": [frame("convert")]}}
            send(running, number + 1, exception=[error], timestamp=now - 60 * number, server_name=f"web-{number % 3}",
                 release="2.4", user={"id": number % 5}, tags={"payment": "card"}, transaction="POST /checkout",
                 extra={"feature": "new-checkout", "retries": number % 2, "basket": "x" * 500},
                 request={"method": "POST", "url": "https://shop.example.com/checkout"})  # fmt: skip
        send(running, 99, message="alone", server_name="web-1")
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def texts(driver, css):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim().replace(/\\s+/g, ' '))", css
    )


def test_the_events_are_a_table(inbox, browser):
    """Clock time, and the columns in which they differ: message, server, user; a row leads to its event."""
    browser.get(inbox.url + "/issue/1?all")
    assert ["When", "Message", "Server", "User"] == texts(browser, ".eventtable th")
    assert COUNT == len(all_of(browser, ".eventtable tbody tr"))
    when, message, server, user = texts(browser, ".eventtable tbody tr:nth-child(2) td")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d", when)
    assert ("message no rate 1", "server web-1", "user 1") == (message, server, user)
    press(browser, "j", "j", ENTER)
    wait(lambda: browser.current_url.endswith(f"/event/{2:032x}"))
    assert f"event 40 of {COUNT}" in one(browser, ".near").text


def test_what_is_the_same_in_all(inbox, browser):
    """Named once for all of them, with how many they are; what differs has its commonest values."""
    browser.get(inbox.url + "/issue/1?all")
    assert f"The same in all {COUNT} events" == one(browser, "#same-h").text
    same = dict(zip(texts(browser, "#same th"), texts(browser, "#same td"), strict=True))
    assert "POST /checkout" == same["transaction"]
    assert ("card", "new-checkout", "2.4", "'gbp'") == tuple(
        same[name] for name in ("payment", "feature", "release", "currency")
    )
    assert "500 characters" not in same["basket"]
    assert "over 300 characters" in same["basket"]
    different = dict(zip(texts(browser, "#different th"), texts(browser, "#different td"), strict=True))
    times = "\N{MULTIPLICATION SIGN}"
    assert f"2 values21 {times} 0 20 {times} 1".replace(" ", "") == different["retries"].replace(" ", "")
    assert different["id"].startswith("5 values")
    assert "payment" not in different


def test_only_the_last_events_are_compared(inbox, browser):
    """Where an issue has more than are read, the page says of how many it speaks."""
    for number in range(60):
        send(inbox, 200 + number, message="again and again", extra={"n": 1})
    browser.get(inbox.url + "/?q=again")
    one(browser, ".issue .title").click()
    one(browser, ".crumb a:nth-of-type(2)").click()
    assert "The same in the last 50 events" == one(browser, "#same-h").text


def test_a_single_event_is_compared_with_nothing(inbox, browser):
    """Its row has what there is to say."""
    browser.get(inbox.url + "/issue/2?all")
    assert ["When", "Message", "Server"] == texts(browser, ".eventtable th")
    assert [] == all_of(browser, ".merged")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_accessible(inbox, tmp_path, width, dark):
    """axe-core finds nothing wrong at any width, in both themes, and nothing is wider than the screen."""
    with chromium(tmp_path / "profile", (width, 1000), dark=dark) as driver:
        driver.get(inbox.url + "/issue/1?all")
        shoot(driver, f"issue-{width}-{'dark' if dark else 'light'}")
        driver.execute_script("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        assert [] == violations(driver)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
