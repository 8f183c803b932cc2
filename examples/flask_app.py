"""Flask, as its tutorial makes an app: nothing to set.

    heka-raven inbox                                                # in another terminal: http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 flask_app:application    # any other WSGI server will do

Try:    curl http://127.0.0.1:8080/orders/7
Expect: Flask's own error page, and in the inbox a LookupError of "GET /orders/<int:number>", the route.
"""

import os

from flask import Flask

from heka_raven.middleware import RavenMiddleware

app = Flask(__name__)


@app.get("/")
def index():
    return "all is well\n"


@app.get("/orders/<int:number>")
def order(number):
    raise LookupError(f"there is no order {number}")


def make_application(**options):
    return RavenMiddleware(app, **options)


application = make_application(dsn=os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1"))
