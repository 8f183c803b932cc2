"""Falcon: nothing to set.

    heka-raven inbox                                                 # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 falcon_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7
Expect: Falcon's own answer 500, and in the inbox a LookupError of "GET /orders/{number:int}", the route.
"""

import os

import falcon

from heka_raven.middleware import RavenMiddleware


class Index:
    def on_get(self, req, resp):
        resp.text = "all is well\n"


class Order:
    def on_get(self, req, resp, number):
        raise LookupError(f"there is no order {number}")


def make_application(**options):
    app = falcon.App()
    app.add_route("/", Index())
    app.add_route("/orders/{number:int}", Order())
    return RavenMiddleware(app, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
