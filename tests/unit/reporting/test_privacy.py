"""Whole events: what is secret by issue 14 does not leave, what is not stays readable, and who the visitor is goes out
only where that is asked for."""

# ruff: noqa: F841, RUF059 - the local variables are what is tested

import json
import logging
import traceback

import pytest

from heka_raven import scope
from heka_raven.logging import RavenHandler
from heka_raven.scrub.scrubber import Scrubber
from heka_raven.spool.ledger import read_snapshot
from support.events import last_event, last_fields, raised, router_client, spool_client
from support.scope import enter_request

COUNT = 42


def secret(number):
    return f"Pl4nt{number:02d}" + "Xy9" * 3  # made here, so that no source line holds it


def failing(s):
    pw, db_pass, bind_pw = s(0), s(1), s(2)
    user_pin, otp, cvv, ssn, card_number, salt, signature, sig = (s(n) for n in range(3, 11))
    cookie = s(11)
    cookies = {"unknown": s(12), "lang": "de"}
    set_cookie = f"id={s(13)}; Path=/"
    header = f"Authorization: SSWS {s(14)}"
    bot = f"Authorization: Bot {s(15)}"
    yaml = f"user: x\nprivate_key: |\n  {s(16)}\n  {s(17)}\nport: 5"
    argv = ["prog", "--password", s(18), "--verbose"]
    pem = f"-----BEGIN PRIVATE KEY-----\n{s(19)}\n-----END PRIVATE KEY-----"
    github, stripe, slack = f"ghp_{s(20)}0123456789", f"sk_live_{s(21)}", f"xoxb-{s(22)}"
    web_token = f"eyJhbGciOiJIUzI1NiJ9.{s(23)}.abc"
    aws = f"key is AKIA{'IOSFODNN7EXAMPLE'}"
    card, in_text, listed = 4111111111111111, "4111 1111 1111 1111", [1, 5500000000000004]
    redirect = f"https://h/cb?code={s(24)}&state=1"
    cas = f"https://h/cas?ticket={s(25)}"
    pydantic = f"1 validation error\npassword\n  Value should … [type=x, input_value='{s(26)}', input_type=str]"
    cut = (
        f"1 validation error\nname\n  Field [type=x, input_value={{'a': 1, 'pas...word': '{s(27)}'}}, input_type=dict]"
    )
    postgres = f"DETAIL:  Key (lower(api_key))=({s(28)}) already exists."
    mysql = f"Duplicate entry '{s(29)}' for key 'users.api_token'"
    attrs = f"(\"'password' must be <class 'str'> (got '{s(30)}' that is)\", '{s(31)}')"
    alchemy = f"[SQL: INSERT INTO u (token) VALUES (?)]\n[parameters: ('{s(32)}',)]"
    author, keyword, monkey, lesson, tokenizer = "ann", "red", "chimp", "first", "gpt"
    session_count, max_tokens, cache_key, primary_key, s3_key = "three", "many", "c:1", "id", "a/b.png"
    sort_key, next_token, PWD, secretary, token_count = "name", "page2", "/srv/app", "eve", "four"
    try:
        raise KeyError("basket")
    except KeyError as error:
        raise ValueError(f"no item: pin={s(33)}; " + "".join(traceback.format_exception(error))) from error


def facts(environ):
    s = secret
    return scope.RequestFacts(
        request={
            "method": "POST",
            "url": f"http://h/cb?code={s(34)}",
            "query_string": f"ticket={s(35)}&a[secret]={s(36)}&author=ann&keyword=red&side=left",
            "headers": {
                "Cookie": f"unknown={s(37)}; lang=de",
                "X-Passphrase": s(38),
                "Authorization": f"Bot {s(39)}",
                "X-Forwarded-For": "192.0.2.7",
                "X-Real-Ip": "192.0.2.8",
            },
            "cookies": {"unknown": s(40), "theme": "dark"},
            "data": {"pass": s(41), "lesson": "first"},
        },
        user={"remote_user": "ann.example", "email": "ann@example.org", "username": "ann"},
    )


@pytest.fixture(params=[7, 3])
def sent(request):
    """The event of one failure, in both protocols, as text."""

    def make(**options):
        client = router_client(dsn="https://k@h/1", protocol=request.param, **options)
        token = enter_request(facts, {})
        try:
            assert client.raven(exc_info=raised(failing, secret))
        finally:
            scope.CURRENT.reset(token)
        return json.dumps(last_event(client), ensure_ascii=False)

    return make


def test_item_4_what_is_secret(sent):
    """Issue 14, item 4: none of what it lists leaves."""
    text = sent()
    assert [] == [number for number in range(COUNT) if secret(number) in text]
    assert "IOSFODNN7EXAMPLE" not in text
    assert "1111 1111" not in text
    assert "4111111111111111" not in text.replace("card, in_text, listed = 4111111111111111", "")
    assert "theme" in text and "dark" in text


def test_item_5_what_is_not(sent):
    """Issue 14, item 5: names that only look like secrets keep their values, and so do exceptions in texts."""
    text = sent()
    values = "chimp first gpt three many c:1 a/b.png page2 /srv/app eve four"
    assert [] == [value for value in values.split() if value not in text]
    assert "KeyError: 'basket'" in text.replace("\\'", "'")
    assert "author=ann&keyword=red&side=left" in text


def test_item_5_log_lines():
    """Issue 14, item 5: ``KeyError: 'basket'`` in a log line, and in the traceback beside it."""
    client = router_client(dsn="https://k@h/1")
    logger = logging.getLogger("privacy")
    handler = RavenHandler(client)
    logger.addHandler(handler)
    try:
        logger.error("worker failed: KeyError: 'basket'; NoSuchKey: The key; InvalidTokenError: Not yet valid")
    finally:
        logger.removeHandler(handler)
    said = last_event(client)["logentry"]["formatted"]
    assert "worker failed: KeyError: 'basket'; NoSuchKey: The key; InvalidTokenError: Not yet valid" == said


def test_item_4_send_pii(sent):
    """Issue 14, item 4: who the visitor is goes out with ``send_pii`` only: address headers, REMOTE_USER, e-mail."""
    personal = ("192.0.2.7", "192.0.2.8", "ann.example", "ann@example.org")
    closed, opened = sent(), sent(send_pii=True)
    assert [] == [text for text in personal if text in closed]
    assert [] == [text for text in personal if text not in opened]


class Broken(Scrubber):
    """A rule that fails, as a bug in it would."""

    def __init__(self, method):
        super().__init__()
        self.method = method

    def scrub_event(self, event):
        if self.method == "scrub_event":
            raise ZeroDivisionError
        super().scrub_event(event)

    def clean_text(self, text):
        if self.method == "clean_text":
            raise ZeroDivisionError
        return super().clean_text(text)


@pytest.mark.parametrize("method", ["scrub_event", "clean_text"])
def test_item_1_fails_closed(method, tmp_path):
    """Hard rule 3: an event that could not be masked goes out as a skeleton: type, module, function, line; no value."""
    client = spool_client(tmp_path / "spool", dsn="https://k@h/1")
    client.raven.reporter.scrubber = Broken(method)
    token = enter_request(facts, {})
    try:
        assert client.raven(f"token={secret(0)}", exc_info=raised(failing, secret), extra={"a": secret(1)})
    finally:
        scope.CURRENT.reset(token)
    (path,) = (tmp_path / "spool" / "new").iterdir()
    text = path.read_text(encoding="utf-8")
    assert [] == [number for number in range(COUNT) if secret(number) in text]
    event = json.loads(text.split("\n")[2])
    frame = event["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert ("ValueError", "failing") == (event["exception"]["values"][-1]["type"], frame["function"])
    assert {"vars", "context_line"}.isdisjoint(frame)
    assert 1 == read_snapshot(str(tmp_path / "spool"))["scrub_failed"]


def test_the_secret_of_the_dsn_stays():
    """The DSN's secret is not in the heka message, unless ``send_secret``."""
    for send_secret in (False, True):
        client = router_client(dsn="https://public:s3cr3t@h/1", send_secret=send_secret)
        client.raven(exc_info=raised(failing, secret))
        assert send_secret == ("s3cr3t" in str(last_fields(client)))
