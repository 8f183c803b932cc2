"""A Django site for the tests: settings.configure() works once in a process, so all of them share it."""

import django
from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template import engines
from django.urls import include, path
from django.views import View

SETTINGS = {
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": "only for tests",
    "LOGGING_CONFIG": None,
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    "REST_FRAMEWORK": {"UNAUTHENTICATED_USER": None, "DEFAULT_AUTHENTICATION_CLASSES": []},
}
if not settings.configured:
    settings.configure(**SETTINGS)
    django.setup()


def index(request):
    return HttpResponse("all is well")


def order(request, number):
    basket = {"number": number}
    raise LookupError(f"there is no order {basket['number']}")


class Orders(View):
    def get(self, request, number):
        raise LookupError(f"there is no order {number}")


async def order_soon(request, number):
    raise LookupError(f"there is no order {number}")


def order_page(request, number):
    return HttpResponse(engines["django"].from_string("{% include nothing %}{{ number }}").render({"number": number}))


def order_lines(request, number):
    def lines():
        yield b"one"
        raise LookupError(f"there is no line {number}")

    return StreamingHttpResponse(lines())


def order_closes(request, number):
    response = HttpResponse("one")
    response.close = failing_close
    return response


def failing_close():
    raise LookupError("at the end")


def not_found(request):
    raise Http404


def denied(request):
    raise PermissionDenied


def suspicious(request):
    raise SuspiciousOperation("what is that")


def moved(request):
    return HttpResponseRedirect("/")


def unavailable(request):
    return HttpResponse("later", status=503)


def handler_that_fails(request, *args):
    raise ValueError("the error page as well")


class Failing:
    """A middleware of Django's that raises."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "before" in request.GET:
            raise LookupError("in the middleware")
        response = self.get_response(request)
        if "after" in request.GET:
            raise LookupError("in the middleware")
        return response


class Handling(Failing):
    """A middleware that answers errors."""

    def process_exception(self, request, error):
        return HttpResponse("handled", status=409)


orders = [
    path("<int:number>/", order),
    path("<int:number>/view/", Orders.as_view()),
    path("<int:number>/soon/", order_soon),
    path("<int:number>/page/", order_page),
    path("<int:number>/lines/", order_lines),
    path("<int:number>/closes/", order_closes),
]
urlpatterns = [
    path("", index),
    path("orders/", include(orders)),
    path("not-found/", not_found),
    path("denied/", denied),
    path("suspicious/", suspicious),
    path("moved/", moved),
    path("unavailable/", unavailable),
]


def make_site(**changes):
    """The site's application, made with *changes* in its settings."""
    from django.test.utils import override_settings

    changes = {**SETTINGS, **changes}
    with override_settings(**changes):
        handler = get_wsgi_application()

    def site(environ, start_response):
        with override_settings(**changes):
            return handler(environ, start_response)

    return site


def rest_view():
    """A view of Django REST framework that fails."""
    from rest_framework.decorators import api_view

    @api_view(["GET"])
    def order_rest(request, number):
        raise LookupError(f"there is no order {number}")

    return order_rest
