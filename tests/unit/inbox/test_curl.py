"""Copy as curl: the commands are run, by a shell and curl, and what a server got is compared."""

import json
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from heka_raven.inbox.web.curl import as_curl

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def do(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.server.got.append((self.command, self.path, self.headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = do

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.got = []
        found.url = f"http://127.0.0.1:{found.server_address[1]}"
        Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def run(server, tmp_path, **request):
    """What the server got from the copied command: method, path with query, headers, body; and the command."""
    command = as_curl({"request": {"url": f"{server.url}/a", **request}})
    server.got.clear()
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=30)
    (found,) = server.got
    return (*found, command)


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""]


@pytest.mark.parametrize(("method", "data"), [("HEAD", None)] + [(m, data) for m in METHODS for data in (None, "x=1")])
def test_method(server, tmp_path, method, data):
    """Every method, with and without a body."""
    got = run(server, tmp_path, method=method, data=data)
    assert (method.upper() or ("POST" if data else "GET"), (data or "").encode()) == (got[0], got[3])


@pytest.mark.parametrize(
    ("url", "query", "path"),
    [
        ("/a", "a+b%261=c%20d&e", "/a?a+b%261=c%20d&e"),
        ("/a?x=[1]&y={z}", None, "/a?x=[1]&y={z}"),
        ("/a?x=1", "y=2", "/a?x=1"),
        ("/a", {"q": "a b&c", "n": ["1", "2"]}, "/a?q=a%20b%26c&n=1&n=2"),
        ("/a", [["q", "é"], ["r", ""]], "/a?q=%C3%A9&r="),
        ("/a/../b/./c", None, "/a/../b/./c"),
        ("/a b/ü#part", None, "/a%20b/%C3%BC"),
        ("/a", "?x='y'", "/a?x='y'"),
        ("/a'\";$(id)`id`", None, "/a'\";$(id)`id`"),
        ("", None, "/"),
    ],
)
def test_address(server, tmp_path, url, query, path):
    """The path as it was, the query as it was: nothing is decoded and encoded anew, nothing is a pattern of curl's."""
    assert path == run(server, tmp_path, url=server.url + url, query_string=query)[1]


@pytest.mark.parametrize(
    ("headers", "data", "body"),
    [
        (JSON, {"a": [1, {"b": None}], "c": "d'e"}, b'{"a":[1,{"b":null}],"c":"d\'e"}'),
        (JSON, '{"a": 1}\n', b'{"a": 1}\n'),
        ({}, [1, "é"], '[1,"é"]'.encode()),
        (FORM, {"a": "b c&d", "e": ["1", "2"]}, b"a=b%20c%26d&e=1&e=2"),
        (FORM, "a=b+c&d=%26", b"a=b+c&d=%26"),
        ({"Content-Type": "text/plain"}, "@/etc/passwd", b"@/etc/passwd"),
        ({}, "line\nnext\t'quoted' $HOME `id` \\", b"line\nnext\t'quoted' $HOME `id` \\"),
    ],
)
def test_body(server, tmp_path, headers, data, body):
    """JSON as JSON, a form as a form, text as it was; the content type is the event's, or none."""
    got = run(server, tmp_path, method="POST", headers=headers, data=data)
    assert (body, headers.get("Content-Type")) == (got[3], got[2]["Content-Type"])


def test_a_form_of_several_parts(server, tmp_path):
    """curl makes a boundary of its own; the fields are the event's, and no file is read."""
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    data = {"a": "@/etc/passwd", "b": "</etc/passwd", "c": "1;type=x"}
    got = run(server, tmp_path, method="POST", headers=kind, data=data)
    assert got[2].get_content_type() == "multipart/form-data"
    for name, value in (("a", "@/etc/passwd"), ("b", "</etc/passwd"), ("c", "1;type=x")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in got[3]
    assert b"root:" not in got[3]


def test_headers_and_cookies(server, tmp_path):
    """As they were, an empty one too; a name that is none, a line break and an @ do no harm."""
    headers = {"X-One": "it's", "X-Empty": "", "X-Line": "a\r\nX-Evil: 1", "Accept": "a/b"}
    headers |= {"@/etc/passwd": "x", "Bad Name": "x"}
    found = run(server, tmp_path, headers={**headers, "Cookie": "z=9"}, cookies={"a": "1", "b": "x y"})[2]
    assert ("it's", "", "a  X-Evil: 1", "a/b") == (found["X-One"], found["X-Empty"], found["X-Line"], found["Accept"])
    assert found["X-Evil"] is None and found["Cookie"] == "a=1; b=x y"


def test_what_is_masked_is_left_out_and_named(server, tmp_path):
    """Of headers, cookies, query, form and JSON; the rest is sent, and a comment says what is missing."""
    method, path, headers, body, command = run(
        server,
        tmp_path,
        method="POST",
        headers={**JSON, "Authorization": "[Filtered]", "X-A": "1"},
        cookies={"s": "[Filtered]", "lang": "de"},
        query_string="a=1&token=[Filtered]&b=%5BFiltered%5D",
        data={"user": {"name": "x", "password": "[Filtered]"}, "list": [1, "[Filtered]"]},
    )
    assert ("POST", "/a?a=1", "lang=de", {"user": {"name": "x"}, "list": [1]}) == (
        method,
        path,
        headers["Cookie"],
        json.loads(body),
    )
    assert headers["Authorization"] is None and headers["X-A"] == "1"
    missing = "cookie s,header Authorization,field user.password,an item of list,parameter token,parameter b"
    assert [f"# filtered, not in the command: {what}" for what in missing.split(",")] == command.splitlines()[:6]
    got = run(server, tmp_path, method="POST", headers=FORM, data="a=1&pin=[Filtered]")
    assert b"a=1" == got[3] and "# filtered, not in the command: field pin" in got[4]
    got = run(server, tmp_path, method="POST", data="<pin>[Filtered]</pin>")
    assert b"" == got[3] and "# filtered, not in the command: the body" in got[4]


@pytest.mark.parametrize(
    "url", ["-o/etc/passwd", "file:///etc/passwd", "gopher://x/", "//host/x", "http://", "http://[", "/only/a/path", 7]
)
def test_no_other_scheme(url):
    """Only http and https are copied: a file:// would show the reader's own files."""
    assert as_curl({"request": {"url": url, "method": "GET"}}).startswith("# ")


def test_an_event_without_request():
    """A comment, no command."""
    assert "# this event has no request\n" == as_curl({})


def test_older_protocols(server, tmp_path):
    """The request of a version 3 event."""
    command = as_curl({"sentry.interfaces.Http": {"url": f"{server.url}/old", "method": "PUT", "data": "x"}})
    server.got.clear()
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=30)
    assert ("PUT", "/old", b"x") == (*server.got[0][:2], server.got[0][3])
