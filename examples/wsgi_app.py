"""The least: any WSGI application under RavenMiddleware.

    waitress-serve --listen=127.0.0.1:8080 wsgi_app:application

Errors go where $HEKA_RAVEN_DSN says; http://127.0.0.1:8080/fail makes one.
"""

import os

from heka_raven.middleware import RavenMiddleware


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("the basket is empty")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]


def make_application(**options):
    return RavenMiddleware(app, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
