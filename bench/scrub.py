"""What a request costs that fails: one of ordinary text, and those that were made to be expensive.

    python bench/scrub.py

Each has 64 KiB of headers, a path of 8 KB, a query of 64 KB, a form of 64 KB that the application read, and fails with
a message of 8 KB. Whole time in the middleware: describing the request, capturing, masking, encoding; CPU time of the
thread, the least of some rounds. No row may take more than five times what ordinary text takes (docs/security.rst).
"""

# ruff: noqa: E501 - lines of data

import io
import logging
import os
import sys
import tempfile
import time

from heka.holder import get_client
from heka_raven.middleware import RavenMiddleware

HEADERS, HEADER, PATH, QUERY, BODY, MESSAGE = 32, 2048, 8192, 65536, 65536, 8192
ROUNDS = 7
LIMIT = 5.0

WORDS = "the=quick&brown=fox+jumps&over=a%20lazy&dog=12&page=3&sort=name&q=red+shoes&size=42&lang=de&"
PROSE = (
    "could not find item 42 of order 7, see https://shop.example/help?topic=items: user=ann state=open, retry later. "
)
HEADER_TEXT = "text/html,application/xhtml+xml;q=0.9,image/avif;q=0.8; Mozilla/5.0 (X11; Linux x86_64) a=1; b=2, "
HARMLESS = {
    "header": HEADER_TEXT,
    "path": "/shop/items/red-shoes/size-42",
    "query": WORDS,
    "body": WORDS,
    "message": PROSE,
}

HOSTILE = [
    "abc:", "a", "@a://b:c", "://a:b/", "a://", "apiKey", "apiKey=", "api_key[", "a=", "a=&", "a[b]=1&", "token=", "token='",
    "token=[", "(", "'", '"', "\\", "\\\"", "%", "%25", "%2525", "=%3D", "%61=%62&", "lang=%25;", "lang=+cookie: ", "; ", ";a=b",
    "Cookie: a\n", "Cookie: lang=", "password:\n", "token: |\n ", "- ", "--a ", "--password ", "<a>", "<a>b</a>", "<token>x</token>",
    "<![CDATA[", "('a', ", "bearer a.", "basic-", "eyJa", "4111 ", "4111111111111112 ", "_live_", "-----BEGIN ", "-----BEGIN A-----",
    "Key (", "Key (a)=(", "input_value=", "a\n input_value=...", "Duplicate entry '", "Duplicate entry 'a' for key 'b", "a' must ",
    "form-data; name", '{"a":', "\n", "\x00", "\xe9=", "A", "aA", "1a", "a-", "a.", "...", "Authorization: a ", "KeyError: ", "next_token=",
]  # fmt: skip


def fill(unit, length):
    return (unit * (length // len(unit) + 1))[:length]


def environ_of(texts):
    body = fill(texts["body"], BODY).encode("latin-1")
    environ = {
        "REQUEST_METHOD": "POST", "SERVER_NAME": "h", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "SCRIPT_NAME": "",
        "PATH_INFO": fill(texts["path"], PATH), "QUERY_STRING": fill(texts["query"], QUERY),
        "CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(body)),
        "HTTP_COOKIE": fill(texts["header"], HEADER), "HTTP_REFERER": fill(texts["header"], HEADER),
    }  # fmt: skip
    for number in range(HEADERS - 2):
        environ[f"HTTP_X_H{chr(65 + number % 26)}{'Y' * (number // 26)}"] = fill(texts["header"], HEADER)
    return environ


def request_of(middleware, texts):
    environ = environ_of(texts)
    message = fill(texts["message"], MESSAGE)

    def start_response(status, headers, exc_info=None):
        return lambda data: None

    environ["bench.message"] = message
    started = time.thread_time()
    try:
        middleware(environ, start_response)
    except ValueError:
        pass
    return time.thread_time() - started


def application(environ, start_response):
    environ["wsgi.input"].read()
    raise ValueError(environ["bench.message"])


def main():
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as spool:
        client = get_client(
            "bench",
            {
                "stream_class": "heka_raven.streams.SpoolStream",
                "stream_path": spool,
                "stream_sender": "off",
                "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": "http://k@127.0.0.1:9/1"})},
            },
        )
        client.stream.write_event = lambda *args: True
        middleware = RavenMiddleware(application, client, body=BODY)
        families = {"ordinary text": HARMLESS}
        families |= {repr(unit): dict.fromkeys(HARMLESS, unit) for unit in HOSTILE}
        times = {name: [] for name in families}
        for _ in range(int(os.environ.get("BENCH_ROUNDS", ROUNDS))):
            for name, texts in families.items():
                times[name].append(request_of(middleware, texts))
    least = {name: min(found) * 1000 for name, found in times.items()}
    ordinary = least.pop("ordinary text")
    print(f"{'a request filled with':<36}{'CPU ms':>10}{'of ordinary':>14}")
    print(f"{'ordinary text':<36}{ordinary:>10.2f}{1:>13.1f}x")
    for name, value in sorted(least.items(), key=lambda pair: -pair[1]):
        print(f"{name:<36}{value:>10.2f}{value / ordinary:>13.1f}x")
    worst = max(least.values()) / ordinary
    print(f"\nthe worst takes {worst:.1f} times what ordinary text takes; at most {LIMIT:.0f} are allowed")
    return worst > LIMIT


if __name__ == "__main__":
    sys.exit(main())
