"""Pyramid: nothing to set; errors that an exception view answers are reported as well as those that none does.

    heka-raven inbox                                                  # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 pyramid_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7
Expect: the server's own 500, and in the inbox a LookupError of "GET /orders/{number}", the route.
Try:    curl http://127.0.0.1:8080/orders/-1
Expect: 404, and nothing in the inbox: an HTTPNotFound that a view raises is an answer, not an error.
"""

import os

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response

from heka_raven.middleware import RavenMiddleware


def index(request):
    return Response("all is well\n")


def order(request):
    number = int(request.matchdict["number"])
    if number < 0:
        raise HTTPNotFound  # an answer, not an error: never reported
    raise LookupError(f"there is no order {number}")


def make_application(**options):
    with Configurator() as config:
        config.add_route("index", "/")
        config.add_route("order", "/orders/{number}")
        config.add_view(index, route_name="index")
        config.add_view(order, route_name="order")
        app = config.make_wsgi_app()
    return RavenMiddleware(app, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
