"""The pages in a real, headless Chromium: live list, keys, copying, folding, reading without script, axe-core."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from support.browser import chromium, shoot, violations
from support.inbox import running_inbox
from support.inbox_pages import ENTER, ESCAPE, all_of, frame, one, press, send, titles, wait

pytestmark = pytest.mark.full


def fill(inbox):
    now = time.time()
    trace = {"trace": {"trace_id": "a" * 32, "span_id": "b" * 16}}
    mechanism = {"type": "wsgi", "handled": False, "data": {"carets": [[1, 9, 21, 9, 43]]}}
    error = {"type": "KeyError", "value": "'GBP'", "mechanism": mechanism,
             "stacktrace": {"frames": [frame("__call__", False), frame("convert")]}}  # fmt: skip
    member = {"exception_id": 1, "parent_id": 0, "source": "exceptions[0]"}
    group = [
        {"type": "ValueError", "value": "bad", "mechanism": member},
        {"type": "ExceptionGroup", "value": "two failed", "mechanism": {"exception_id": 0, "is_exception_group": True}},
    ]
    suspect = {"method": "POST", "url": "/checkout", "age_s": 60.2, "worker": 3, "core": 0, "pid": 77}
    uwsgi = {"worker": 3, "suspect": suspect, "bystanders": [{"method": "GET", "url": "/p/1", "age_s": 0.4}]}
    request = {"method": "POST", "url": "https://shop.example.com/checkout", "headers": {"Authorization": "[Filtered]"},
               "data": {"card": "[Filtered]", "n": 2}, "cookies": {"lang": "en"}}  # fmt: skip
    send(
        inbox, 1, exception={"values": group}, level="warning", timestamp=now - 30, release="shop@2", environment="test"
    )
    send(inbox, 2, exception={"values": [{"type": "LookupError", "value": "none"}, error]}, request=request,
         contexts=trace, user={"id": 4711}, tags={"payment": "card"}, extra={"basket": {"items": [1, 2, 3]}},
         breadcrumbs=[{"message": "SELECT 1", "category": "sql", "timestamp": now - 12}], timestamp=now - 10,
         modules={"shop": "2.4"}, server_name="web-1")  # fmt: skip
    send(inbox, 3, message="worker 3 over its time limit", tags={"uwsgi.event": "harakiri", "uwsgi.worker": "3"},
         contexts={**trace, "uwsgi": uwsgi}, server_name="web-1", timestamp=now - 5)  # fmt: skip
    send(inbox, 4, message="worker 1 died", level="fatal", tags={"uwsgi.event": "segfault", "uwsgi.worker": "1"},
         server_name="web-1", timestamp=now - 100)  # fmt: skip
    send(inbox, 5, message="queue full", level="warning", tags={"uwsgi.event": "listen-queue"}, server_name="web-2")
    send(inbox, 6, message="ready", level="info", server_name="web-2")
    send(inbox, 7, message="details", level="debug", logger="shop")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with running_inbox(tmp_path_factory.mktemp("inbox") / "inbox.db") as running:
        fill(running)
        yield running


@pytest.fixture
def fresh(tmp_path):
    with running_inbox(tmp_path / "inbox.db") as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def chosen(driver):
    return driver.execute_script("return document.querySelector('.issue.chosen .title').textContent")


PAGES = {
    "list": "/",
    "search": "/?q=keyerror&level=error",
    "nothing": "/?q=nosuchthing",
    "event": f"/event/{2:032x}",
    "group": f"/event/{1:032x}",
    "server": f"/event/{3:032x}",
    "issue": "/issue/2?all",
    "hosts": "/hosts?span=15m",
    "data": "/data",
    "login": "/login",
}


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_every_page_is_accessible(filled, tmp_path, width, look):
    """axe-core finds nothing wrong, in light and dark, wide and narrow; nothing overflows; the console is silent."""
    with chromium(tmp_path / "profile", (width, 1000), dark=look == "dark") as driver:
        found = {}
        for name, path in PAGES.items():
            driver.get(filled.url + path)
            shoot(driver, f"{name}-{width}-{look}")
            for fold in all_of(driver, "details"):
                driver.execute_script("arguments[0].open = true", fold)
            found[name] = violations(driver)
            wide = driver.execute_script("return document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                found[name].append(f"{wide} px too wide")
        assert {name: [] for name in PAGES} == found
        assert [] == [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_list_is_live(fresh, browser):
    """An event shows up by itself, without a reload; a deleted one goes."""
    browser.get(fresh.url)
    assert "No events yet" in one(browser, ".empty").text
    browser.execute_script("window.same = true")
    for number in (1, 2):
        send(fresh, number, message=f"event {'x' * number}")
        wait(lambda n=number: len(all_of(browser, ".issue")) == n)
    assert ["event xx", "event x"] == titles(browser)
    fresh.request(f"/api/events/{2:032x}", method="DELETE")
    wait(lambda: len(all_of(browser, ".issue")) == 1)
    assert browser.execute_script("return window.same")


def test_keys(filled, browser):
    """/ searches, j and k move, Enter opens, Esc goes back; the choice survives live changes."""
    browser.get(filled.url)
    one(browser, ".issue")
    press(browser, "j")
    press(browser, "j")
    second = chosen(browser)
    assert titles(browser)[1] == second
    press(browser, "k")
    first = chosen(browser)
    assert first != second
    send(filled, 50, message="something new")
    wait(lambda: titles(browser)[0] == "something new")
    assert first == chosen(browser)
    filled.request(f"/api/events/{50:032x}", method="DELETE")
    press(browser, ENTER)
    wait(lambda: "/event/" in browser.current_url)
    press(browser, ESCAPE)
    wait(lambda: browser.current_url == filled.url + "/")
    one(browser, ".issue")
    press(browser, "/")
    press(browser, "worker", ENTER)
    wait(lambda: "q=worker" in browser.current_url)
    wait(lambda: 2 == len(titles(browser)))
    press(browser, "j", "j", ENTER)
    wait(lambda: "/event/" in browser.current_url)
    press(browser, ESCAPE)
    wait(lambda: "q=worker" in browser.current_url)
    wait(lambda: titles(browser)[1] == chosen(browser))


def test_keys_of_the_event_page(fresh, browser):
    """j goes on to the older event of the issue, as down the list; k back to the newer; / begins a search."""
    old, new = (send(fresh, number, message="the same thing") for number in (1, 2))
    browser.get(f"{fresh.url}/event/{new}")
    press(browser, "j")
    wait(lambda: browser.current_url.endswith(old))
    press(browser, "j")
    press(browser, "k")
    wait(lambda: browser.current_url.endswith(new))
    press(browser, "/")
    wait(lambda: "q" == browser.switch_to.active_element.get_attribute("id"))


def test_filters_apply_when_chosen(filled, browser):
    """Levels and kinds are links, releases a list that needs no button."""
    browser.get(filled.url)
    one(browser, ".chips a.fatal").click()
    wait(lambda: ["worker 1 died"] == titles(browser))
    browser.get(filled.url)
    one(browser, "select[name=release] option:nth-child(2)").click()
    wait(lambda: "release=shop" in browser.current_url)
    assert ["ExceptionGroup: two failed"] == titles(browser)


def test_the_event_page_folds_and_marks(filled, browser):
    """The innermost app frame is open with its locals, its failing columns underlined, library frames are folded."""
    browser.get(f"{filled.url}/event/{2:032x}")
    mark = one(browser, ".frame[open] mark")
    assert "rate[currency.upper()]" == mark.text
    assert "underline" in mark.value_of_css_property("text-decoration")
    locals_ = one(browser, ".frame[open] .locals")
    assert "'gbp'" in locals_.text
    locals_.find_element("css selector", "summary").click()
    assert not one(browser, ".locals .facts").is_displayed()
    assert "1 frame in shop" in one(browser, ".library > summary").text
    assert "[Filtered]" == one(browser, "#request .filtered").text
    related = [item.text for item in all_of(browser, "#related a")]
    assert ["this event", "worker 3 over its time limit"] == [text.split("\n")[-1] for text in related]


def test_names_stay_beside_the_time_line(filled, tmp_path):
    """On a narrow screen the newest end of the time line is in sight, and the workers' names with it."""
    with chromium(tmp_path / "profile", (375, 812)) as driver:
        driver.get(filled.url + "/hosts?span=15m")
        name = one(driver, ".names .worker")
        box = driver.execute_script("return arguments[0].getBoundingClientRect()", name)
        assert 0 <= box["left"] < box["right"] <= 375
        assert 0 < driver.execute_script("return document.querySelector('.chart').scrollLeft")


def test_copying(filled, browser):
    """The buttons put the text on the clipboard and say so."""
    browser.get(f"{filled.url}/event/{2:032x}")
    browser.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    for name, start in (("curl", "# filtered"), ("Markdown", "## `KeyError: 'GBP'`"), ("JSON", "{")):
        one(browser, f"a[data-copy][href$={name.lower()}]").click()
        wait(lambda n=name: f"Copied {n}" == one(browser, "#said").text)
        assert browser.execute_script("return window.copied").startswith(start)


def test_copying_what_was_deleted_meanwhile(fresh, browser):
    """Nothing is copied, and the page that opens says why."""
    event_id = send(fresh, 1, message="gone", request={"url": "http://shop.example.com/"})
    browser.get(f"{fresh.url}/event/{event_id}")
    browser.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    assert 204 == fresh.request(f"/api/events/{event_id}", method="DELETE").status
    one(browser, "a[data-copy]").click()
    wait(lambda: browser.current_url.endswith("/curl"))
    wait(lambda: "no such event" in browser.page_source)


def test_deleting(fresh, browser):
    """The button of the event page asks, deletes and leads on."""
    event_id = send(fresh, 1, message="to be deleted")
    browser.get(f"{fresh.url}/event/{event_id}")
    one(browser, ".act.danger").click()
    browser.switch_to.alert.dismiss()
    assert 1 == len(fresh.events())
    one(browser, ".act.danger").click()
    browser.switch_to.alert.accept()
    wait(lambda: browser.current_url == fresh.url + "/")
    assert [] == fresh.events()


def test_resolving_by_keyboard(fresh, browser):
    """j chooses a row, x takes it, r resolves what is taken; it comes back as "again", with the release."""
    for number, message in enumerate(("one", "two", "three")):
        send(fresh, number + 1, message=message)
    browser.get(fresh.url)
    body = one(browser, "body")
    for key in ("j", "x", "j", "x"):
        body.send_keys(key)
    wait(lambda: "2 chosen" == one(browser, ".said-n").text)
    body.send_keys("r")
    wait(lambda: 1 == len(all_of(browser, ".issue")))
    assert "resolved 2" in one(browser, "nav[aria-label=State]").text
    left = one(browser, ".issue .title").text
    came_back = next(m for m in ("one", "two", "three") if m != left)
    send(fresh, 9, message=came_back, timestamp=time.time() + 1, release="2.0")
    wait(lambda: [e.text for e in all_of(browser, ".badge.again")] == ["again in 2.0"])  # the list is live
    browser.get(fresh.url + "/?state=resolved")
    one(browser, ".issue .title").click()
    wait(lambda: "resolved" == one(browser, ".badge.state").text)
    one(browser, "body").send_keys("o")
    wait(lambda: not all_of(browser, ".badge.state"))


def test_times_are_the_readers_own(fresh, browser):
    """A page shows the zone of whoever reads it, exactly on hover; what came late says so."""
    happened = time.time() - 7200
    event_id = send(fresh, 1, message="late", timestamp=happened)
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        browser.get(f"{fresh.url}/event/{event_id}")
        there = datetime.fromtimestamp(int(happened), timezone(timedelta(hours=9)))
        assert f"{there:%Y-%m-%d %H:%M:%S} +09:00" == one(browser, "time.exact").text
        assert one(browser, ".when time").get_attribute("title").endswith("+09:00")
        assert "arrived" in one(browser, ".late").text
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_it_reads_without_script(filled, tmp_path):
    """List, search form, event, folding and hosts work with JavaScript off."""
    with chromium(tmp_path / "profile", script=False) as driver:
        driver.get(filled.url)
        assert 6 <= len(all_of(driver, ".issue"))
        one(driver, "#q").send_keys("keyerror", ENTER)
        one(driver, ".issue .title").click()
        assert "KeyError" == one(driver, "h1").text
        assert "'gbp'" in one(driver, ".locals .facts").text
        driver.get(filled.url + "/hosts")
        assert one(driver, ".hostview").is_displayed()


def test_nothing_in_a_hostile_event_runs(fresh, browser):
    """Script in every field: no dialog, no request elsewhere, no violation of the policy was even tried."""
    nasty = "</script><script>window.hacked=1</script><img src=//evil.example/x onerror=window.hacked=1>"
    error = {
        "type": nasty,
        "value": nasty,
        "stacktrace": {"frames": [frame(nasty, context_line=nasty, vars={nasty: nasty})]},
    }
    send(fresh, 1, exception={"values": [error]}, tags={nasty: nasty, "uwsgi.event": nasty}, release=nasty,
         request={"url": "javascript:window.hacked=1", "headers": {nasty: nasty}}, extra={nasty: nasty})  # fmt: skip
    for path in ("/", f"/event/{1:032x}", "/hosts", "/issue/1?all"):
        browser.get(fresh.url + path)
        one(browser, "#main")
        assert browser.execute_script("return window.hacked") is None
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        assert all(name.startswith(fresh.url) for name in loaded)
    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert [] == [message for message in messages if "Content Security Policy" in message]
    browser.get(f"{fresh.url}/event/{1:032x}")
    shoot(browser, "hostile")


def test_logging_in(tmp_path, browser):
    """With a token the form is asked once; a wrong token is told so."""
    token = "a token of some length"
    with running_inbox(tmp_path / "inbox.db", "--token", token) as running:
        browser.get(running.url)
        for given in ("wrong", token):
            box = one(browser, "input[name=token]")
            box.clear()
            box.send_keys(given, ENTER)
            if given == "wrong":
                assert "not the token" in one(browser, ".notice").text
        assert "No events yet" in one(browser, ".empty").text
