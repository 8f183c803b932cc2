"""Django applications that fail, or answer."""

from support.framework_table import failing, fine


@fine(("/", 200), ("/nowhere", 404), ("/not-found/", 404), ("/denied/", 403), ("/suspicious/", 400), ("/moved/", 302))
@failing("/orders/7/", "GET /orders/<int:number>/")
def django_as_it_is():
    from support.django_site import make_site

    return make_site(DEBUG=False)


@fine(("/nowhere", 404), ("/suspicious/", 400))
@failing("/orders/7/", "GET /orders/<int:number>/")
def django_in_debug_mode():
    from support.django_site import make_site

    return make_site(DEBUG=True)


@failing("/orders/7/view/", "GET /orders/<int:number>/view/")
def django_class_based_view():
    from support.django_site import make_site

    return make_site()


@failing("/orders/7/soon/", "GET /orders/<int:number>/soon/")
def django_async_view():
    from support.django_site import make_site

    return make_site()


@failing("/orders/7/page/", "GET /orders/<int:number>/page/", "")
def django_template():
    from support.django_site import make_site

    return make_site()


@failing("/orders/7/lines/", "GET /orders/<int:number>/lines/", "there is no line 7", status=200)
def django_streaming():
    from support.django_site import make_site

    return make_site()


@failing("/orders/7/closes/", "GET /orders/<int:number>/closes/", "at the end", status=200)
def django_close():
    from support.django_site import make_site

    return make_site()


@failing("/?before", "GET /", "in the middleware")
def django_middleware():
    from support.django_site import make_site

    return make_site(MIDDLEWARE=["django.middleware.common.CommonMiddleware", "support.django_site.Failing"])


@failing("/?after", "GET /", "in the middleware")
def django_middleware_after():
    from support.django_site import make_site

    return make_site(MIDDLEWARE=["django.middleware.common.CommonMiddleware", "support.django_site.Failing"])


@fine(("/orders/7/", 409))
def django_middleware_that_handles():
    from support.django_site import make_site

    return make_site(MIDDLEWARE=["support.django_site.Handling"])


@failing("/orders/7/", "GET /orders/<int:number>/")
def django_propagates():
    from support.django_site import make_site

    return make_site(DEBUG_PROPAGATE_EXCEPTIONS=True)


@failing("/orders/7/", "GET /orders/<int:number>/", "the error page as well")
def django_with_a_page_that_fails():
    import types

    from support import django_site

    urls = types.ModuleType("urls_with_a_page_that_fails")
    urls.urlpatterns, urls.handler500 = django_site.urlpatterns, django_site.handler_that_fails
    return django_site.make_site(ROOT_URLCONF=urls)


@failing("/orders/7/", "GET /orders/<int:number>/")
def django_rest():
    import types

    from django.urls import path

    from support import django_site

    urls = types.ModuleType("urls_of_rest")
    urls.urlpatterns = [path("orders/<int:number>/", django_site.rest_view())]
    return django_site.make_site(ROOT_URLCONF=urls)
