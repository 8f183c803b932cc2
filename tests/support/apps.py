"""Fixture applications: what a WSGI application may do, right or wrong. Shared by the differential tests.

Served by waitress and uWSGI as well: `/bare/NAME` is the application itself, `/raven/NAME` the same under
RavenMiddleware.
"""

import support.apps_failing  # noqa: F401  - registers what fails
from heka_raven.middleware import RavenMiddleware
from support.apps_succeeding import APPS

SUCCEEDS = [name for name in APPS if "fail" not in name and "raises" not in name and name != "starts_wrongly"]
HOSTILE_TO_SERVERS = {"raises_system_exit"}  # ends a server's worker


class CountingClient:
    """Takes reports and does nothing with them."""

    reports = 0

    def raven(self, msg="", exc_info=True, **fields):
        self.reports += 1
        return "0" * 32


def application(environ, start_response):
    """Serve `/bare/NAME` and `/raven/NAME`."""
    _, how, name = environ["PATH_INFO"].split("/")[:3]
    app = APPS[name]
    if how == "raven":
        app = RavenMiddleware(app, CountingClient())
    return app(environ, start_response)
