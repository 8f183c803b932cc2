"""A request in progress without a middleware, for the tests of what makes events in one."""

from heka_raven import scope


class Request(scope.CurrentRequest):
    __slots__ = ("_describe",)

    def __init__(self, describe, environ):
        self._describe = describe
        self.environ = environ

    def describe(self, environ):
        return self._describe(environ)


def enter_request(describe, environ):
    """Make a request of *environ* the current one, of which events know what *describe* says; gives what resets it."""
    request = Request(describe, environ)
    return scope.CURRENT.set(lambda: request)
