"""The demo's app: one button for each thing that can go wrong. The server's half: uwsgi.ini and gunicorn.conf.py.

Everything is reported by the same two lines that any app would have: `get_client(...)` and `RavenMiddleware(...)`.
"""

import ctypes
import html
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from heka.holder import get_client
from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import capture_stack

HERE = Path(__file__).parent
SERVER = "gunicorn" if "gunicorn" in sys.modules else "uwsgi"
# What the server's configuration calls slow, and how long a slow request takes: gunicorn ends each after 6 seconds.
SLOW_S, TAKES_S = (3, 4.5) if SERVER == "gunicorn" else (7, 11)

client = get_client(
    "demo",
    {
        "stream_class": "heka_raven.streams.SpoolStream",
        "plugins": {
            "raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": os.environ["SENTRY_DSN"], "release": "demo-1"})
        },
    },
)


class Button:
    """One thing that can go wrong: what a person presses, how the inbox shows it, and the only server that has it."""

    def __init__(self, path, label, what, method="GET", server=None):
        self.path, self.label, self.what, self.method, self.server = path, label, what, method, server


BUTTONS = [
    Button("/exception", "An exception", "A view divides by zero. The middleware reports it and raises it on."),
    Button("/stream", "… in a streamed response", "A generator fails after its second chunk has been sent."),
    Button("/close", "… in close()", "The whole response went out well; its close() then fails."),
    Button("/capture-stack", "… under capture_stack", "The view reports by itself; the middleware does not repeat it."),
    Button(
        "/bare",
        "… outside the middleware",
        "An app that is not wrapped: uWSGI's exception handler reports it.",
        server="uwsgi",
    ),
    Button("/log-line", "A log line", "A line that starts with demo-alarm raises an alarm of uWSGI.", server="uwsgi"),
    Button(
        "/full-queue",
        "A full listen queue",
        "More visitors than the workers can take. An alarm of uWSGI repeats this one every second.",
    ),
    Button("/segfault", "A segfault", "The worker reads address 0 and dies. The server starts another."),
    Button("/abort", "… an abort in a C library", "The C library's own function is shown, too, inside Python's."),
    Button(
        "/harakiri",
        "A request that never ends",
        "After four seconds (gunicorn: six) the server kills the worker; first, it is reported, with local variables.",
    ),
    Button("/hang", "… in C code", "The same, while C code holds Python's lock: the stack is there all the same."),
    Button("/waiting", "… which waits for a server", "It waits for an answer that never comes: the event says whose."),
    Button("/kill", "kill -9", "The worker is killed from outside. Which request was it?"),
    Button("/slow", "A slow request", f"Over {SLOW_S} seconds: reported once, and it lives on."),
    Button(
        "/upload",
        "A PUT",
        "An internal route of uWSGI reports every PUT, before the app sees it.",
        method="PUT",
        server="uwsgi",
    ),
]


def order_total(items, people):
    card_password = "correct horse"  # the name hides the value  # noqa: F841
    return sum(items) / people


def exception(environ, start_response):
    return [b"%d" % order_total([3, 4, 5], people=0)]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return chunks(["first chunk\n", "second chunk\n"])


def chunks(texts):
    for text in texts:
        yield text.encode()
    raise RuntimeError(f"the stream broke after {len(texts)} chunks")


class ClosesBadly(list):
    def close(self):
        raise OSError("the export file could not be closed")


def close(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ClosesBadly([b"all is well\n"])


@capture_stack
def captured(environ, start_response):
    prices = {"apple": 3}
    return [b"%d" % prices["pear"]]


def log_line(environ, start_response):
    print("demo-alarm: the disk is nearly full", flush=True)
    return text(start_response, "logged")


def full_queue(environ, start_response):
    # Visitors from another process: this worker must be free to be one of the two that they keep busy. Under uWSGI,
    # sys.executable is uWSGI.
    python = Path(sys.prefix) / "bin" / "python3"
    # uWSGI's SERVER_NAME is the name of the host, by which a server on 127.0.0.1 is often not to be reached.
    address = os.environ["DEMO_LISTEN"].rsplit(":", 1)
    subprocess.Popen([python, HERE / "visitors.py", *address], close_fds=True)
    return text(start_response, "here they come")


def busy(environ, start_response):
    time.sleep(2.5)
    return text(start_response, "done")


def segfault(environ, start_response):
    ctypes.string_at(0)
    return text(start_response, "still here?")


def abort(environ, start_response):
    ctypes.CDLL(None).abort()
    return text(start_response, "still here?")


def harakiri(environ, start_response):
    order, card_password = 4700 + 11, "correct horse"  # the event shows the first  # noqa: F841
    time.sleep(60)
    return text(start_response, "still here?")


def hang(environ, start_response):
    sleep = ctypes.PyDLL(None).sleep  # PyDLL: unlike CDLL, it keeps the interpreter's lock while it calls
    left_s = 60
    while left_s:  # the signal that asks for the stack ends a sleep
        left_s = sleep(left_s)
    return text(start_response, "still here?")


def waiting(environ, start_response):
    inbox = urlsplit(os.environ["SENTRY_DSN"])  # which waits for a question, as this waits for its answer
    with socket.create_connection((inbox.hostname, inbox.port or 80)) as connection:
        connection.recv(1)
    return text(start_response, "an answer?")


def kill(environ, start_response):
    os.kill(os.getpid(), signal.SIGKILL)
    return text(start_response, "still here?")


def slow(environ, start_response):
    time.sleep(TAKES_S)
    return text(start_response, "at last")


def upload(environ, start_response):
    return text(start_response, "thank you")


def bare(environ, start_response):
    raise LookupError("nobody wrapped this app")


def text(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body.encode()]


def page(environ, start_response):
    rows = "\n".join(
        f'<li><button data-method="{b.method}" data-path="{b.path}">{html.escape(b.label)}</button>'
        f"<span>{html.escape(b.what)}</span></li>"
        for b in BUTTONS
        if b.server in (None, SERVER)
    )
    body = (HERE / "page.html").read_text(encoding="utf-8")
    body = body.replace("BUTTONS", rows).replace("INBOX", html.escape(os.environ.get("DEMO_INBOX", "#")))
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [body.encode()]


ROUTES = {
    "/": page,
    "/exception": exception,
    "/stream": stream,
    "/close": close,
    "/capture-stack": captured,
    "/log-line": log_line,
    "/full-queue": full_queue,
    "/busy": busy,
    "/segfault": segfault,
    "/abort": abort,
    "/harakiri": harakiri,
    "/hang": hang,
    "/waiting": waiting,
    "/kill": kill,
    "/slow": slow,
    "/upload": upload,
}


def app(environ, start_response):
    view = ROUTES.get(environ["PATH_INFO"])
    if view is None:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such page\n"]
    return view(environ, start_response)


wrapped = RavenMiddleware(app, client)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/bare":
        return bare(environ, start_response)
    return wrapped(environ, start_response)
