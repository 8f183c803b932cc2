"""Django in one file.

    heka-raven inbox                                                 # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 django_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7/
Expect: Django's own error page, and in the inbox a LookupError of "GET /orders/<int:number>/", the route.

Django answers 500 by itself. Its signal tells of the error while the request is still running, so `client.raven()` has
the request and the route, and Django's own error page stays. To have the middleware see the exception instead, set
DEBUG_PROPAGATE_EXCEPTIONS = True.
"""

import os

import django
from django.conf import settings
from django.core.signals import got_request_exception
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="only for this example",
        LOGGING_CONFIG=None,
    )
    django.setup()


def index(request):
    return HttpResponse("all is well\n")


def order(request, number):
    raise LookupError(f"there is no order {number}")


urlpatterns = [path("", index), path("orders/<int:number>/", order)]


def make_application(client):
    def report(sender, **keywords):
        client.raven()

    got_request_exception.connect(report, weak=False, dispatch_uid="heka-raven")
    return RavenMiddleware(get_wsgi_application(), client)


application = make_application(build_client(os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1")))
