"""Fixture applications that fail, in each way that WSGI leaves open."""

from support.apps_succeeding import HEADERS, Iterable, Iterator, SizedIterator, body_fixture, error_of, fixture, log


@fixture
def fails_in_call(environ, start_response):
    raise error_of(environ)


@fixture
def fails_after_start(environ, start_response):
    start_response("200 OK", HEADERS)
    raise error_of(environ)


@fixture
def fails_after_write(environ, start_response):
    start_response("200 OK", HEADERS)(b"written")
    raise error_of(environ)


@fixture
def fails_after_write_and_says_so(environ, start_response):
    import sys

    start_response("200 OK", HEADERS)(b"written")
    try:
        raise error_of(environ)
    except ValueError:
        start_response("500 Sorry", [], sys.exc_info())
    return [b"never"]


@fixture
def fails_without_environ(environ, start_response):
    error = error_of(environ)
    environ.clear()
    start_response("200 OK", HEADERS)
    yield b"one"
    raise error


@fixture
def never_starts(environ, start_response):
    return [b"nobody said 200"]


@fixture
def generator_fails_first(environ, start_response):
    start_response("200 OK", HEADERS)
    raise error_of(environ)
    yield b"never"


@fixture
def generator_fails_later(environ, start_response):
    start_response("200 OK", HEADERS)
    yield b"one"
    raise error_of(environ)


@fixture
def generator_fails_at_close(environ, start_response):
    start_response("200 OK", HEADERS)
    try:
        yield b"one"
        yield b"two"
    finally:
        raise error_of(environ)


body_fixture("iterator_fails_first", lambda environ: Iterator(environ, fail_at=0))
body_fixture("iterator_fails_later", lambda environ: SizedIterator(environ, fail_at=1))


class FailsAtIter(Iterable):
    def __iter__(self):
        raise error_of(self.environ)


class FailsAtClose(Iterable):
    def close(self):
        log(self.environ, "app close")
        raise error_of(self.environ)


class FailsAtLen(Iterable):
    def __len__(self):
        raise TypeError("no length")


class FailsAtItem:
    def __init__(self, environ):
        self.environ = environ

    def __getitem__(self, index):
        if index:
            raise error_of(self.environ)
        return b"one"


class ClosesByAttribute:
    """As frameworks that hang a close() onto a response do."""

    def __init__(self, environ):
        self.close = lambda: log(environ, "app close")

    def __iter__(self):
        return iter([b"one"])


class FailsAtEveryAttribute(Iterator):
    def __getattr__(self, name):
        if name in ("chunks", "environ"):
            raise AttributeError(name)
        raise RuntimeError(name)


class ListFailsAtEveryAttribute(list):
    def __getattr__(self, name):
        raise RuntimeError(name)


class FailsAtBool(Iterator):
    def __bool__(self):
        raise RuntimeError("neither true nor false")


body_fixture("fails_at_every_attribute", FailsAtEveryAttribute)
body_fixture("list_fails_at_every_attribute", lambda environ: ListFailsAtEveryAttribute([b"one"]))
body_fixture("fails_at_bool", FailsAtBool)
body_fixture("closes_by_attribute", ClosesByAttribute)
body_fixture("fails_at_item", FailsAtItem)
body_fixture("fails_at_iter", FailsAtIter)
body_fixture("fails_at_close", FailsAtClose)
body_fixture("fails_at_len", FailsAtLen)


@fixture
def raises_system_exit(environ, start_response):
    raise SystemExit(environ.get("fixture.exit", 1))


@fixture
def raises_stop_iteration(environ, start_response):
    next(iter([]))


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even a text")

    __repr__ = __str__


@fixture
def raises_unprintable(environ, start_response):
    raise Unprintable


@fixture
def fails_with_cause(environ, start_response):
    try:
        {}["missing"]
    except KeyError as cause:
        raise error_of(environ) from cause


@fixture
def starts_wrongly(environ, start_response):
    start_response("200 OK")
