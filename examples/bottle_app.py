"""Bottle: `catchall` off lets exceptions through to the middleware; run it as `bottle_app:application`."""

import os

import bottle

from heka_raven.middleware import RavenMiddleware

app = bottle.Bottle()
app.config["catchall"] = False


@app.get("/")
def index():
    return "all is well\n"


@app.get("/orders/<number:int>")
def order(number):
    raise LookupError(f"there is no order {number}")


def make_application(**options):
    # catchall: the visitor gets a page with the event id, as nobody else answers now.
    return RavenMiddleware(app, catchall=True, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
