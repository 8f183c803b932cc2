"""Whoever reports inside a request knows that request, in threads, generators and asyncio too."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from heka_raven.middleware import RavenMiddleware
from heka_raven.scope import current_environ
from support.middleware import make_environ, run


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
        gate.wait(60)
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
        thread.join(60)
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
