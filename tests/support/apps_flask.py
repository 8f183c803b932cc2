"""Flask applications that fail, or answer."""

from support.framework_table import failing, fine


def flask_app(name="shop"):
    import flask

    app = flask.Flask(name)

    @app.get("/orders/<int:number>")
    def order(number):
        basket = {"number": number}
        raise LookupError(f"there is no order {basket['number']}")

    @app.get("/")
    def index():
        return "all is well"

    @app.get("/denied")
    def denied():
        flask.abort(403)

    @app.get("/moved")
    def moved():
        return flask.redirect("/")

    return app


@fine(("/", 200), ("/nowhere", 404), ("/denied", 403), ("/moved", 302))
@failing("/orders/7", "GET /orders/<int:number>")
def flask_as_it_is():
    return flask_app()


@failing("/orders/7", "GET /orders/<int:number>")
def flask_with_a_500_page():
    app = flask_app()
    app.register_error_handler(500, lambda error: ("sorry", 500))
    return app


@failing("/orders/7", "GET /orders/<int:number>", status=503)
def flask_with_a_503_page():
    app = flask_app()
    app.register_error_handler(500, lambda error: ("later", 503))
    return app


@failing("/shop/orders/7", "GET /shop/orders/<int:number>")
def flask_behind_a_dispatcher():
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(flask_app("front"), {"/shop": flask_app("shop")})


@failing("/orders/7", "GET /orders/<int:number>")
def flask_wsgi_app():
    return flask_app().wsgi_app


@failing("/shop/orders/7", "GET /shop/orders/<number>")
def flask_blueprint():
    import flask

    app, shop = flask.Flask("front"), flask.Blueprint("shop", "shop", url_prefix="/shop")

    @shop.get("/orders/<number>")
    def order(number):
        raise LookupError(f"there is no order {number}")

    app.register_blueprint(shop)
    return app


@failing("/orders/7", "GET /orders/<number>")
def flask_async_view():
    import flask

    app = flask.Flask("shop")

    @app.get("/orders/<number>")
    async def order(number):
        raise LookupError(f"there is no order {number}")

    return app


@failing("/orders/7", "GET /orders/<number>", status=200)
def flask_streaming():
    import flask

    app = flask.Flask("shop")

    @app.get("/orders/<number>")
    def order(number):
        def lines():
            yield "one"
            raise LookupError(f"there is no order {number}")

        return lines()

    return app


@failing("/orders/7", "GET /orders/<int:number>", "before it")
def flask_before_request():
    app = flask_app()

    @app.before_request
    def before():
        raise LookupError("before it")

    return app


@failing("/", "GET /", "after it")
def flask_after_request():
    app = flask_app()

    @app.after_request
    def after(response):
        if response.status_code == 200:
            raise LookupError("after it")
        return response

    return app


@failing("/", "GET /", "at its end", status=200)
def flask_teardown():
    app = flask_app()

    @app.teardown_request
    def teardown(error):
        raise LookupError("at its end")

    return app


@failing("/", "GET /", "at close", status=200)
def flask_close():
    import flask

    app = flask.Flask("shop")

    @app.get("/")
    def index():
        response = flask.Response("all is well")

        @response.call_on_close
        def fail():
            raise LookupError("at close")

        return response

    return app


@failing("/page", "GET /page", "'nothing' is undefined")
def flask_template():
    import flask

    app = flask.Flask("shop")

    @app.get("/page")
    def page():
        return flask.render_template_string("{{ nothing.of_it }}")

    return app


@failing("/orders/7", "GET /orders/<int:number>")
def flask_in_debug_mode():
    app = flask_app()
    app.debug = True
    return app


@failing("/orders/7", "GET /orders/<int:number>", "the page as well")
def flask_with_a_page_that_fails():
    app = flask_app()

    @app.errorhandler(500)
    def page(error):
        raise ValueError("the page as well")

    return app


@fine(("/orders/7", 200))
def flask_that_answers_200():
    app = flask_app()
    app.register_error_handler(500, lambda error: ("never mind", 200))
    return app


@fine(("/orders/7", 404))
def flask_that_handles():
    app = flask_app()
    app.register_error_handler(LookupError, lambda error: ("no such order", 404))
    return app
