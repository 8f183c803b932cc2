"""Logging: records of the standard library as events, and as breadcrumbs of the request that is going on.

    heka-raven inbox                                                   # http://127.0.0.1:9000/
    waitress-serve --listen=127.0.0.1:8080 logging_app:application     # or any other WSGI server

Try:    curl http://127.0.0.1:8080/order
Expect: in the inbox an event "order 4711 was not paid" of logger shop, with the tag `part`, the request, and what was
        logged before it in the same request as breadcrumbs.
Try:    curl http://127.0.0.1:8080/handled
Expect: an event with the stack of the ZeroDivisionError: `log.exception` brings it along.
Try:    curl http://127.0.0.1:8080/fail
Expect: one event, not two: what logging reported and raised again, the middleware does not report again.
"""

import logging
import os

from heka.holder import get_client
from heka_raven.logging import RavenHandler
from heka_raven.middleware import RavenMiddleware

DSN = os.environ.get("HEKA_RAVEN_DSN", "http://key@127.0.0.1:9000/1")

client = get_client(
    "shop",
    {
        "stream_class": "heka_raven.streams.SpoolStream",
        "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": DSN})},
    },
)
logging.basicConfig(level=logging.INFO)
# From ERROR on a record is an event; below it is a breadcrumb of the events that follow in the same request.
logging.getLogger().addHandler(RavenHandler(client))
log = logging.getLogger("shop")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    log.info("request of %s", path)
    log.warning("the cache is cold")
    if path == "/order":
        log.error("order %d was not paid", 4711, extra={"tags": {"part": "payment"}, "amount": 12.5})
    if path == "/handled":
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("the price could not be told")
    if path == "/fail":
        try:
            {}["price"]
        except KeyError:
            log.exception("no price")
            raise
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"all is well\n"]


application = RavenMiddleware(app, client)
