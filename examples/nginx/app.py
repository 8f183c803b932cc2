"""What app.ini serves behind nginx."""

import os

from heka_raven.middleware import RavenMiddleware


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("nothing is well")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]


application = RavenMiddleware(app, dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
