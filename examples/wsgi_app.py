"""The least: any WSGI application under RavenMiddleware.

    heka-raven inbox                                               # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 wsgi_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/fail
Expect: waitress' own 500 (the middleware changes no answer), and in the inbox a ValueError of "GET /fail"
        with the failing line and the request.
$HEKA_RAVEN_DSN names another place to report to.
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
