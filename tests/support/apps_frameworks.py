"""Applications of the other frameworks that fail, or answer."""

from support.framework_table import failing, fine

# -- Pyramid -----------------------------------------------------------------------------------------------------------


def pyramid_app(change=None):
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPForbidden, HTTPFound, HTTPNotFound
    from pyramid.response import Response

    def order(request):
        if "gone" in request.GET:
            raise HTTPNotFound
        if "moved" in request.GET:
            raise HTTPFound("/")
        if "denied" in request.GET:
            raise HTTPForbidden
        raise LookupError(f"there is no order {request.matchdict['number']}")

    with Configurator() as config:
        config.add_route("index", "/")
        config.add_route("order", "/orders/{number}")
        config.add_view(lambda request: Response("all is well"), route_name="index")
        config.add_view(order, route_name="order")
        if change is not None:
            change(config)
        return config.make_wsgi_app()


@fine(("/", 200), ("/nowhere", 404), ("/orders/7?gone", 404), ("/orders/7?moved", 302), ("/orders/7?denied", 403))
@failing("/orders/7", "GET /orders/{number}")
def pyramid_as_it_is():
    return pyramid_app()


def answer(status):
    from pyramid.response import Response

    def view(error, request):
        return Response("sorry", status=status)

    return lambda config: config.add_exception_view(view)


@failing("/orders/7", "GET /orders/{number}")
def pyramid_with_an_exception_view():
    return pyramid_app(answer(500))


@fine(("/orders/7", 404))
def pyramid_that_handles():
    return pyramid_app(answer(404))


@failing("/orders/7", "GET /orders/{number}", "the view as well")
def pyramid_with_a_view_that_fails():
    def view(error, request):
        raise ValueError("the view as well")

    return pyramid_app(lambda config: config.add_exception_view(view))


def failing_tween(handler, registry):
    def tween(request):
        handler(request)
        raise LookupError("in the tween")

    return tween


@failing("/", "GET /", "in the tween")
def pyramid_tween():
    return pyramid_app(lambda config: config.add_tween("support.apps_frameworks.failing_tween"))


@failing("/front", "GET /front")
def pyramid_subrequest():
    from pyramid.request import Request

    def change(config):
        answer(500)(config)
        config.add_route("front", "/front")
        config.add_view(
            lambda request: request.invoke_subrequest(Request.blank("/orders/7"), use_tweens=True), route_name="front"
        )

    return pyramid_app(change)


# -- Falcon ------------------------------------------------------------------------------------------------------------


def falcon_app(**options):
    import falcon

    class Order:
        def on_get(self, req, resp, number):
            raise LookupError(f"there is no order {number}")

    class Index:
        def on_get(self, req, resp):
            resp.text = "all is well"

    class Answers:
        def on_get(self, req, resp):
            raise falcon.HTTPForbidden

        def on_put(self, req, resp):
            raise falcon.HTTPMovedPermanently("/")

    app = falcon.App(**options)
    app.add_route("/", Index())
    app.add_route("/orders/{number:int}", Order())
    app.add_route("/denied", Answers())
    return app


@fine(("/", 200), ("/nowhere", 404), ("/denied", 403))
@failing("/orders/7", "GET /orders/{number:int}")
def falcon_as_it_is():
    return falcon_app()


class FailsInFalcon:
    def __init__(self, phase):
        setattr(self, phase, self.fail)

    def fail(self, *args):
        raise LookupError("in the middleware")


@failing("/", "GET /", "in the middleware")
def falcon_middleware():
    class Before:
        def process_request(self, req, resp):
            raise LookupError("in the middleware")

    return falcon_app(middleware=[Before()])


@failing("/", "GET /", "in the middleware")
def falcon_middleware_after():
    class After:
        def process_response(self, req, resp, resource, succeeded):
            raise LookupError("in the middleware")

    return falcon_app(middleware=[After()])


@failing("/orders/7", "GET /orders/{number:int}", status=503)
def falcon_with_a_handler():
    import falcon

    def handle(req, resp, error, params):
        raise falcon.HTTPServiceUnavailable

    app = falcon_app()
    app.add_error_handler(LookupError, handle)
    return app


@fine(("/orders/7", 404))
def falcon_that_handles():
    import falcon

    def handle(req, resp, error, params):
        raise falcon.HTTPNotFound

    app = falcon_app()
    app.add_error_handler(LookupError, handle)
    return app


# -- Bottle ------------------------------------------------------------------------------------------------------------


def bottle_app():
    import bottle

    app = bottle.Bottle()

    @app.get("/")
    def index():
        return "all is well"

    @app.get("/orders/<number:int>")
    def order(number):
        raise LookupError(f"there is no order {number}")

    @app.get("/lines/<number>")
    def lines(number):
        if number == "7":
            raise LookupError(f"there is no order {number}")
        yield "one"

    @app.get("/denied")
    def denied():
        bottle.abort(403)

    @app.get("/moved")
    def moved():
        bottle.redirect("/")

    return app


@fine(("/", 200), ("/nowhere", 404), ("/denied", 403), ("/moved", 303))
@failing("/orders/7", "GET /orders/<number:int>")
def bottle_as_it_is():
    return bottle_app()


@failing("/lines/7", "GET /lines/<number>")
def bottle_generator():
    return bottle_app()


@failing("/orders/7", "GET /orders/<number:int>")
def bottle_with_a_500_page():
    app = bottle_app()
    app.error(500)(lambda error: "sorry")
    return app


@failing("/shop/orders/7", "GET /shop/orders/<number:int>")
def bottle_mounted():
    import bottle

    front = bottle.Bottle()
    front.mount("/shop/", bottle_app())
    return front


@failing("/", "GET /", "in the hook")
def bottle_hook():
    app = bottle_app()

    @app.hook("before_request")
    def fail():
        raise LookupError("in the hook")

    return app


@fine(("/orders/7", 200))
def bottle_that_answers_200():
    import bottle

    app = bottle_app()

    @app.error(500)
    def page(error):
        bottle.response.status = 200
        return "never mind"

    return app


# -- others ------------------------------------------------------------------------------------------------------------


@fine(("/", 200), ("/nowhere", 404))
@failing("/orders/7", "GET /orders/7")
def werkzeug_alone():
    from werkzeug.exceptions import NotFound
    from werkzeug.wrappers import Request, Response

    @Request.application
    def app(request):
        if request.path == "/":
            return Response("all is well")
        if request.path.startswith("/orders/"):
            raise LookupError(f"there is no order {request.path[8:]}")
        raise NotFound

    return app


@fine(("/", 200), ("/nowhere", 404), ("/denied", 403))
@failing("/orders/7", "GET /orders/7")
def cherrypy_app():
    import cherrypy

    class Shop:
        @cherrypy.expose
        def index(self):
            return "all is well"

        @cherrypy.expose
        def orders(self, number):
            raise LookupError(f"there is no order {number}")

        @cherrypy.expose
        def denied(self):
            raise cherrypy.HTTPError(403)

    cherrypy.config.update({"environment": "embedded", "log.screen": False})
    return cherrypy.Application(Shop(), script_name=None)


@fine(("/", 200), ("/nowhere", 404))
@failing("/orders/7", "GET /orders/7")
def webpy_app():
    import web

    class Index:
        def GET(self):
            return "all is well"

    class Order:
        def GET(self, number):
            raise LookupError(f"there is no order {number}")

    web.config.debug = False
    return web.application(("/", Index, "/orders/(.*)", Order), {}).wsgifunc()
