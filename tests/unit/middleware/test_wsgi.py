"""Where an application can fail, what is reported of it, and what is left alone."""

import asyncio
import gc
import io
import logging
import sys
import threading
import traceback
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from heka.client import HekaClient
from heka.config import client_from_dict_config
from heka.exceptions import ConfigError
from heka_raven.middleware import RavenMiddleware
from heka_raven.raven_plugin import build_client
from heka_raven.scope import current_environ, describe_current
from support.apps import APPS
from support.middleware import RecordingClient, make_environ, run


@pytest.fixture
def client():
    return RecordingClient()


def fail(app, client, error=ValueError, environ=None, **options):
    environ = make_environ() if environ is None else environ
    with pytest.raises(error) as caught:
        run(RavenMiddleware(app, client, **options), environ)
    return caught.value


# These fail where a server that is not asked for it does not look, or with another request than it was.
ELSEWHERE = {
    "fails_at_len", "fails_at_bool", "fails_at_every_attribute", "fails_after_write_and_says_so",
    "fails_without_environ",
    "list_fails_at_every_attribute",
}  # fmt: skip


@pytest.mark.parametrize("where", [name for name in APPS if "fails" in name and name not in ELSEWHERE])
def test_reports_once_and_reraises(where, client):
    """Wherever the application fails, the error is reported once, unchanged, with its request."""
    mine = ValueError("mine")
    environ = make_environ(**{"fixture.error": mine})
    error = fail(APPS[where], client, environ=environ)
    assert [mine] == client.errors
    assert error is mine
    assert "GET /there" == client.facts.transaction
    assert {"type": "wsgi", "handled": False} == client.reports[0].fields["mechanism"]
    assert environ["heka_raven.event_id"] == client.reports[0].event_id
    assert current_environ() is None


def test_an_error_that_the_application_dealt_with(client):
    """start_response(…, exc_info) of an application that caught its own error is reported, as handled."""
    environ = make_environ()
    assert [b"sorry"] == run(RavenMiddleware(APPS["starts_twice_before_sending"], client), environ)
    assert ["the application failed"] == [str(error) for error in client.errors]
    assert {"type": "wsgi", "handled": True} == client.reports[0].fields["mechanism"]
    assert 500 == client.facts.fields["status"]


def test_the_server_refuses_what_the_application_says_of_its_error(client):
    """start_response(…, exc_info) after the first byte: not dealt with, and the status is the one that was sent."""
    environ = make_environ()

    def start_response(status, headers, exc_info=None):
        if exc_info:
            raise exc_info[1]
        return lambda data: None

    with pytest.raises(ValueError):
        RavenMiddleware(APPS["fails_after_write_and_says_so"], client)(environ, start_response)
    first = client.reports[0]  # the plugin sends only the first of an exception
    assert {"type": "wsgi", "handled": False} == first.fields["mechanism"]
    assert 200 == first.facts.fields["status"]


def test_environ_that_was_emptied(client):
    """An application that clears its environ costs the event its request and nothing else."""
    environ = make_environ()
    with pytest.raises(ValueError):
        run(RavenMiddleware(APPS["fails_without_environ"], client), environ)
    assert 1 == len(client.reports)
    assert {"heka_raven.event_id"} == set(environ)


@pytest.mark.parametrize(
    ("name", "status"),
    [("fails_in_call", 500), ("fails_after_start", 500), ("generator_fails_first", 500), ("fails_at_iter", 500),
     ("generator_fails_later", 200), ("iterator_fails_later", 200), ("fails_at_close", 200)],
)  # fmt: skip
def test_status_that_the_visitor_got(name, status, client):
    """500 where nothing was sent; the one that was sent where a part was."""
    fail(APPS[name], client)
    assert status == client.facts.fields["status"]


@pytest.mark.parametrize("exc_info", [(None, None, None), "nonsense", (1, 2), True])
def test_exc_info_that_is_none(exc_info, client):
    """What is no exc_info is handed on to the server and not reported."""

    def app(environ, start_response):
        start_response("200 OK", [], exc_info)
        return []

    taken = []
    run(RavenMiddleware(app, client), make_environ(), lambda *args: taken.append(args))
    assert [("200 OK", [], exc_info)] == taken
    assert [] == client.reports


def test_traceback_is_the_applications(client):
    """The reported traceback begins in the application; what goes on to the server has one or two frames of ours."""
    for name in ("fails_in_call", "generator_fails_later", "iterator_fails_later", "fails_at_close", "fails_at_iter"):
        error = fail(APPS[name], client)
        reported = traceback.extract_tb(client.reports[-1].exc_info[2])
        assert "tests/support/apps_" in reported[0].filename
        files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        assert sum("/middleware/" in file and "/tests/" not in file for file in files) in (1, 2), name
        assert error.__context__ is None


@pytest.mark.parametrize("body", [0, 100])
def test_no_frame_of_ours_is_in_an_event(body, tmp_path):
    """The stack of an event begins in the application, also with the body's tee between it and the middleware."""
    events = []
    client = build_client(
        "http://key@127.0.0.1:9/1",
        stream_path=str(tmp_path),
        stream_sender="off",
        before_send=lambda *seen: events.append(seen[0]),
    )
    with pytest.raises(ValueError):
        RavenMiddleware(APPS["fails_in_call"], client, body=body)(make_environ(**{"wsgi.input": io.BytesIO()}), print)
    frames = events[0]["exception"]["values"][0]["stacktrace"]["frames"]
    assert ["support.apps_failing"] * len(frames) == [frame["module"] for frame in frames]


def test_no_reference_cycle(client):
    """A failed request is freed at once, without the garbage collector."""

    class Marker:
        pass

    gc.collect()
    gc.disable()
    try:
        for name in ("fails_in_call", "generator_fails_later", "iterator_fails_later", "fails_at_close"):
            environ = make_environ(marker=Marker())
            alive = weakref.ref(environ["marker"])
            try:
                run(RavenMiddleware(APPS[name], RecordingClientThatForgets()), environ)
            except ValueError:
                pass
            del environ
            assert alive() is None, name
    finally:
        gc.enable()


class RecordingClientThatForgets:
    stream = None

    def raven(self, msg="", exc_info=True, **fields):
        describe_current()
        return "0" * 32


def test_a_client_that_fails_is_not_seen(client, caplog):
    """Whatever the client raises, the application's own exception is what the server gets; one warning is logged."""

    class Broken:
        stream = None

        def raven(self, *args, **fields):
            raise KeyboardInterrupt

    caplog.set_level(logging.WARNING)
    for _ in range(2):
        assert "the application failed" == str(fail(APPS["fails_in_call"], Broken()))
    assert ["could not report ValueError"] == [record.getMessage() for record in caplog.records]


# -- what is an error --------------------------------------------------------------------------------------------------


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


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"catchall": "perhaps"}, "catchall: 'perhaps' is not allowed"),
        ({"body": "-1"}, "body: '-1' is not allowed: a number of bytes from 0 to 1048576"),
        ({"body": "lots"}, "body: 'lots'"),
        ({"trusted_proxies": 99}, "trusted_proxies: 99"),
        ({"error_page": "no.such.module:page"}, "error_page: 'no.such.module:page' cannot be imported"),
        ({"error_page": "wsgiref.simple_server:demo_app"}, "error_page: is never shown without catchall"),
        ({"ignore": 5}, "ignore: 5"),
        ({"colour": "red"}, "unknown option colour; known are body, trusted_proxies"),
        ({"release": "1"}, "release: to be set where the client is made"),
        ({"dsn": "https://key@host/1"}, "both a client and a dsn"),
    ],
)
def test_a_wrong_option_is_named(options, says, client):
    """A ConfigError that says which option, which value, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        RavenMiddleware(APPS["a_list"], client, **options)
    assert says in str(caught.value)


def test_without_client_and_dsn():
    """Neither a client nor a dsn, or a client without the plugin: said when the application is made."""
    with pytest.raises(ConfigError, match="neither a client nor a dsn"):
        RavenMiddleware(APPS["a_list"])
    plain = client_from_dict_config({"logger": "x", "stream_class": "heka.streams.DebugCaptureStream"})
    assert isinstance(plain, HekaClient)
    with pytest.raises(ConfigError, match="has no raven plugin"):
        RavenMiddleware(APPS["a_list"], plain)
    with pytest.raises(ConfigError, match="a text is no client") as caught:
        RavenMiddleware(APPS["a_list"], "https://key@host/1")
    assert "key" not in str(caught.value)


# -- the context of a request ------------------------------------------------------------------------------------------


def who():
    environ = current_environ()
    return None if environ is None else environ["who"]


def test_context_in_every_phase(client):
    """The request is the current one in the call, in each step and in close(), and nowhere between."""
    seen = []

    class Body:
        def __init__(self):
            self.left = 2

        def __iter__(self):
            seen.append(("iter", who()))
            return self

        def __next__(self):
            seen.append(("next", who()))
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return b"x"

        def close(self):
            seen.append(("close", who()))

    def app(environ, start_response):
        seen.append(("call", who()))
        return Body()

    body = RavenMiddleware(app, client)(make_environ(who="me"), None)
    between = [who()]
    for _ in body:
        between.append(who())
    body.close()
    between.append(who())
    assert {None} == set(between)
    assert {"me"} == {name for _, name in seen}
    assert ["call", "iter", "next", "next", "next", "close"] == [phase for phase, _ in seen]


def streaming(environ, start_response):
    for _ in range(3):
        yield who()


class Streaming:
    def __init__(self, environ, start_response):
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return who()


@pytest.mark.parametrize("app", [streaming, Streaming])
def test_bodies_in_turns(app, client):
    """Two bodies that one thread iterates in turns each see their own request."""
    wrapped = RavenMiddleware(app, client)
    bodies = {name: iter(wrapped(make_environ(who=name), None)) for name in ("a", "b")}
    seen = [(name, next(bodies[name])) for name in "abbaab"]
    assert all(name == found for name, found in seen)
    assert who() is None


@pytest.mark.parametrize("app", [streaming, Streaming])
def test_body_in_another_thread(app, client):
    """A body that another thread iterates sees its request there, also while both threads serve others."""
    wrapped = RavenMiddleware(app, client)
    with ThreadPoolExecutor(4) as pool:
        bodies = {name: iter(wrapped(make_environ(who=name), None)) for name in map(str, range(20))}
        found = {name: [pool.submit(next, body).result() for _ in range(3)] for name, body in bodies.items()}
        after = [pool.submit(who).result() for _ in range(8)]
    assert {name: [name] * 3 for name in bodies} == found
    assert {None} == set(after)


def test_threads_do_not_see_each_other(client):
    """Requests that run at the same time in many threads: each event has its own."""
    gate = threading.Barrier(8)

    def app(environ, start_response):
        gate.wait(10)
        raise ValueError(who())

    wrapped = RavenMiddleware(app, client)

    def request(name):
        try:
            run(wrapped, make_environ(who=name, PATH_INFO=f"/{name}"))
        except ValueError as error:
            assert name == str(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, [f"t{number}" for number in range(8)]))
    assert 8 == len(client.reports)
    for report in client.reports:
        assert f"GET /{report.exc_info[1]}" == report.facts.transaction


def test_asyncio_in_a_thread(client):
    """Tasks and to_thread() of a view see its request; what outlives the request sees none, not another's."""
    late = []
    loop = asyncio.new_event_loop()

    async def background(gate):
        await gate.wait()
        late.append(who())

    async def view(gates):
        gate = asyncio.Event()
        gates.append((gate, asyncio.ensure_future(background(gate))))
        inside = [who(), await asyncio.to_thread(who), await asyncio.create_task(task())]
        for gate, _ in gates[:-1]:
            gate.set()
        await asyncio.sleep(0)
        return inside

    async def task():
        await asyncio.sleep(0)
        return who()

    gates = []

    def app(environ, start_response):
        return [loop.run_until_complete(view(gates))]

    wrapped = RavenMiddleware(app, client)
    try:
        assert [["a"] * 3] == run(wrapped, make_environ(who="a"))
        assert [["b"] * 3] == run(wrapped, make_environ(who="b"))
        gates[-1][0].set()
        loop.run_until_complete(asyncio.gather(*[future for _, future in gates]))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert [None, None] == late


def test_asyncio_in_a_thread_of_its_own(client):
    """Coroutines that views hand to a loop in another thread see the request that sent them, in whatever order."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def work():
        seen = [who()]
        for _ in range(3):
            await asyncio.sleep(0.001)
            seen.append(who())
        return seen

    def app(environ, start_response):
        return asyncio.run_coroutine_threadsafe(work(), loop).result(10)

    wrapped = RavenMiddleware(app, client)
    try:
        with ThreadPoolExecutor(4) as pool:
            names = [f"r{number}" for number in range(20)]
            found = list(pool.map(lambda name: run(wrapped, make_environ(who=name)), names))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
    assert [[name] * 4 for name in names] == found


def test_nested_requests(client):
    """A request made inside another (a mounted application, a test client in a view) does not end the outer one."""

    def inner(environ, start_response):
        return [who()]

    wrapped_inner = RavenMiddleware(inner, client)

    def outer(environ, start_response):
        before = who()
        [inside] = run(wrapped_inner, make_environ(who="inner"))
        streamed = list(RavenMiddleware(streaming, client)(make_environ(who="streamed"), None))
        return [before, inside, *streamed, who()]

    found = run(RavenMiddleware(outer, client), make_environ(who="outer"))
    assert ["outer", "inner", "streamed", "streamed", "streamed", "outer"] == found
    assert who() is None


def test_the_application_reports_by_itself(client):
    """client.raven() in a view has the request."""

    def app(environ, start_response):
        client.raven("by hand")
        return []

    run(RavenMiddleware(app, client), make_environ())
    assert "GET /there" == client.facts.transaction
    assert "status" not in client.facts.fields


def test_a_folder_called_uwsgi_is_not_uwsgi(monkeypatch, client):
    """A folder uwsgi/ on the path imports as an empty package: an OSError of the application stays an error."""
    monkeypatch.setitem(sys.modules, "uwsgi", types.ModuleType("uwsgi"))
    error = OSError("write error")

    def app(environ, start_response):
        raise error

    with pytest.raises(OSError):
        RavenMiddleware(app, client)({}, lambda *args: None)
    assert [error] == client.errors
