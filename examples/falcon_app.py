"""Falcon: an error handler that raises lets exceptions through to the middleware.

    heka-raven inbox                                                 # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 falcon_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7
Expect: a short answer with the event's id, and in the inbox a LookupError of "GET /orders/{number:int}", the route.
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


def let_through(req, resp, error, params):
    raise error


def make_application(**options):
    app = falcon.App()
    app.add_route("/", Index())
    app.add_route("/orders/{number:int}", Order())
    # Falcon answers 500 by itself and would keep the exception; its own HTTP errors are still answered by it.
    app.add_error_handler(Exception, let_through)
    # catchall: the visitor gets a page with the event id, as nobody else answers now.
    return RavenMiddleware(app, catchall=True, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
