# ruff: noqa: F841 - the local variables are what is tested
"""Eighty secrets planted where applications have them: none leaves the process."""

import base64
import collections
import dataclasses
import json
import logging
import subprocess
from http.cookies import SimpleCookie
from urllib.parse import quote

import pytest

from heka.testing import sent_messages
from heka_raven import scope
from heka_raven.formats.raven_payload import decode_raven
from heka_raven.logging import RavenHandler
from heka_raven.reporting import reporter
from support.events import raised, router_client, spool_client
from support.scope import enter_request

COUNT = 80


def secret(number):
    # Made here, so that no source line holds it; no letter pattern of it is a private name.
    return f"Pl4nt{number:02d}" + "Xy9" * 3


@dataclasses.dataclass
class Account:
    name: str
    password: str
    nested: dict


Login = collections.namedtuple("Login", "user pwd")


class ApiError(Exception):
    pass


def inner(s):
    password = s(0)
    api_key = s(1)
    config = {"db": {"passwd": s(2), "url": f"postgres://app:{s(3)}@db/app"}}
    account = Account("bob", s(4), {"auth_token": s(5)})
    login = Login("bob", s(6))
    raw = {b"secret": s(7), ("csrf", 1): s(8)}
    credentials = [s(9), {"x": s(10)}]
    url = f"https://h/?q=1&token={s(11)}&b=2"
    url2 = f"https://u:{s(12)}@h/x"
    dsn = f"https://{s(13)}:{s(14)}@sentry.example.com/1"
    query = f"a=1&pass%77ord={s(15)}"
    body = json.dumps({"user": "x", "password": s(16)})
    raw_body = json.dumps({"client_secret": s(17)}).encode()
    headers = [("Authorization", f"Bearer {s(18)}"), ("Cookie", f"sessionid={s(19)}; a=1")]
    environ = {
        "QUERY_STRING": f"x=1&sid={s(20)}",
        "REQUEST_URI": f"/p?key={s(21)}",
        "RAW_URI": f"/p?jwt={s(22)}",
        "HTTP_COOKIE": f"csrftoken={s(23)}; lang=de; mysso={s(24)}",
        "HTTP_AUTHORIZATION": f"Basic {s(25)}",
        "HTTP_REFERER": f"https://x:{s(26)}@h/?auth={s(27)}",
        "HTTP_X_AUTHTOKEN": s(28),
        "HTTP_X_API_KEY": s(29),
    }
    header_line = f"Authorization: Bearer {s(30)}"
    form = {"name": "password", "value": s(31)}
    in_text = f"login failed for user=bob password={s(32)} from 1.2.3.4"
    rep = f"Login(user='bob', passwd='{s(33)}')"
    escaped = json.dumps({"outer": json.dumps({"secret": s(34)})})
    accessToken = s(35)
    jwt = s(36)
    private_key = ("-----BEGIN", s(37))
    od = collections.OrderedDict(session_key=s(38))
    deep = {"a": {"b": {"saml_assertion": s(39)}}}
    err = ValueError(f"token={s(40)}")
    __traceback_info__ = f"password={s(41)}"
    raise ApiError(f"cannot reach https://k:{s(42)}@api/ with api_key={s(43)}")


def odd_places(s):
    command = subprocess.CalledProcessError(1, ["mysql", "--password", s(60), "db"])
    shell = subprocess.CalledProcessError(1, f"mysql --password {s(61)} db")
    form_of_json = {json.dumps({"user": "bob", "password": s(62)}): ""}
    by_url = {f"https://bob:{s(63)}@h": 1}
    small = f"authorization: bearer {s(64)}"
    digest = f'Authorization: Digest username="bob", response="{s(65)}"'
    shown = f"Login(password=Secret(value='{s(66)}'), user='bob')"
    nested = json.dumps({"credentials": {"a": {"b": 1}, "c": s(67)}})
    sql = f"UPDATE `users` SET `password` = 'it''s {s(68)}'"
    xml = f"<password><![CDATA[{s(69)}]]></password>"
    cookies = {"prefs": quote(json.dumps({"token": s(70)}))}
    scope = {"query_string": f"token={s(71)}".encode(), "headers": [(b"x-api-key", s(72).encode())]}
    jar = SimpleCookie(f"sessionid={s(73)}")
    inner(s)


def outer(s):
    sso_cookie = s(44)
    try:
        db_password = s(45)
        raise KeyError({"secret": s(46)})
    except KeyError as exc:
        exc.__notes__ = [f"tried password={s(47)}", f"with --token {s(74)}"]
        odd_places(s)


def facts(environ):
    s = secret
    return scope.RequestFacts(
        request={
            "url": f"http://u:{s(48)}@h/p?token={s(49)}",
            "query_string": f"key={s(50)}&q={{%22token%22:%22{s(75)}%22}}&next=%252Fx%253Ftoken%253D{s(76)}",
            "headers": {
                "Authorization": s(51),
                "Cookie": f"sid={s(52)}; prefs=%7B%22token%22%3A%22{s(77)}%22%7D",
                "X-Auth": s(53),
                "Content-Type": "application/json",
            },
            "cookies": {"sessionid": s(54)},
            "data": '{"password": "' + s(55),
        },
        transaction=f"GET /x?secret={s(56)}",
        user={"id": "1", "auth_token": s(57)},
        fields={"request_path": f"/x?token={s(58)}"},
    )


@pytest.fixture(params=["router", "router-json", "legacy", "spool", "router-huge", "repr"])
def sent(request, tmp_path, monkeypatch):
    """What leaves the process, as text, of one error with 80 secrets, on a machine however busy."""
    monkeypatch.setattr(reporter, "LOCALS_BUDGET_S", 60)
    options = {
        "router": {},
        "router-json": {"payload": "json"},
        "legacy": {"protocol": 3},
        "spool": {},
        "router-huge": {},
        "repr": {"locals": "repr"},
    }[request.param]
    client = (
        spool_client(tmp_path / "spool", dsn="https://k@h/1", **options)
        if request.param == "spool"
        else router_client(dsn="https://k@h/1", **options)
    )
    environ = {}
    token = enter_request(facts, environ)
    try:
        logger = logging.getLogger("events-secrets")
        handler = RavenHandler(client)
        logger.addHandler(handler)
        try:
            logger.warning("retry with password=%s", secret(59))
            logger.warning("retry with %(password)s", {"password": secret(78)})
        finally:
            logger.removeHandler(handler)
        exc = raised(outer, secret)
        if request.param != "spool":
            other = router_client(dsn="https://k@h/1", payload="json", **{"protocol": options.get("protocol", 7)})
            logger.addHandler(handler := RavenHandler(other))
            logger.error("cannot log in: password=%s", secret(79))
            logger.removeHandler(handler)
            (message,) = sent_messages(other)
            unpacked = json.dumps(decode_raven(message.payload)) if options.get("protocol") else message.payload
            assert secret(79) not in unpacked
        extra = {"big": ["x" * 400] * 2000} if request.param == "router-huge" else {}
        assert client.raven(f"msg token={secret(0)}", exc_info=exc, extra={**extra, "secret": secret(1)}, pwd=secret(2))
    finally:
        scope.CURRENT.reset(token)
    if request.param == "spool":
        (path,) = (tmp_path / "spool" / "new").iterdir()
        return path.read_text()
    (message,) = sent_messages(client)
    payload = message.payload if request.param == "router-json" else json.dumps(decode_raven(message.payload))
    return payload + str(message.fields) + message.logger


def test_none_of_eighty_secrets_leaves(sent):
    """None of 80 secrets in locals, causes, messages, requests, headers, breadcrumbs and fields leaves the process."""
    leaked = [n for n in range(COUNT) if secret(n) in sent or base64.b64encode(secret(n).encode()).decode() in sent]
    assert [] == leaked


def test_the_event_is_still_of_use(sent):
    """What is not private is still there."""
    assert "1.2.3.4" in sent
    assert "lang=de" in sent
    assert "ApiError" in sent
    assert "cannot reach https://" in sent
