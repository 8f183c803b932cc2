"""What the ini files beside this one serve: an application with one page for each thing that can go wrong.

heka-raven inbox                      # in one terminal: http://127.0.0.1:9000/ shows what arrives
heka-raven build-plugin               # once, here: sentry_plugin.so, for the uwsgi on your PATH
uwsgi --ini prefork.ini               # in another terminal; or any other ini of this folder
curl http://127.0.0.1:8080/fail
"""

import ctypes
import os
import sys
import time

from heka_raven.middleware import RavenMiddleware

DSN = os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1")


def bare(environ, start_response):
    """The application alone, without the middleware: what fails in it only the plugin sees."""
    path = environ["PATH_INFO"]
    if path == "/fail":
        basket = {"items": 0, "total": 12}
        raise ValueError(f"a basket of {basket['total']} without items")
    if path == "/log":
        sys.stderr.write("CRITICAL the payment service does not answer\n")
        sys.stderr.flush()
    if path == "/segfault":
        ctypes.string_at(0)
    if path == "/sleep":
        time.sleep(float(environ.get("QUERY_STRING") or 1))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]


application = RavenMiddleware(bare, dsn=DSN, tags={"example": "uwsgi"})
