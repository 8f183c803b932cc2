"""What the uWSGI plugin sends: none of the secrets that a request, an exception or a log line brought along."""

import json

import pytest

from support.uwsgi import find_uwsgi
from support.waiting import wait_for

pytestmark = pytest.mark.skipif(find_uwsgi() is None, reason="no uWSGI: ./run test installs one")

HANDLERS = """
log-master = true
log-master-bufsize = 16384
alarm-msg-size = 16384
alarm-freq = 0
alarm = seen sentry:logger=t.alarm
log-alarm = seen ^alarm-line
route = ^/boom sentry:logger=t.route,message=at ${REQUEST_URI},culprit=${HTTP_REFERER},TAGS,EXTRA
exception-handler = sentry:logger=t.exception
"""
HANDLERS = HANDLERS.replace("TAGS", "tags=api_key:${HTTP_X_PIN};q:${QUERY_STRING}")
HANDLERS = HANDLERS.replace("EXTRA", "extra=agent:${HTTP_USER_AGENT};password:${HTTP_X_PIN}")
COUNT = 44


def secret(number):
    return f"Pl4nt{number:02d}" + "Zz9" * 3


def query(s):
    """A query that also becomes the message of an exception, and a line of the log."""
    return "&".join([
        f"token={s(0)}", f"pass%77ord={s(1)}", f"a[secret]={s(2)}", f"next=%2Fl%3Ftoken%3D{s(3)}",
        f"filter=%7B%22password%22%3A%22{s(4)}%22%7D", f"code={s(5)}", f"ticket={s(6)}", f"pin={s(7)}", f"otp={s(8)}",
        f"db_pass={s(9)}", f"bind_pw={s(10)}", f"url=https://u:{s(11)}@h/", f"X-Amz-Signature={s(12)}", f"sig={s(13)}",
        f"t=eyJhbGciOiJIUzI1NiJ9.{s(14)}.abc", f"g=ghp_{s(15)}0123456789", f"k=sk_live_{s(16)}",
        "card=4111111111111111",
        f"salt={s(17)}", f"cvv={s(18)}", f"apiKey={s(19)}", f"jwt={s(20)}", f"session_id={s(21)}",
    ])  # fmt: skip


def headers(s):
    return {
        "Cookie": f"sid={s(22)}; plain={s(23)}; lang=de; prefs=%7B%22token%22%3A%22{s(24)}%22%7D",
        "Authorization": f"SSWS {s(25)}",
        "Proxy-Authorization": f"Bearer {s(26)}",
        "X-Api-Key": s(27),
        "X-Passphrase": s(28),
        "X-Csrf-Token": s(29),
        "Referer": f"https://u:{s(30)}@h/p?token={s(31)}&a=1#key={s(32)}",
        "X-Original-Url": f"/a?next=%2F%3Ftoken%3D{s(33)}",
        "X-Rewrite-Url": f"/a?pw={s(34)}",
        "Link": f"<https://h/?token={s(35)}>; rel=next",
        "X-Forwarded-For": f"10.0.0.1, {s(36)}",
        "X-Real-Ip": s(37),
        "X-Note": f"Bearer {s(38)}",
        "X-Hub-Signature-256": f"sha256={s(39)}",
        "X-Pin": s(40),
        "User-Agent": f"curl password={s(41)}",
        "Stripe-Signature": f"t=1,v1={s(42)}",
        "X-Auth": s(43),
    }


def test_item_1_none_of_44_secrets_leaves(serve, receiver):
    """Issue 14, item 1: of 44 secrets none is in what an exception, an alarm of the log and a route send; what is no
    secret is."""
    server = serve(HANDLERS)
    server.get("/boom?" + query(secret), headers=headers(secret))
    server.get("/log?1," + query(secret))
    loggers = {"t.alarm", "t.route", "t.exception"}
    wait_for(lambda: loggers <= {e["logger"] for e in receiver.events}, lambda: f"{receiver.texts()}\n{server.text()}")
    sent = {e["logger"]: json.dumps(e) for e in receiver.events}
    leaked = {
        logger: found
        for logger, text in sent.items()
        if (found := [n for n in range(COUNT) if secret(n) in text] + ["card"] * ("4111111111111111" in text))
    }
    assert {} == leaked
    assert all("a[secret]=[Filtered]" in text for text in sent.values())
    assert "lang=de" in sent["t.exception"]
    assert "ValueError" in sent["t.exception"]
    assert "10.0.0.1" not in sent["t.exception"]


def test_item_5_what_is_no_secret_is_shown(serve, receiver):
    """Issue 14, item 5: ``KeyError: 'basket'`` in the log, and names that only look like secrets, stay readable."""
    server = serve(HANDLERS)
    harmless = "author=ann&keyword=b1&monkey=c1&side=d1&lesson=e1&president=f1&session_count=3&max_tokens=4"
    server.get("/boom?" + harmless)
    server.get("/log?1,KeyError:'basket',NoSuchKey:The")
    loggers = {"t.alarm", "t.exception"}
    wait_for(lambda: loggers <= {e["logger"] for e in receiver.events}, lambda: f"{receiver.texts()}\n{server.text()}")
    sent = {e["logger"]: json.dumps(e) for e in receiver.events}
    assert harmless in sent["t.exception"]
    assert "KeyError:'basket',NoSuchKey:The" in sent["t.alarm"]


def test_item_4_send_pii(serve, receiver):
    """Issue 14, item 4: with ``sentry-send-pii`` the headers that tell the visitor's address go out."""
    server = serve(HANDLERS + "sentry-send-pii = true\n")
    server.get("/boom?x", headers={"X-Forwarded-For": "192.0.2.7"})
    wait_for(lambda: "t.exception" in {e["logger"] for e in receiver.events}, server.text)
    assert "192.0.2.7" in json.dumps([e for e in receiver.events if e["logger"] == "t.exception"])
