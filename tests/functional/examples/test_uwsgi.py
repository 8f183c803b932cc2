"""The ini files of examples/uwsgi, copied out of the tree: each does what its comment says."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.examples import command, copy_out, environment, running
from support.paths import EXAMPLES
from support.ports import free_port
from support.receiver import Receiver, text_of
from support.uwsgi import find_uwsgi, shared_plugin
from support.waiting import wait_for

UWSGI = find_uwsgi()
full = pytest.mark.full
pytestmark = pytest.mark.skipif(UWSGI is None, reason="no uWSGI: ./run test installs one")


@pytest.fixture(scope="module")
def plugin():
    return shared_plugin(UWSGI)


class Example:
    """The folder, copied; its servers on free ports; its events with a receiver in place of the inbox."""

    def __init__(self, folder, plugin):
        self.receiver = Receiver()
        self.port, self.other_port, self.stats_port = free_port(), free_port(), free_port()
        dsn = f"127.0.0.1:{self.receiver.port}/1"
        ports = {"8080": self.port, "8081": self.other_port, "8082": self.stats_port}
        changes = {**{old: str(new) for old, new in ports.items()}, "127.0.0.1:9000/1": dsn}
        self.folder = copy_out("uwsgi", folder, changes)
        self.spool = folder / "spool"
        shutil.copy(plugin, self.folder)

    @contextlib.contextmanager
    def served(self, ini, *more, ports=None):
        env = environment(self.spool)
        with running([UWSGI, "--ini", ini, *more], self.folder, env) as process:
            for port in ports or [self.port]:
                wait_for(lambda port=port: self.get("/", port) == b"all is well\n", process.log, process=process)
            self.process = process
            yield

    def get(self, path, port=None, method="GET"):
        """The body; None where the server closed without an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def events(self, count):
        wait_for(
            lambda: len(self.receiver.events) >= count,
            lambda: f"{count} events: {self.receiver.texts()}\n{self.process.log()}",
        )
        assert count == len(self.receiver.events)
        return self.receiver.events


@pytest.fixture
def example(tmp_path, plugin):
    made = Example(tmp_path, plugin)
    yield made
    made.receiver.close()


def error_of(event):
    return event["exception"]["values"][-1]


@pytest.mark.parametrize("mode", ["prefork", pytest.param("threads", marks=full), pytest.param("gevent", marks=full)])
def test_every_mode_reports_each_request_once(example, mode):
    """Processes, threads and greenlets: four failing requests at once are four events, each with its own request."""
    if mode == "gevent":
        pytest.importorskip("gevent")
    with example.served(f"{mode}.ini"):
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(lambda n: example.get(f"/fail?n={n}"), range(4)))
        assert not any(answers)
        events = example.events(4)
        assert ["n=0", "n=1", "n=2", "n=3"] == sorted(str(e["request"]["query_string"]) for e in events)
        assert {"GET /fail"} == {event["transaction"] for event in events}
        assert {"uwsgi"} == {event["tags"]["example"] for event in events}
        assert all(event["contexts"]["uwsgi"]["worker"] in (1, 2) for event in events)  # the inbox's lanes
        assert error_of(events[0])["stacktrace"]["frames"][-1]["vars"]["basket"] == {"items": 0, "total": 12}


def test_alarms(example):
    """A log line and a segfault become events; the server goes on."""
    with example.served("alarm.ini"):
        assert b"all is well\n" == example.get("/log")
        [seen] = example.events(1)
        assert ("uwsgi.log", "error") == (seen["logger"], seen["level"])
        assert "CRITICAL the payment service does not answer" == text_of(seen)
        assert example.get("/segfault") is None
        crash = example.events(2)[1]
        assert ("uwsgi.crash", "fatal") == (crash["logger"], crash["level"])
        assert "backtrace" in text_of(crash)
        assert b"all is well\n" == example.get("/")


def test_a_full_queue(example):
    """More clients than the queue holds are all answered, and the full queue is reported."""
    with example.served("queue.ini"):
        with ThreadPoolExecutor(9) as clients:
            assert [b"all is well\n"] * 9 == list(clients.map(lambda n: example.get("/sleep?1"), range(9)))
        wait_for(lambda: example.receiver.events, lambda: f"a report of the queue: {example.process.log()}")
        full_queue = example.receiver.events[0]
        assert ("uwsgi.queue", "warning", {"part": "listen-queue", "uwsgi.alarm": "full"}) == tuple(
            full_queue[key] for key in ("logger", "level", "tags")
        )
        assert "listen queue of socket" in text_of(full_queue)


def test_options_of_the_server(example):
    """Release and environment are in the event, which waits where it is told to; uWSGI's metrics count it."""
    with example.served("server.ini"):
        example.get("/fail")
        [event] = example.events(1)
        assert ("uwsgi.exception", "shop-1.2", "staging") == tuple(
            event[key] for key in ("logger", "release", "environment")
        )
        assert (example.folder / "spool" / "new").is_dir()

        def metrics():
            with socket.create_connection(("127.0.0.1", example.stats_port), timeout=60) as reader:
                found = json.loads(reader.makefile().read())["metrics"]
            return [found[f"sentry.{name}"]["value"] for name in ("captured", "delivered", "pending")]

        wait_for(lambda: metrics() == [1, 1, 0], lambda: str(metrics()))
        status = command("status", "--json", "--spool", str(example.folder / "spool"))
        done = subprocess.run(status, env=environment(example.spool), capture_output=True, text=True, timeout=60)
        assert 1 == json.loads(done.stdout)["ledger"]["delivered"]


def test_hooks(example):
    """The first request may come: an event. The server stops: an event, at the next start at the latest."""
    with example.served("hook.ini"):
        [started] = example.events(1)
        assert "the server takes requests, worker 1 first" == text_of(started)
    with example.served("prefork.ini"):
        wait_for(lambda: "the server stops" in example.receiver.texts(), lambda: example.receiver.texts())


def test_routes(example):
    """A request that matches is reported and goes on; no request can change the options of the route."""
    with example.served("route.ini"):
        assert b"all is well\n" == example.get("/old/page")
        [first] = example.events(1)
        assert "an old address: /old/page" == text_of(first)
        assert ("warning", {"from": "127.0.0.1"}) == (first["level"], first["tags"])
        hostile = "/old/x,dsn=http://evil@203.0.113.1/1"
        example.get(hostile)
        # What stands before the @ of an address is as private as its password (docs/security.rst).
        assert f"an old address: {hostile.replace('evil', '[Filtered]')}" == text_of(example.events(2)[1])
        example.get("/new")
        assert 2 == len(example.receiver.events)
        assert b"all is well\n" == example.get("/", method="PUT")
        alarmed = example.events(3)[2]
        assert ("uwsgi.put", "PUT of /") == (alarmed["logger"], text_of(alarmed))


@pytest.mark.parametrize(
    ("path", "kind"), [("/sleep?60", "harakiri"), pytest.param("/segfault", "segfault", marks=full)]
)
def test_watching(example, path, kind):
    """What kills a worker is reported with the request that was running and the stack of the worker."""
    with example.served("watch.ini"):
        for number in range(1, 5):  # a harakiri waits 90 ms for the stack, and a busy machine may take longer
            assert example.get(path) is None
            event = example.events(number)[-1]
            if "stacktrace" in str(event):
                break
        assert kind == event["tags"]["uwsgi.event"]
        assert f"GET {path.partition('?')[0]}" == event["transaction"]
        assert "bare" in {frame.get("function") for frame in stack_of(event)}
        assert b"all is well\n" == example.get("/")


def stack_of(event):
    threads = event.get("threads", event.get("exception"))["values"]
    return [frame for thread in threads for frame in thread["stacktrace"]["frames"]]


@pytest.mark.parametrize("callable_name", ["bare", pytest.param("application", marks=full)])
def test_the_exception_handler(example, callable_name):
    """Without the middleware uWSGI's handler reports; with it the middleware alone does."""
    with example.served("exception.ini", "--callable", callable_name):
        example.get("/fail")
        [event] = example.events(1)
        assert "a basket of 12 without items" == error_of(event)["value"]
        assert (callable_name == "bare") == (event.get("logger") == "uwsgi.exception")
        example.get("/")


def test_an_emperor(example):
    """Two vassals with one spool: both report, one sender delivers."""
    with example.served("emperor.ini", ports=[example.port, example.other_port]):
        example.get("/fail")
        example.get("/fail", example.other_port)
        assert {"shop", "blog"} == {event["tags"]["vassal"] for event in example.events(2)}


def test_every_ini_has_a_test():
    """An example that nobody runs does not work."""
    with open(__file__, encoding="utf-8") as file:
        tested = file.read()
    for ini in (EXAMPLES / "uwsgi").glob("*.ini"):
        assert ini.name in tested or f'"{ini.stem}"' in tested, ini.name
        assert "; Try:" in ini.read_text() or ini.stem == "emperor", ini.name
