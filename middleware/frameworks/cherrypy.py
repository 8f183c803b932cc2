"""CherryPy: a tool at its hook ``before_error_response``."""

from __future__ import annotations

import sys
from typing import Any

from heka_raven.middleware.frameworks import NoHook, Tell

TOOL = "heka_raven"


def hook(tell: Tell) -> None:
    """Put a tool into the configuration that all its applications share."""
    import cherrypy

    def told(**config: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            environ = getattr(cherrypy.serving.request, "wsgi_environ", None)
            tell(error, environ=environ, ask=lambda body: cherrypy.serving.response.status)

    if not hasattr(cherrypy, "Tool"):
        raise NoHook("it has no tools")
    if getattr(cherrypy.tools, TOOL, None) is None:
        setattr(cherrypy.tools, TOOL, cherrypy.Tool("before_error_response", told))
    cherrypy.config.update({f"tools.{TOOL}.on": True})
