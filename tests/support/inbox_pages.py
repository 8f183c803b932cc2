"""What the inbox's tests in a browser share: events to send, and looking at a page."""

import json
import time

from support.inbox import AUTH

ESCAPE, ENTER = "\ue00c", "\ue007"
LINES = ["def convert(amount, currency):", "    rate = rates.today()", "    return amount * rate[currency.upper()]"]


def frame(function, in_app=True, **keys):
    return {
        "function": function, "filename": "shop/totals.py", "module": "shop.totals", "lineno": 9, "in_app": in_app,
        "pre_context": LINES[:2], "context_line": LINES[2], "post_context": [""],
        "vars": {"currency": "'gbp'", "n": "3"}, **keys,
    }  # fmt: skip


def send(inbox, number, **event):
    event_id = f"{number:032x}"
    reply = inbox.request("/api/1/store/", json.dumps({"event_id": event_id, **event}).encode(), AUTH)
    assert 200 == reply.status
    return event_id


def wait(condition, limit_s=45):
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def one(driver, css):
    return driver.find_element("css selector", css)


def all_of(driver, css):
    driver.implicitly_wait(0)
    try:
        return driver.find_elements("css selector", css)
    finally:
        driver.implicitly_wait(20)


def titles(driver):
    """Read in one go: the live page may replace the rows at any moment."""
    return driver.execute_script("return [...document.querySelectorAll('.issue .title')].map(e => e.textContent)")


def press(driver, *keys):
    driver.switch_to.active_element.send_keys(*keys)
