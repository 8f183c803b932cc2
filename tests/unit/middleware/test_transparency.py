"""With and without the middleware, a server sees the same: every call, in order, with the same objects."""

import io
import sys
import wsgiref.util
import wsgiref.validate

import pytest
from webtest import lint

from heka_raven.middleware import RavenMiddleware
from heka_raven.scope import current_environ
from support.apps import APPS, SUCCEEDS, CountingClient


class FunctionWrapper:
    """uWSGI's file_wrapper: a function that gives the file back and remembers which it was."""

    def __init__(self):
        self.file = None

    def __call__(self, file, size=8192):
        self.file = file
        return file


class Server:
    """Runs one request as a server would and writes down all that it can see of the application."""

    def __init__(self, app, wrapper, environ=None):
        self.seen = []
        self.sent = False
        self.error = ValueError("the very object")
        self.environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/x",
            "QUERY_STRING": "q=1",
            "CONTENT_LENGTH": "18",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(b"abcdefg\nnext line\n"),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "fixture.log": self.seen,
            "fixture.error": self.error,
            **(environ or {}),
        }
        if wrapper is not None:
            self.environ["wsgi.file_wrapper"] = wrapper
        self.wrapper = wrapper
        self.written = []
        self.run(app)
        self.seen.append(("keys left", sorted(key for key in self.environ if not key.startswith("heka_raven."))))
        self.seen.append(("unread", self.environ["wsgi.input"].read() if "wsgi.input" in self.environ else None))

    def start_response(self, status, headers, exc_info=None):
        self.seen.append(("start_response", status, headers, exc_info and (exc_info[0], exc_info[1] is self.error)))
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        return self.write

    def write(self, data):
        self.sent = True
        self.seen.append(("write", data))

    def note(self, phase, call):
        try:
            result = call()
        except BaseException as error:
            self.seen.append((phase, "raised", type(error), error is self.error, error.__context__ is None))
            return None
        return result

    def run(self, app):
        body = self.note("call", lambda: app(self.environ, self.start_response))
        self.seen.append(("returned", body is None))
        self.look_at(body)
        iterator = self.note("iter", lambda: iter(body))
        if iterator is not None:
            self.seen.append(("own iterator", iterator is body))
            for _ in range(20):
                chunk = self.note("next", lambda: next(iterator, StopIteration))
                self.seen.append(("chunk", chunk))
                if chunk is None or chunk is StopIteration:
                    break
                self.sent = self.sent or bool(chunk)
        if self.note("closes", lambda: hasattr(body, "close")):
            self.note("close", lambda: body.close())
            self.note("close again", lambda: body.close())

    def look_at(self, body):
        self.seen.append(("len", self.note("len", lambda: len(body))))
        for name in ("close", "__len__", "__next__", "__iter__", "read", "fileno", "filelike"):
            self.seen.append(("has", name, self.note("has", lambda name=name: hasattr(body, name))))
        for name in ("__len__", "__next__", "__getitem__"):
            self.seen.append(("class has", name, hasattr(type(body), name) or name == "__getitem__"))
        if isinstance(self.wrapper, type):
            self.seen.append(("is file_wrapper", isinstance(body, self.wrapper)))
        elif self.wrapper is not None:
            self.seen.append(("is the file", body is self.wrapper.file))
        self.seen.append(("is list", isinstance(body, list), "is tuple", isinstance(body, tuple)))


WRAPPERS = {"class": lambda: wsgiref.util.FileWrapper, "function": FunctionWrapper, "none": lambda: None}


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_nothing_changes(name, wrapper):
    """Status, headers, chunks, write(), len(), close(), identities, exceptions: the same, in the same order."""
    app = APPS[name]
    bare = Server(app, WRAPPERS[wrapper]())
    watched = Server(RavenMiddleware(app, CountingClient()), WRAPPERS[wrapper]())
    assert bare.seen == watched.seen
    assert current_environ() is None


@pytest.mark.parametrize("name", APPS)
def test_options_change_nothing_either(name):
    """A body tee, and an error page where nothing fails, are as invisible."""
    app = APPS[name]
    bare = Server(app, wsgiref.util.FileWrapper)
    watched = Server(
        RavenMiddleware(app, CountingClient(), body=4, catchall=name in SUCCEEDS), wsgiref.util.FileWrapper
    )
    assert bare.seen == watched.seen


@pytest.mark.parametrize("name", APPS)
def test_twice_is_as_once(name):
    """Under two middlewares the same, and neither leaves its request behind in the context."""
    app = APPS[name]
    bare = Server(app, wsgiref.util.FileWrapper)
    inner, outer = CountingClient(), CountingClient()
    watched = Server(RavenMiddleware(RavenMiddleware(app, inner), outer), wsgiref.util.FileWrapper)
    assert bare.seen == watched.seen
    assert inner.reports == outer.reports
    assert current_environ() is None


class ReadOnly:
    """A wsgi.input that can do less than PEP 3333 asks."""

    def __init__(self):
        self.file = io.BytesIO(b"abc\ndef\n")

    def read(self, size=-1):
        return self.file.read(size)


class OnlyWithSize(ReadOnly):
    """A wsgi.input that wants to be told how much, and is false while nothing has come."""

    def read(self, size):
        return self.file.read(size)

    def readline(self):
        return self.file.readline()

    def __iter__(self):
        return iter(self.file)

    def __len__(self):
        return 0


INPUTS = {
    "bytes": lambda: io.BytesIO(b"abc\ndef\n"),
    "buffered": lambda: io.BufferedReader(io.BytesIO(b"abc\ndef\n")),
    "read only": ReadOnly,
    "only with size": OnlyWithSize,
}
NAMES = ("read", "readline", "readlines", "readinto", "read1", "seek", "fileno", "close", "name", "raw")
WAYS = {
    "read": lambda source: source.read(),
    "read a part": lambda source: source.read(2),
    "read by keyword": lambda source: source.read(size=2),
    "read none": lambda source: source.read(None),
    "readline": lambda source: [source.readline(2), source.readline()],
    "readlines": lambda source: source.readlines(3),
    "iterate": list,
    "one line": lambda source: next(iter(source)),
    "next": next,
    "is its iterator": lambda source: iter(source) is source,
    "as text": lambda source: io.TextIOWrapper(source).read(),
    "with": lambda source: source.__enter__() is source and source.read(),
    "with statement": lambda source: with_statement(source),
    "seek and tell": lambda source: [source.seek(0, 2), source.tell(), source.seek(2), source.read(1)],
    "what it has": lambda source: [hasattr(source, name) for name in NAMES],
    "class": lambda source: [isinstance(source, io.IOBase), source.__class__, hasattr(type(source), "__next__")],
    "bool and len": lambda source: [bool(source), len(source)],
    "close": lambda source: [source.close(), source.closed],
    "attribute": lambda source: source.no_such_thing,
}


def with_statement(source):
    with source as entered:
        return [entered is source, entered.read()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_can_do_what_the_servers_can(kind, way):
    """With `body`, what the application reads from has the methods of the server's own wsgi.input, and no others."""

    def app(environ, start_response):
        try:
            found = WAYS[way](environ["wsgi.input"])
        except Exception as error:
            found = type(error)
        given = environ["server.input"]
        left = "closed" if getattr(given, "closed", False) else given.read(100)
        return [(found, left)]

    results = []
    for wrapped in (app, RavenMiddleware(app, CountingClient(), body=100)):
        source = INPUTS[kind]()
        results += wrapped({"wsgi.input": source, "server.input": source}, None)
    assert results[0] == results[1]


class Environ(dict):
    """A dict class of a server's own."""


@pytest.mark.parametrize("environ", [{}, Environ(), {"wsgi.input": None}, {"REQUEST_METHOD": 7, "PATH_INFO": b"x"}])
def test_odd_environs(environ):
    """An environ that is sparse, of another class, or nonsense is handed through as the object that it is."""
    seen = []

    def app(given, start_response):
        seen.append(given)
        raise KeyError("x")

    client = CountingClient()
    with pytest.raises(KeyError):
        RavenMiddleware(app, client, body=100)(environ, None)
    assert [True] == [given is environ for given in seen]
    assert 1 == client.reports


LINT_CLEAN = [
    "a_list", "a_tuple", "with_length", "generator", "iterator_with_close", "iterable_with_len", "empty_list",
    "writes", "list_with_close", "a_chain",
]  # fmt: skip


@pytest.mark.parametrize("name", LINT_CLEAN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_wsgiref_and_webtest_have_nothing_to_say(name, method):
    """wsgiref.validate and webtest.lint, inside and outside of the middleware, find no fault."""
    for validator in (wsgiref.validate.validator, lint.middleware):
        app = validator(RavenMiddleware(validator(correct(APPS[name])), CountingClient(), body=100, catchall=True))
        environ = {
            "REQUEST_METHOD": method,
            "wsgi.input": io.BytesIO(b"abc\n"),
            "QUERY_STRING": "",
            "CONTENT_LENGTH": "4",
        }
        wsgiref.util.setup_testing_defaults(environ)
        written = []

        def start_response(status, headers, exc_info=None):
            return written.append

        body = app(environ, start_response)
        try:
            written += body
        finally:
            if hasattr(body, "close"):
                body.close()
        assert written or name == "empty_list"


def correct(app):
    """The fixtures' header values are Latin-1, which lint wants as ASCII."""

    def corrected(environ, start_response):
        def started(status, headers, exc_info=None):
            return start_response(status, [("Content-Type", "text/plain")])

        return app(environ, started)

    return corrected


def test_the_same_start_response_timing():
    """A generator that starts in its first step does so in its first step."""
    order = []

    def app(environ, start_response):
        order.append("first step")
        start_response("200 OK", [])
        yield b"x"

    body = RavenMiddleware(app, CountingClient())({}, lambda *args: order.append("started"))
    order.append("returned")
    assert [b"x"] == list(body)
    assert ["returned", "first step", "started"] == order


def test_exc_info_reaches_the_server_as_it_is():
    """start_response gets the very exc_info tuple, by position, and its result goes back to the application."""
    given = []

    def app(environ, start_response):
        try:
            raise ValueError("mine")
        except ValueError:
            exc_info = sys.exc_info()
        given.append(exc_info)
        assert "the write" == start_response("500 Sorry", [], exc_info=exc_info)
        return []

    client = CountingClient()
    taken = []

    def start_response(*args):
        taken.append(args)
        return "the write"

    RavenMiddleware(app, client)({}, start_response)
    assert taken == [("500 Sorry", [], given[0])]
    assert taken[0][2] is given[0]
    assert 1 == client.reports


def test_generator_that_was_not_begun_runs_nothing():
    """A server that drops or closes a generator before its first step runs no code of the application."""
    ran = []

    def app(environ, start_response):
        ran.append("begun")
        try:
            yield b"x"
        finally:
            ran.append("ended")

    body = RavenMiddleware(app, CountingClient())({}, None)
    body.close()
    assert [] == list(body)
    del body
    assert [] == ran


def test_a_body_goes_on_where_its_first_iterator_stopped():
    """A layer that looks at the first chunk and drops its iterator: the generator that the body holds is not closed."""

    class Body:
        def __init__(self):
            self.chunks = (b"%d" % number for number in range(4))

        def __iter__(self):
            return self.chunks

    seen = []
    for wrapped in (lambda app: app, lambda app: RavenMiddleware(app, CountingClient())):
        body = wrapped(lambda environ, start_response: Body())({}, None)
        first = next(iter(body))
        seen.append([first, *body])
    assert [[b"0", b"1", b"2", b"3"]] * 2 == seen


def test_dropped_generator_is_closed():
    """A server that forgets close(): the generator's `finally` runs when the body is dropped, as without us."""
    ran = []

    def app(environ, start_response):
        try:
            yield b"x"
        finally:
            ran.append(current_environ())

    environ = {"which": "mine"}
    body = RavenMiddleware(app, CountingClient())(environ, None)
    next(body)
    del body
    assert [environ] == ran
    assert current_environ() is None


def test_attributes_of_a_body_are_reachable():
    """What an outer middleware of the application's own knows of its body is there."""

    class Body:
        status = "of the body"

        def __iter__(self):
            return iter([b"x"])

    body = RavenMiddleware(lambda environ, start_response: Body(), CountingClient())({}, None)
    assert "of the body" == body.status
    with pytest.raises(AttributeError):
        body.missing


def test_what_wraps_is_reachable():
    """The application, the client and the options of a middleware can be looked at."""
    client = CountingClient()
    wrapped = RavenMiddleware(APPS["a_list"], client, body=7)
    assert isinstance(wrapped, RavenMiddleware)
    assert (APPS["a_list"], client, 7) == (wrapped.app, wrapped.client, wrapped.options.body)


def test_a_subclass_can_be_called_its_own_way():
    """What a subclass does in its __call__ is done."""

    class Mine(RavenMiddleware):
        def __call__(self, environ, start_response):
            return ["mine", *super().__call__(environ, start_response)]

    class AsItIs(RavenMiddleware):
        pass

    wrapped = Mine(APPS["a_list"], CountingClient())
    assert isinstance(wrapped, Mine)
    assert ["mine", b"one", b"two"] == wrapped({}, lambda *args: None)
    assert isinstance(AsItIs(APPS["a_list"], CountingClient()), AsItIs)
    assert not isinstance(RavenMiddleware(APPS["a_list"], CountingClient()), Mine)
