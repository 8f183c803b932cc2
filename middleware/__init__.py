"""WSGI middleware: reports what fails inside a request and changes nothing about it."""

from heka_raven.middleware.wsgi import RavenMiddleware

__all__ = ["RavenMiddleware"]
