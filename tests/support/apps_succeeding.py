"""Fixture applications that end well, and how one is registered."""

import io
import itertools
import tempfile
from collections.abc import Sequence

HEADERS = [("Content-Type", "text/plain"), ("X-Fixture", "caf\xe9")]
APPS = {}


def fixture(app):
    APPS[app.__name__] = app
    return app


def log(environ, what):
    environ.get("fixture.log", []).append(what)


def error_of(environ):
    """The very object that the application raises: a test puts one there to recognise it."""
    return environ.get("fixture.error") or ValueError("the application failed")


@fixture
def a_list(environ, start_response):
    start_response("200 OK", HEADERS)
    return [b"one", b"two"]


@fixture
def list_of_one(environ, start_response):
    start_response("200 OK", HEADERS)
    return [b"only"]


@fixture
def a_tuple(environ, start_response):
    start_response("404 Not Found", HEADERS)
    return (b"one", b"", b"two")


@fixture
def empty_list(environ, start_response):
    start_response("200 OK", HEADERS)
    return []


@fixture
def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


@fixture
def with_length(environ, start_response):
    start_response("200 OK", [*HEADERS, ("Content-Length", "6")])
    return [b"one", b"two"]


@fixture
def many_headers(environ, start_response):
    start_response("200 All Right", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-A", ""), ("x-a", " spaced ")])
    return [b"x"]


class PlainList(list):
    pass


@fixture
def list_subclass(environ, start_response):
    start_response("200 OK", HEADERS)
    return PlainList([b"one", b"two"])


class ClosingList(list):
    def __init__(self, chunks, environ):
        super().__init__(chunks)
        self.environ = environ

    def __iter__(self):
        log(self.environ, "app iter")
        return super().__iter__()

    def close(self):
        log(self.environ, "app close")


@fixture
def list_with_close(environ, start_response):
    start_response("200 OK", HEADERS)
    return ClosingList([b"one", b"two"], environ)


@fixture
def generator(environ, start_response):
    start_response("200 OK", HEADERS)
    try:
        for number in range(3):
            log(environ, f"app yields {number}")
            yield str(number).encode()
    finally:
        log(environ, "app finally")


@fixture
def generator_starts_at_close(environ, start_response):
    try:
        yield b""
    finally:
        start_response("200 OK", HEADERS)


@fixture
def returned_generator(environ, start_response):
    start_response("200 OK", HEADERS)
    return (chunk for chunk in (b"one", b"two"))


@fixture
def generator_empty_first(environ, start_response):
    yield b""
    start_response("200 OK", HEADERS)
    yield b"after"


@fixture
def generator_of_nothing(environ, start_response):
    start_response("200 OK", HEADERS)
    return
    yield


class Iterator:
    def __init__(self, environ, chunks=(b"one", b"two"), fail_at=None):
        self.environ = environ
        self.chunks = list(chunks)
        self.fail_at = fail_at

    def __iter__(self):
        log(self.environ, "app iter")
        return self

    def __next__(self):
        log(self.environ, "app next")
        if self.fail_at is not None:
            if not self.fail_at:
                raise error_of(self.environ)
            self.fail_at -= 1
        if not self.chunks:
            raise StopIteration
        return self.chunks.pop(0)


class ClosingIterator(Iterator):
    def close(self):
        log(self.environ, "app close")


class SizedIterator(ClosingIterator):
    def __len__(self):
        log(self.environ, "app len")
        return 2


class Iterable:
    def __init__(self, environ):
        self.environ = environ

    def __iter__(self):
        log(self.environ, "app iter")
        yield b"one"
        yield b"two"

    def close(self, *args):
        log(self.environ, "app close")


class SizedIterable(Iterable):
    """As a one-chunk response of a framework: wsgiref makes a Content-Length of its length."""

    def __iter__(self):
        return iter([b"only"])

    def __len__(self):
        log(self.environ, "app len")
        return 1


class GetItemOnly:
    def __getitem__(self, index):
        return (b"one", b"two")[index]


class ASequence(Sequence):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (b"one", b"two")[index]


def body_fixture(name, make):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return make(environ)

    app.__name__ = name
    return fixture(app)


body_fixture("iterator", Iterator)
body_fixture("iterator_with_close", ClosingIterator)
body_fixture("iterator_with_len", SizedIterator)
body_fixture("iterable_with_close", Iterable)
body_fixture("iterable_with_len", SizedIterable)
body_fixture("get_item_only", lambda environ: GetItemOnly())
body_fixture("a_sequence", lambda environ: ASequence())
body_fixture("list_iterator", lambda environ: iter([b"one", b"two"]))
body_fixture("a_chain", lambda environ: itertools.chain([b"one"], (b"two",)))
body_fixture("a_map", lambda environ: map(str.encode, ["one", "two"]))
body_fixture("a_set", lambda environ: {b"one"})
body_fixture("a_dict", lambda environ: {b"one": 1})
body_fixture("bytes_as_body", lambda environ: b"xyz")
body_fixture("none_as_body", lambda environ: None)


class SizedNotClosing(Iterator):
    def __len__(self):
        return 2


class NotCallableClose(Iterator):
    close = None


class StartsInItsSecondStep(Iterator):
    def __init__(self, environ, start_response):
        super().__init__(environ, [b"", b"late"])
        self.start_response = start_response

    def __next__(self):
        if len(self.chunks) == 1:
            self.start_response("200 OK", HEADERS)
        return super().__next__()


class DifferentEachTime:
    def __init__(self, environ):
        self.times = 0

    def __iter__(self):
        self.times += 1
        yield str(self.times).encode()


class AnswersEverything(Iterator):
    """As a mock, or a proxy of a framework: whatever is asked for is there."""

    def __getattr__(self, name):
        if name.startswith("__") or name in ("chunks", "environ"):
            raise AttributeError(name)
        return lambda *args: log(self.environ, f"app {name}")


body_fixture("sized_not_closing", SizedNotClosing)
body_fixture("not_callable_close", NotCallableClose)
body_fixture("different_each_time", DifferentEachTime)
body_fixture("answers_everything", AnswersEverything)
body_fixture("text_as_body", lambda environ: "text")
body_fixture("number_as_body", lambda environ: 5)
body_fixture("yields_nonsense", lambda environ: (chunk for chunk in (None, 1, "text")))


@fixture
def starts_late(environ, start_response):
    return StartsInItsSecondStep(environ, start_response)


@fixture
def starts_twice(environ, start_response):
    start_response("200 OK", HEADERS)
    start_response("201 Created", HEADERS)
    return [b"x"]


@fixture
def starts_by_keyword(environ, start_response):
    start_response("200 OK", HEADERS, exc_info=None)
    return [b"x"]


class ReturnsItself:
    def __call__(self, environ, start_response):
        start_response("200 OK", HEADERS)
        return self

    def __iter__(self):
        yield b"itself"


returns_itself = ReturnsItself()
returns_itself.__name__ = "returns_itself"
fixture(returns_itself)


class StartsAtIter:
    """An application that is a class, as PEP 3333 shows one."""

    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        self.start_response("200 OK", HEADERS)
        yield b"of a class"


APPS["a_class"] = StartsAtIter


@fixture
def writes(environ, start_response):
    write = start_response("200 OK", HEADERS)
    write(b"one")
    write(b"two")
    return []


@fixture
def writes_and_yields(environ, start_response):
    write = start_response("200 OK", HEADERS)
    write(b"one")
    return iter([b"two", b"three"])


def a_file():
    file = tempfile.TemporaryFile()
    file.write(b"from a file " * 5000)
    file.seek(0)
    return file


def wrap_file(environ, file):
    wrapper = environ.get("wsgi.file_wrapper")
    return chunks_of(file) if wrapper is None else wrapper(file, 8192)


def chunks_of(file):
    try:
        yield from iter(lambda: file.read(8192), b"")
    finally:
        file.close()


@fixture
def file_wrapper(environ, start_response):
    start_response("200 OK", [*HEADERS, ("Content-Length", "60000")])
    return wrap_file(environ, a_file())


@fixture
def file_wrapper_without_fileno(environ, start_response):
    start_response("200 OK", HEADERS)
    return wrap_file(environ, io.BytesIO(b"from memory " * 1000))


class ReadOnly:
    """The least that a file_wrapper takes: read(), and close() for the sake of the count."""

    def __init__(self, environ):
        self.environ = environ
        self.left = [b"one", b"two"]

    def read(self, size=-1):
        return self.left.pop(0) if self.left else b""

    def close(self):
        log(self.environ, "app close")


@fixture
def file_wrapper_of_read_only(environ, start_response):
    start_response("200 OK", HEADERS)
    return wrap_file(environ, ReadOnly(environ))


@fixture
def file_wrapper_taken_out(environ, start_response):
    start_response("200 OK", HEADERS)
    body = wrap_file(environ, a_file())
    environ.pop("wsgi.file_wrapper", None)
    return body


@fixture
def raw_file(environ, start_response):
    start_response("200 OK", HEADERS)
    return a_file()


@fixture
def changes_environ(environ, start_response):
    environ["PATH_INFO"] = "/elsewhere"
    environ["REQUEST_METHOD"] = "PUT"
    environ.pop("QUERY_STRING", None)
    start_response("200 OK", HEADERS)
    return [b"changed"]


@fixture
def clears_environ(environ, start_response):
    environ.clear()
    start_response("200 OK", HEADERS)
    return iter([b"cleared"])


@fixture
def starts_twice_before_sending(environ, start_response):
    start_response("200 OK", HEADERS)
    try:
        raise error_of(environ)
    except ValueError:
        import sys

        try:
            start_response("500 Sorry", [("Content-Type", "text/html")], sys.exc_info())
        except SystemError:
            # uWSGI's own start_response answers exc_info so on Python 3.
            return [b"uwsgi"]
    return [b"sorry"]


@fixture
def starts_again_after_sending(environ, start_response):
    import sys

    start_response("200 OK", HEADERS)
    yield b"sent"
    try:
        raise error_of(environ)
    except ValueError:
        start_response("500 Sorry", [], sys.exc_info())
        yield b"never"


@fixture
def reads_a_part(environ, start_response):
    # Without a length some servers read on until the client closes.
    source = environ["wsgi.input"] if environ.get("CONTENT_LENGTH") else io.BytesIO(b"")
    start = source.read(3)
    start_response("200 OK", HEADERS)
    return [start, source.readline()]


@fixture
def webob_app(environ, start_response):
    from webob import Request, Response

    request = Request(environ)
    return Response(f"{request.method} {request.GET}", content_type="text/plain")(environ, start_response)
