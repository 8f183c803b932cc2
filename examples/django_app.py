"""Django in one file; in a project of several, the last line goes into its wsgi.py.

    heka-raven inbox                                                 # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 django_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7/
Expect: Django's own error page, and in the inbox a LookupError of "GET /orders/<int:number>/", the route.
"""

import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from heka_raven.middleware import RavenMiddleware

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


def make_application(**options):
    return RavenMiddleware(get_wsgi_application(), **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
