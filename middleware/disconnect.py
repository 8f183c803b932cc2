"""Tells a visitor who went away from an error of the application.

A BrokenPipeError of the application's own sockets (a database, a cache) is an error. One of the server's own socket
is noise: it can come out of the application only through write(), start_response() or wsgi.input, so the traceback
says whose it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

from heka_raven.capture.exceptions import traceback_of
from heka_raven.uwsgi_bridge import in_uwsgi

# Exceptions with no other meaning.
DISCONNECTS = frozenset({
    "webob.request.DisconnectionError",
    "waitress.channel.ClientDisconnected",
    "werkzeug.exceptions.ClientDisconnected",
    "django.http.request.UnreadablePostError",
    "gunicorn.http.errors.NoMoreData",
    "paste.httpserver.SocketTimeout",
    "mod_wsgi.RequestTimeout",
})  # fmt: skip
# What servers that are written in C raise as a plain OSError, without an errno.
SERVER_TEXTS = {
    "uwsgi": (
        "write error", "error during read(", "timeout during read(", "error during readline(",
        "timeout during readline(", "unable to directly send headers",
    ),
    "mod_wsgi": ("Apache/mod_wsgi ",),
}  # fmt: skip
# Modules of servers that are written in Python: a frame of theirs inside the application's call is write(),
# start_response() or wsgi.input.
SERVERS = (
    "cheroot", "eventlet.wsgi", "gevent.pywsgi", "gunicorn", "paste.httpserver", "socketserver", "waitress",
    "werkzeug.serving", "wsgiref",
)  # fmt: skip


def is_disconnect(error: BaseException, names: Iterable[str], environ: dict[str, Any]) -> bool:
    """Whether *error* means that the client has gone.

    Args:
        error: what left the application.
        names: of its class and bases.
        environ: of the request.
    """
    if not DISCONNECTS.isdisjoint(names):
        return True
    if not issubclass(type(error), OSError):
        return False
    args = vars(BaseException)["args"].__get__(error)
    if type(error) is OSError and len(args) == 1 and type(args[0]) is str:
        return any(args[0].startswith(texts) and _runs_under(server) for server, texts in SERVER_TEXTS.items())
    if not issubclass(type(error), (ConnectionError, TimeoutError)):
        return False
    source = environ.get("wsgi.input")
    traceback = traceback_of(error)
    while traceback is not None:
        if _is_server(traceback.tb_frame, source):
            return True
        traceback = traceback.tb_next
    return False


def _runs_under(server: str) -> bool:
    """Whether *server* runs this process. A folder called uwsgi on the path is a package of that name: not enough."""
    return in_uwsgi() if server == "uwsgi" else server in sys.modules


def _is_server(frame: FrameType, source: Any) -> bool:
    """Whether *frame* runs the server's code, or reads the server's socket for ``wsgi.input``."""
    module = frame.f_globals.get("__name__")
    if type(module) is not str:
        return False
    if module.startswith(SERVERS) and any(module == name or module.startswith(f"{name}.") for name in SERVERS):
        return True
    if module != "socket":
        return False
    # wsgiref and socketserver read through io.BufferedReader, which has no frame; its raw object has.
    reader = frame.f_locals.get("self")
    return reader is not None and reader is getattr(source, "raw", None)
