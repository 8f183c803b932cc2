"""What is masked: by names, in every place of an event, and nothing else."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heka_raven.capture.values import Walker
from heka_raven.scrub.masker import MAX_PLAIN_TEXT, MAX_PLAIN_TEXTS
from heka_raven.scrub.scrubber import FILTERED, Scrubber

SCRUBBER = Scrubber()


@pytest.mark.parametrize(
    "name",
    """password PASSWORD user_password dbPassword passwd token access_token accessToken csrfmiddlewaretoken X-CSRF-Token
    secret client_secret SECRET_KEY session sessionid PHPSESSION session_cookie credential credentials aws_credentials
    xsrf saml_response bearer passphrase auth authorization Authorization HTTP_AUTHORIZATION proxy-authorization jwt
    user_jwt sso sid connect.sid pwd db_pwd api_key apiKey API-KEY apikey x-api-key private_key privateKey stripeKey
    'password' b'token' pass%77ord basic_auth""".split(),
)
def test_private_names(name):
    """Private names, in any case and any style of writing."""
    assert SCRUBBER.is_secret(name)


@pytest.mark.parametrize(
    "name",
    """key keys k monkey keyboard author authors user name email path passenger compass side inside aside sidebar
    consider class jwtx asso value x id count rows environ headers url""".split(),
)
def test_public_names(name):
    """Names that only look like private ones stay; a bare ``key`` is the commonest local of a KeyError."""
    assert not SCRUBBER.is_secret(name)


@pytest.mark.parametrize("name", ["key", "code", "ticket", "pwd1", "x-jwt-assertion"])
def test_loose_names(name):
    """A query parameter is private under more names: OAuth's code, CAS's ticket, a bare key."""
    assert SCRUBBER.is_secret(name, loose=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing here", "nothing here"),
        ("a=1&b=2", "a=1&b=2"),
        ("password=x", "password=[Filtered]"),
        ("a=1&token=x&b=2", "a=1&token=[Filtered]&b=2"),
        ("a=1&pass%77ord=x", "a=1&pass%77ord=[Filtered]"),
        ("http://h/p?a=1&key=v", "http://h/p?a=1&key=[Filtered]"),
        ("http://user:pw@host/", "http://[Filtered]@host/"),
        ("https://abc123@sentry.io/5", "https://[Filtered]@sentry.io/5"),
        ("https://abc:def@[::1]:9000/5", "https://[Filtered]@[::1]:9000/5"),
        ("postgres://u:p/w?x#y@db:5432/app", "postgres://[Filtered]@db:5432/app"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("see http://host/x and mail a@b.c", "see http://host/x and mail a@b.c"),
        ("amqp://u:p@a,amqp://u:q@b", "amqp://[Filtered]@a,amqp://[Filtered]@b"),
        ("http://user:averylongpassw…", "http://[Filtered]"),
        ("password: hunter2", "password: [Filtered]"),
        ('{"password": "hunter2", "a": 1}', '{"password": "[Filtered]", "a": 1}'),
        ("{'password': 'hunter2', 'a': 1}", "{'password': '[Filtered]', 'a': 1}"),
        ('{\\"password\\": \\"hunter2\\"}', '{\\"password\\": \\"[Filtered]\\"}'),
        ("{b'token': b'x'}", "{b'token': b'[Filtered]'}"),
        ('password="has \\" quote"', 'password="[Filtered]"'),
        ('password="never closed', 'password="[Filtered]"'),
        ("tokens: ['a', 'b'] end", "tokens: [Filtered] end"),
        ("secret={'a': 1} end", "secret=[Filtered] end"),
        ("password => x", "password => [Filtered]"),
        ("user[password]=x", "user[password]=[Filtered]"),
        ("Authorization: Bearer abc.def", "Authorization: [Filtered]"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: [Filtered]"),
        ("sent Bearer abcdefgh12345678 there", "sent Bearer [Filtered] there"),
        ("sent BEARER abcdefgh12345678 there", "sent BEARER [Filtered] there"),
        ("Basic QWxhZGRpbjpvcGVu", "Basic [Filtered]"),
        ("Bearer of bad news", "Bearer of bad news"),
        ("BEARER abcdefgh12345678", "BEARER [Filtered]"),
        ("BASIC dXNlcjpwYXNzd29yZA", "BASIC [Filtered]"),
        ('["token", "x"]', '["token", "[Filtered]"]'),
        ("('token', b'x')", "('token', b'[Filtered]')"),
        ("('token', 'x')", "('token', '[Filtered]')"),
        ("[('password', 'x'), ('a', 'b')]", "[('password', '[Filtered]'), ('a', 'b')]"),
        ("expected 'token', 'name'", "expected 'token', 'name'"),
        ("https://h/?next=https%3A%2F%2Fu%3Ap%40h2%2F&a=1", "https://h/?next=[Filtered]&a=1"),
        ("https://h/?next=https%3A//h2/%3Ftoken%3Dx", "https://h/?next=[Filtered]"),
        ("https://h/?next=https%3A//h2/%3Fa%3Dx", "https://h/?next=https%3A//h2/%3Fa%3Dx"),
        ("<a><password>x</password><b>y</b></a>", "<a><password>[Filtered]</password><b>y</b></a>"),
        ('<ns:token type="t">x</ns:token>', '<ns:token type="t">[Filtered]</ns:token>'),
        ("x == token", "x == token"),
        ("Point(password='x', y=1)", "Point(password='[Filtered]', y=1)"),
        ("dsn=https://a:b@h/1", "dsn=https://[Filtered]@h/1"),
        ("key=5", "key=5"),
        ("session started: ok", "session started: ok"),
        (
            "Command '['mysql', '--password', 'x', 'db']' failed",
            "Command '['mysql', '--password', '[Filtered]', 'db']' failed",
        ),
        ("mysqldump --password x --api-key y db", "mysqldump --password [Filtered] --api-key [Filtered] db"),
        ("a --verbose -- --token", "a --verbose -- --token"),
        ("authorization: bearer abc", "authorization: [Filtered]"),
        ('Authorization: Digest username="u", response="x"\nHost: h', "Authorization: [Filtered]\nHost: h"),
        ("Login(password=Secret(value='x', y=1), user='bob')", "Login(password=[Filtered], user='bob')"),
        ('{"credentials": {"a": {"b": 1}, "c": "x"}, "d": 2}', '{"credentials": [Filtered], "d": 2}'),
        ('password = """x"""', 'password = "[Filtered]"'),
        ("SET `password` = 'it''s', a = 1", "SET `password` = '[Filtered]', a = 1"),
        ("password == 'x'", "password == '[Filtered]'"),
        ("password:          x", "password:          [Filtered]"),
        ("<password><![CDATA[x]]></password>", "<password>[Filtered]</password>"),
        ('--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx\r\n--b--', "[Filtered]"),
        ("password[0]=x&user[password]=y", "password[0]=[Filtered]&user[password]=[Filtered]"),
    ],
)
def test_texts(text, expected):
    """A text loses what stands under a private name, and userinfo of URLs; the rest stays."""
    assert expected == SCRUBBER.clean_text(text)
    assert expected == Walker(lambda: 0.0, SCRUBBER).show(text)  # which looks by itself whether a text is suspicious


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('password = "hunter2"', 'password = "[Filtered]"'),
        ("    password: str = 'hunter2'", "    password: str = '[Filtered]'"),
        ('connect(password="hunter2", host="h")', 'connect(password="[Filtered]", host="h")'),
        ("d = {'api_key': 'abc'}", "d = {'api_key': '[Filtered]'}"),
        ('url = "http://u:p@h/"', 'url = "http://[Filtered]@h/"'),
        ('password = form["password"]', 'password = form["password"]'),
        ("token = make_token(user)", "token = make_token(user)"),
        ('if token == "x":', 'if token == "x":'),
        ('if password == "hunter2": return "what"', 'if password == "[Filtered]": return "what"'),
        ('password = """hunter2"""', 'password = """[Filtered]"""'),
        ('password = "hunt" "er22"', 'password = "[Filtered]" "[Filtered]"'),
        ("password = ('hunter2',)", "password = ('[Filtered]',)"),
        ("password = b64decode('hunter2')", "password = b64decode('[Filtered]')"),
        ("password += 'hunter2'", "password += '[Filtered]'"),
        ("if (password := 'hunter2'):", "if (password := '[Filtered]'):"),
        (
            "def f(password: Dict[str, str] = 'hunter2', x='name'):",
            "def f(password: Dict[str, str] = '[Filtered]', x='name'):",
        ),
        ('os.environ.get("DB_PASSWORD", "hunter2")', 'os.environ.get("DB_PASSWORD", "[Filtered]")'),
        ('os.getenv("API_KEY", default="hunter2")', 'os.getenv("API_KEY", default="[Filtered]")'),
        ('add("Authorization", "Basic hunter2")', 'add("Authorization", "[Filtered]")'),
        (
            'login("bob", auth=("bob", "hunter2"), to="host")',
            'login("bob", auth=("[Filtered]", "[Filtered]"), to="host")',
        ),
        ('get(f"https://h/?token=hunter2&u={user}")', 'get(f"https://h/?token=[Filtered]&u={user}")'),
        ('log("password: %s, token={x}")', 'log("password: %s, token={x}")'),
        ('h = "Authorization: Bearer hunter2x"', 'h = "Authorization: [Filtered]"'),
        ("token = request.headers['X-Token']", "token = request.headers['X-Token']"),
        ("session.get('https://host/', name='name')", "session.get('https://host/', name='name')"),
        (
            "password = (\n    'hunter2'\n    'hunter3'\n)\nx = 'name'",
            "password = (\n    '[Filtered]'\n    '[Filtered]'\n)\nx = 'name'",
        ),
        ('user, password = "ann", "hunter2"', 'user, password = "[Filtered]", "[Filtered]"'),
        ('(self.token, *more) = "hunter2", 1', '(self.token, *more) = "[Filtered]", 1'),
        ("key, token = (1,\n  'hunter2')\nx = 'name'", "key, token = (1,\n  '[Filtered]')\nx = 'name'"),
        ("user, name = 'ann', 'bob'", "user, name = 'ann', 'bob'"),
        ("user, password = row['user'], row['pass']", "user, password = row['user'], row['pass']"),
        ('API_KEY = """\nhunter2\n"""\nx = \'name\'', 'API_KEY = """[Filtered]\n\n"""\nx = \'name\''),
    ],
)
def test_source_lines(line, expected):
    """A source line loses literals under private names; code stays readable."""
    assert expected == SCRUBBER.clean_source(line)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter={%22token%22:%22x%22}&a=1", "filter=[Filtered]&a=1"),
        ('q={"password":"x"}', "q=[Filtered]"),
        ("next=%252Fx%253Ftoken%253Dx", "next=[Filtered]"),
        ("password%3Dx&a", "[Filtered]&a"),
        ('{"user":"bob","password":"x"}', "[Filtered]"),
        ("q=key:5&r=a=b&s=author:bob", "q=key:5&r=a=b&s=author:bob"),
    ],
)
def test_values_of_parameters(query, expected):
    """A parameter's value is looked into, however often it is escaped; so is a body of JSON that was sent as a form."""
    assert expected == SCRUBBER.clean_query(query)


@pytest.mark.parametrize("name", ["logentry", "sentry.interfaces.Message"])
@pytest.mark.parametrize("params", [["planted"], {"x": "planted"}])
def test_parameters_of_a_finished_message(name, params):
    """Also where only the template tells what they are, in the events of both protocols."""
    event = {name: {"message": "password=%s", "params": params}}
    SCRUBBER.scrub_event(event)
    assert "planted" not in repr(event)


def test_values_of_cookies():
    """Escaped JSON in a cookie, in the header and parsed."""
    escaped = "%7B%22token%22%3A%22x%22%7D"
    assert "lang=de; prefs=[Filtered]" == SCRUBBER.clean_cookie(f"lang=de; prefs={escaped}")
    request = {"cookies": {"prefs": escaped, "lang": "de", "theme": escaped}}
    SCRUBBER.scrub_request(request)
    assert {"cookies": {"prefs": FILTERED, "lang": "de", "theme": FILTERED}} == request


def test_texts_that_are_names():
    """A key that is itself a text with a secret, also when it comes again: JSON that a server parsed as a form."""
    walker = Walker(lambda: 0.0, SCRUBBER)
    for _ in range(2):
        shown = walker.show(
            {'{"user": "bob", "password": "planted"}': "", "https://u:planted@h": 1, b"token=planted": 2}
        )
        assert "planted" not in repr(shown)
        assert "planted" not in repr(SCRUBBER.scrub_tree({"https://u:planted@h": {"password=planted": 1}}))


def test_trees():
    """Names at any depth, whole containers under them, pairs, name-value objects, environ texts."""
    tree = {
        "a": [{"password": "p1"}, {"x": {"api_key": 5, "ok": 1}}],
        "credentials": {"user": "u", "pw": ["p2"]},
        "tokens": ["p3"],
        "headers": [["Authorization", "p4"], ["Accept", "*/*"], ["Cookie", "sid=p5; lang=de"]],
        "field": {"name": "password", "value": "p6"},
        "caps": {"Name": "Token", "Value": "p15"},
        "argv": ["prog", "--password", "p16", "--api-key", "p17", "-v"],
        "netloc": "bob:p18@h.example:80",
        "QUERY_STRING": "q=1&auth=p7",
        "REQUEST_URI": "/x?key=p8&y=1#token=p9",
        "RAW_URI": "/x?pwd=p10",
        "HTTP_COOKIE": "session=p11; lang=de",
        "HTTP_REFERER": "http://u:p12@h/?jwt=p13",
        "HTTP_X_AUTH": "p14",
        "none_password": None,
        "has_password": True,
    }
    SCRUBBER.scrub_tree(tree)
    text = orjson.dumps(tree).decode()
    assert not [n for n in range(1, 19) if f"p{n}" in text], text
    assert {
        "a": [{"password": FILTERED}, {"x": {"api_key": FILTERED, "ok": 1}}],
        "credentials": FILTERED,
        "tokens": FILTERED,
        "headers": [["Authorization", FILTERED], ["Accept", "*/*"], ["Cookie", "sid=[Filtered]; lang=de"]],
        "field": {"name": "password", "value": FILTERED},
        "caps": {"Name": "Token", "Value": FILTERED},
        "argv": ["prog", "--password", FILTERED, "--api-key", FILTERED, "-v"],
        "netloc": "[Filtered]@h.example:80",
        "QUERY_STRING": "q=1&auth=[Filtered]",
        "REQUEST_URI": "/x?key=[Filtered]&y=1#token=[Filtered]",
        "RAW_URI": "/x?pwd=[Filtered]",
        "HTTP_COOKIE": "session=[Filtered]; lang=de",
        "HTTP_REFERER": "http://[Filtered]@h/?jwt=[Filtered]",
        "HTTP_X_AUTH": FILTERED,
        "none_password": None,
        "has_password": True,
    } == tree


def test_requests():
    """The request interface: headers, cookies and parameters by loose rules, bodies by their type."""
    request = {
        "url": "http://u:p1@h/x?token=p2&a=1",
        "query_string": "key=p3&a=1",
        "headers": {"X-Auth": "p4", "Accept": "*/*", "Cookie": "lang=de; sso=p5", "Content-Type": "application/json"},
        "cookies": {"mysid": "p6", "lang": "de"},
        "data": '{"password": "p7", "n": [1, {"token": "p8"}]}',
        "env": {"REMOTE_ADDR": "1.2.3.4", "HTTP_AUTHORIZATION": "p9"},
    }
    SCRUBBER.scrub_request(request)
    assert {
        "url": "http://[Filtered]@h/x?token=[Filtered]&a=1",
        "query_string": "key=[Filtered]&a=1",
        "headers": {
            "X-Auth": FILTERED,
            "Accept": "*/*",
            "Cookie": "lang=de; sso=[Filtered]",
            "Content-Type": "application/json",
        },
        "cookies": {"mysid": FILTERED, "lang": "de"},
        "data": {"password": FILTERED, "n": [1, {"token": FILTERED}]},
        "env": {"REMOTE_ADDR": "1.2.3.4", "HTTP_AUTHORIZATION": FILTERED},
    } == request


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", '{"password": "x', FILTERED),
        ("application/x-www-form-urlencoded", "a=1&pass%77ord=x", "a=1&pass%77ord=[Filtered]"),
        ("text/plain", "the password=x", "the password=[Filtered]"),
        (
            "multipart/form-data; boundary=b",
            '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nx',
            FILTERED,
        ),
    ],
)
def test_bodies(kind, body, expected):
    """A JSON body that cannot be parsed is dropped whole; forms and texts lose their secrets."""
    request = {"headers": [["Content-Type", kind]], "data": body}
    SCRUBBER.scrub_request(request)
    assert expected == request["data"]


def test_scrub_keys_add():
    """``scrub_keys`` adds terms, found as a part of any name."""
    scrubber = Scrubber(scrub_keys=["iban"])
    assert scrubber.is_secret("customerIBAN")
    assert not scrubber.is_secret("customer")


def test_scrub_allow_takes_away():
    """``scrub_allow`` takes a default term away, or lets one name be shown."""
    scrubber = Scrubber(scrub_allow="session, cache_key")
    assert not scrubber.is_secret("session_id")
    assert not scrubber.is_secret("cache_key")
    assert not scrubber.is_secret("HTTP_CACHE_KEY")
    assert scrubber.is_secret("api_key")


NAMES = st.sampled_from("password apiKey HTTP_AUTHORIZATION x_token Set-Cookie user a QUERY_STRING".split())
LEAVES = st.text(max_size=20) | st.integers(-(2**53), 2**53) | st.none() | st.booleans()
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=5),
    max_leaves=30,
)


def private_values(node):
    if type(node) is dict:
        for name, value in node.items():
            if SCRUBBER.is_secret(name):
                yield value
            yield from private_values(value)
    elif type(node) is list:
        for value in node:
            yield from private_values(value)


@given(TREES)
def test_any_tree(tree):
    """Whatever the tree, nothing but the mask stands under a private name, and scrubbing again changes nothing."""
    scrubbed = SCRUBBER.scrub_tree(tree)
    assert all(value in (FILTERED, None, True, False) for value in private_values(scrubbed))
    once = repr(scrubbed)
    assert once == repr(SCRUBBER.scrub_tree(scrubbed))


@given(st.text())
def test_any_text(text):
    """Whatever the text, masking ends, gives text, and masking again changes nothing."""
    once = SCRUBBER.clean_text(text)
    assert once == SCRUBBER.clean_text(once)
    SCRUBBER.clean_query(text)
    SCRUBBER.clean_url(text)
    SCRUBBER.clean_cookie(text)


SOURCE_PIECES = (
    *("password", " = ", "=", ":", "(", ")", "[", "]", ",", "{", '"', "'", '"""', "\n", "\\", "#"),
    *("abcd", "token=abcd", "f"),
)


@given(st.lists(st.sampled_from(SOURCE_PIECES), max_size=40).map("".join) | st.text())
def test_any_source(text):
    """Whatever the source, masking keeps its lines."""
    assert text.count("\n") == SCRUBBER.clean_source(text).count("\n")


def test_masking_is_linear():
    """No text makes the rules run for long."""
    import time

    for text in ("a" * 8000, "a:" * 4000, "=" * 8000, "://" * 2600, "x://" + "a:" * 4000, '"' * 8000, "token=" * 1300,
                 "token='" * 1100, "[" * 8000, "token=[" * 1100, "\\" * 8000, " " * 8000, "a" * 4000 + "=" * 4000,
                 "%70" * 2600, "&a" * 4000, "Bearer " * 1100, "<a>" * 2700, "<a " * 2700, "=%3D" * 2000,
                 "('a', " * 1300, '\\"password\\": \\"' * 500, 'password="""' * 700, "password=(" * 900,
                 "<a><![CDATA[" * 700, "--password " * 700, '("password", ' * 600, "password: a[b" * 600,
                 "".join(f"=%{'25' * n}3Da" for n in range(85))):  # fmt: skip
        started = time.process_time()
        SCRUBBER.clean_text(text)
        SCRUBBER.clean_source(text)
        assert time.process_time() - started < 2, text[:20]


@pytest.mark.parametrize(
    "line",
    [
        'client.post("/login?token=planted", data={"password": "planted", "a": "1"}, headers={"Authorization": "x"})',
        'f("?token=planted", {"password": "planted"})',
        'f("?token=planted", password="planted")',
        'f("?token=planted"); password = "planted"',
        "get('/?api_key=planted', auth={'secret': 'planted', 'password': 'planted'})",
    ],
)
def test_a_private_name_inside_a_literal_hides_none_after_it(line):
    """``?token=`` in a URL is no name of the source: what real names are given later in the line is masked, too."""
    assert "planted" not in Scrubber().clean_source(line)


@pytest.mark.parametrize("name, held", [("query_string", {"key": "x"}), ("cookies", {"flavour": "x"})])
def test_one_value_under_two_names(name, held):
    """What is masked under one name, by that name's rule, stays what it is under another one, in whichever order."""
    walker = Walker(lambda: 0.0, SCRUBBER)
    assert [{"plain": held}, {name: {next(iter(held)): FILTERED}}, {"again": held}] == [
        walker.show_names([(shown, held)]) for shown in ("plain", name, "again")
    ]
    shared = [held]
    assert [{name: [{next(iter(held)): FILTERED}], "plain": [held]}] == [
        walker.show_names([(name, shared), ("plain", shared)])
    ]


def test_what_is_remembered_of_texts():
    """A short text in which nothing is masked is looked through once; one with a secret is masked each time; no text
    is kept, and what is remembered has a bound."""
    scrubber = Scrubber()
    for _ in range(2):
        assert "Mozilla/5.0 (X11; Linux)" == scrubber.clean_text("Mozilla/5.0 (X11; Linux)")
        assert "password=[Filtered]" == scrubber.clean_text("password=hunter2")
        assert ["GET", "token=[Filtered]"] == scrubber.scrub_tree(["GET", "token=s3cret"])
    assert {hash("Mozilla/5.0 (X11; Linux)"), hash("GET")} == scrubber.plain_hashes
    for number in range(2 * MAX_PLAIN_TEXTS):
        scrubber.clean_text(f"text {number}")
        scrubber.clean_text(f"text {number} {'x' * MAX_PLAIN_TEXT}")
    assert len(scrubber.plain_hashes) <= MAX_PLAIN_TEXTS
    assert hash(f"text 1 {'x' * MAX_PLAIN_TEXT}") not in scrubber.plain_hashes
