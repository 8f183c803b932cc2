"""Flask: errors that its views raise, with the route; run it with any WSGI server as `flask_app:application`."""

import os

from flask import Flask

from heka_raven.middleware import RavenMiddleware

app = Flask(__name__)
# Flask answers 500 by itself and would keep the exception; this lets it through to the middleware.
app.config["PROPAGATE_EXCEPTIONS"] = True


@app.get("/")
def index():
    return "all is well\n"


@app.get("/orders/<int:number>")
def order(number):
    raise LookupError(f"there is no order {number}")


def make_application(**options):
    # catchall: the visitor gets a page with the event id, as nobody else answers now.
    return RavenMiddleware(app.wsgi_app, catchall=True, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
