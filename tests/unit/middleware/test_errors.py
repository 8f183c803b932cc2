"""What is an error, and errors that are hostile to whoever asks them."""

import asyncio
import logging

import pytest

from heka_raven.middleware import RavenMiddleware
from support.apps import APPS
from support.middleware import fail, make_environ, run


def raising(error):
    def app(environ, start_response):
        raise error

    return app


def web_exception(name, **keywords):
    import webob.exc

    return getattr(webob.exc, name)(**keywords)


@pytest.mark.parametrize(
    ("error", "options", "reported"),
    [
        (SystemExit(), {}, False),
        (SystemExit(0), {}, False),
        (SystemExit(False), {}, False),
        (SystemExit(3), {}, True),
        (SystemExit("gone wrong"), {}, True),
        (SystemExit(3), {"system_exit": False}, False),
        (KeyboardInterrupt(), {}, False),
        (KeyboardInterrupt(), {"keyboard_interrupt": True}, True),
        (GeneratorExit(), {}, False),
        (StopIteration(), {}, True),
        (asyncio.CancelledError(), {}, False),
        (BaseException("unusual"), {}, True),
        (web_exception("HTTPNotFound"), {}, False),
        (web_exception("HTTPFound", location="/x"), {}, False),
        (web_exception("HTTPClientError"), {}, False),
        (web_exception("HTTPInternalServerError"), {}, True),
        (web_exception("HTTPBadGateway"), {}, True),
        (KeyError("x"), {"ignore": "KeyError"}, False),
        (KeyError("x"), {"ignore": "builtins.KeyError, x.Y"}, False),
        (KeyError("x"), {"ignore": [LookupError]}, False),
        (KeyError("x"), {"ignore": ["IndexError"]}, True),
        (BrokenPipeError(32, "Broken pipe"), {}, True),
        (OSError("write error"), {}, True),
    ],
)
def test_what_is_an_error(error, options, reported, client):
    """The table of docs/middleware.rst, row by row."""
    fail(raising(error), client, type(error), **options)
    assert ([error] if reported else []) == client.errors


def test_paste_expects_it(client):
    """What environ['paste.expected_exceptions'] names is not reported, nor its subclasses."""
    fail(raising(KeyError()), client, KeyError, make_environ(**{"paste.expected_exceptions": [LookupError]}))
    assert [] == client.errors
    fail(raising(KeyError()), client, KeyError, make_environ(**{"paste.expected_exceptions": {KeyError}}))
    assert [] == client.errors
    fail(raising(KeyError()), client, KeyError, make_environ(**{"paste.expected_exceptions": [ValueError, "x"]}))
    assert 1 == len(client.errors)


def test_paste_wants_it_raw(client):
    """environ['paste.throw_errors']: an outer tool shows it; not reported, no error page, unless by option."""
    environ = make_environ(**{"paste.throw_errors": True})
    fail(APPS["fails_in_call"], client, environ=environ, catchall=True)
    assert [] == client.errors
    fail(APPS["fails_in_call"], client, environ=environ, catchall=True, report_thrown=True)
    assert 1 == len(client.errors)


class Hostile(BaseException):
    """Fights everything that is asked of it."""

    def __getattribute__(self, name):
        raise KeyboardInterrupt(name)

    def __setattr__(self, name, value):
        raise KeyboardInterrupt(name)

    def __str__(self):
        raise KeyboardInterrupt("str")

    __repr__ = __str__


@pytest.mark.parametrize("broken", [False, True])
def test_a_hostile_exception(broken, client, monkeypatch):
    """Nothing that an exception does when it is looked at reaches the server; nor does a log handler that fails."""

    class Handler(logging.Handler):
        def emit(self, record):
            raise SystemExit

    handler = Handler()
    logging.getLogger("heka_raven").addHandler(handler)
    if broken:
        monkeypatch.setattr(client, "raven", lambda *args, **fields: 1 / 0)
    error = Hostile()
    try:
        RavenMiddleware(raising(error), client, catchall=True)(make_environ(), None)
    except BaseException as raised:
        assert raised is error
    else:
        raise AssertionError("nothing was raised")
    finally:
        logging.getLogger("heka_raven").removeHandler(handler)
    assert (not broken) == bool(client.reports)


class Opaque(type):
    """Whose classes cannot be asked what methods they have."""

    def __getattribute__(cls, name):
        raise RuntimeError("not this one")


def test_classes_that_cannot_be_asked(client):
    """A body, or an input, of a class that raises when it is looked at serves the request all the same."""

    class Body(metaclass=Opaque):
        def __iter__(self):
            return iter([b"x"])

    class Input(metaclass=Opaque):
        def read(self, size=-1):
            return b"read"

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body() if environ["PATH_INFO"] == "/body" else [environ["wsgi.input"].read()]

    middleware = RavenMiddleware(app, client, body=10)
    environ = make_environ(**{"wsgi.input": Input()})
    assert [b"read"] == run(middleware, environ)
    assert [b"x"] == list(middleware(make_environ(PATH_INFO="/body"), lambda status, headers: None))
    assert [] == client.errors


def test_an_error_that_cannot_be_asked_gets_its_page(client):
    """Not even its traceback is read from it as an attribute."""

    class Silent(Exception):
        def __getattribute__(self, name):
            raise RuntimeError("not this one")

    def app(environ, start_response):
        raise Silent

    started = []
    middleware = RavenMiddleware(app, client, catchall=True)
    [page] = middleware(make_environ(), lambda status, headers, exc_info=None: started.append(exc_info[1]))
    assert b"Internal Server Error" in page
    assert [Silent] == [type(error) for error in started]


def test_an_exception_that_lies_about_its_class(client):
    """The class is asked for, not what __class__ says."""

    class Liar(Exception):
        @property
        def __class__(self):
            raise RuntimeError("no class")

    fail(raising(Liar()), client, Liar)
    assert 1 == len(client.errors)


class Name(str):
    """A text that fights everything that is done with it."""

    def __format__(self, spec):
        raise RuntimeError("not this one")

    __str__ = __eq__ = __format__
    __hash__ = None


class Code:
    """A status that cannot be asked what it is."""

    def __getattribute__(self, name):
        raise RuntimeError("not this one")


class Named(Exception):
    __module__ = Name("app")


class OpaqueError(Exception, metaclass=Opaque):
    pass


class OpaqueExit(SystemExit, metaclass=Opaque):
    pass


class SilentReset(ConnectionResetError):
    def __getattribute__(self, name):
        raise RuntimeError("not this one")


def test_close_of_a_body_whose_iterator_is_plain(client):
    """A body that is iterated by a list's iterator has its request in close() too."""

    class Body(list):
        def __iter__(self):
            return list.__iter__(self)

        def close(self):
            raise KeyError("closing")

    body = RavenMiddleware(lambda environ, start_response: Body([b"x"]), client)(make_environ(), None)
    assert [b"x"] == list(body)
    with pytest.raises(KeyError):
        body.close()
    assert "GET /there" == client.facts.transaction


UNASKABLE = {
    "named": Named,
    "class": OpaqueError,
    "exit": lambda: OpaqueExit(3),
    "status": lambda: SystemExit(Code()),
    "reset": SilentReset,
}


@pytest.mark.parametrize("name", UNASKABLE)
def test_errors_that_cannot_be_asked_are_reported(name, client):
    """Neither a metaclass, nor an odd __module__, nor an attribute that raises costs the report."""
    error = UNASKABLE[name]()
    with pytest.raises(BaseException) as raised:
        RavenMiddleware(raising(error), client)(make_environ(), None)
    assert raised.value is error
    assert 1 == len(client.reports)


@pytest.mark.parametrize("name", ["webob.request.DisconnectionError", "waitress.channel.ClientDisconnected"])
def test_disconnects_are_counted(name, client):
    """A visitor who went away is counted and not reported."""
    module, _, attribute = name.rpartition(".")
    kind = getattr(__import__(module, fromlist=[attribute]), attribute)
    middleware = RavenMiddleware(raising(kind("gone")), client)
    with pytest.raises(kind):
        run(middleware, make_environ())
    assert [] == client.errors
    assert 1 == middleware.disconnects


def test_disconnects_go_to_the_ledger(client):
    """Where the stream keeps a ledger, a disconnect is captured and discarded there: the sum stays right."""

    class Stream:
        class ledger:
            added = []
            add = added.append

    client.stream = Stream
    fail(raising(web_request().DisconnectionError()), client, OSError)
    assert ["captured", "discarded.client_disconnect"] == Stream.ledger.added


def web_request():
    import webob.request

    return webob.request
