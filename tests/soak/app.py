"""gunicorn's application in the soak: fails on request, and says no more than its marker."""

import os

from heka_raven.middleware import RavenMiddleware


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("the basket is empty")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"well"]


application = RavenMiddleware(app, dsn=os.environ["SENTRY_DSN"])
