"""Issue 14, item 2: what the Python half decided of an exception, uWSGI's exception handler respects."""

import pytest

from support.uwsgi import find_uwsgi, ledger, ledger_at_rest
from support.waiting import wait_for

pytestmark = pytest.mark.skipif(find_uwsgi() is None, reason="no uWSGI: ./run test installs one")

# Twelve errors, by their text and class all that the two halves have to agree about.
APP = """
import sys, uwsgi
sys.path.insert(0, {root!r})
from heka_raven import RavenMiddleware, build_client, capture_stack

DSN, SPOOL = SETTINGS


class Shy(Exception):
    def __str__(self):
        return "its own text"


class Outer:
    class Inner(ValueError):
        pass


def divide(number):
    return number / 0


def read():
    open("/no such file")


def decode():
    b"caf\\xe9".decode("utf-8")


def raises(error):
    def fail():
        raise error()
    return fail


ERRORS = [
    raises(lambda: ValueError("plain")), raises(lambda: KeyError("basket")), lambda: divide(5), read, decode,
    raises(lambda: Shy("x")), raises(lambda: Outer.Inner("nested")), raises(lambda: ValueError("a\\0b")),
    raises(lambda: ValueError("lone \\udc80")), raises(lambda: RuntimeError("x" * 9000)),
    raises(lambda: ValueError("two", "args")), raises(Exception),
]


def app(env, start):
    path = env["PATH_INFO"].rsplit("/", 1)[-1]
    if path.isdigit():
        ERRORS[int(path)]()
    start("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [b"ok"]


def leaves(env, start):
    app(env, start)


def gone(env, start):
    raise OSError("write error %s" % env["PATH_INFO"])


def says_so(env, start):
    try:
        return app(env, start)
    except Exception:
        CLIENT.raven("seen")
        raise


def never(event, hint):
    return None


def breaks(event, hint):
    raise SystemExit(3)


CLIENT = build_client(DSN, before_send=never)
WAYS = {
    "reported": RavenMiddleware(app, dsn=DSN, logger="python"),
    "before_send": RavenMiddleware(app, dsn=DSN, before_send=never),
    "ignore": RavenMiddleware(app, dsn=DSN, ignore="Exception"),
    "ignore_in_the_client": RavenMiddleware(app, build_client(DSN, ignore="Exception")),
    "sample_rate": RavenMiddleware(app, dsn=DSN, sample_rate=0),
    "max_per_fingerprint": RavenMiddleware(app, dsn=DSN, max_per_fingerprint="1/3600s", logger="python"),
    "disconnect": RavenMiddleware(gone, dsn=DSN),
    "lost": RavenMiddleware(app, dsn=DSN, stream_path=SPOOL, stream_max_bytes=1),
    "capture_stack": capture_stack(app, client=CLIENT),
    "client_raven": says_so,
    "in_every_layer": RavenMiddleware(capture_stack(says_so, client=CLIENT), CLIENT),
}


def application(env, start):
    way = env["PATH_INFO"].split("/")[1]
    return WAYS.get(way, app)(env, start)
"""
MODES = {
    "prefork": "processes = 2",
    "threads": "processes = 1\nthreads = 4\nenable-threads = true",
    "gevent": "processes = 1\ngevent = 10",
}
WAYS = (
    "reported before_send ignore ignore_in_the_client sample_rate max_per_fingerprint disconnect lost capture_stack "
    "client_raven in_every_layer"
).split()
ERRORS = 12


@pytest.mark.parametrize("mode", MODES)
def test_item_2_uwsgi_reports_nothing_that_python_decided_about(mode, serve, receiver, tmp_path):
    """Twelve errors, reported, dropped or lost in eleven ways: the handler brings none of them again, and counts each.

    The ledger shows it: beside the Python half's own count, one event of the handler for each error, which ended as a
    double (discarded.event_processor).
    """
    if mode == "gevent":
        pytest.importorskip("gevent")
    app = APP.replace("SETTINGS", repr((receiver.dsn, str(tmp_path / "full"))))
    server = serve(f"{MODES[mode]}\nexception-handler = sentry:logger=t.exception", app=app, home=True)
    before = 0
    for way in WAYS:
        for number in range(ERRORS):
            server.get(f"/{way}/{number}")
        own = {"ignore_in_the_client": ERRORS, "in_every_layer": 2 * ERRORS}.get(way, 0)
        before += ERRORS + own

        def doubles():
            return ledger(server.spool)["discarded.event_processor"]

        wait_for(
            lambda: doubles() >= before,
            lambda: f"{way}: {doubles()} doubles of {before}, {receiver.texts()}\n{server.text()[-3000:]}",
            20,
        )
    server.get("/none/0")
    wait_for(lambda: [e for e in receiver.events if e["logger"] == "t.exception"], "what nobody but uWSGI saw")
    wait_for(lambda: server.waiting() == 0, "an empty spool")
    counts = ledger_at_rest(server)
    assert counts["discarded.event_processor"] == before
    assert counts["discarded.before_send"] == 4 * ERRORS
    assert counts["discarded.sample_rate"] == counts["discarded.client_disconnect"] == ERRORS
    by_logger = [event["logger"] for event in receiver.events]
    held_back = counts["discarded.throttled"]
    assert 0 < held_back < ERRORS
    assert (1, 2 * ERRORS - held_back) == (by_logger.count("t.exception"), by_logger.count("python"))
    assert len(by_logger) == 1 + 2 * ERRORS - held_back
    assert ledger(tmp_path / "full")["discarded.cache_overflow"] == ERRORS


APP_OF_ONE = """
class Silent(Exception):
    def __str__(self):
        raise KeyError("not even that")


def application(env, start):
    if env["PATH_INFO"] == "/boom":
        raise Silent(1)
    start("200 OK", [])
    return [str(__import__("os").getpid()).encode()]
"""


def test_an_exception_whose_str_raises_kills_no_worker(serve, receiver):
    """uWSGI's Python plugin reads a text that is not there; with an exception handler of ours the worker lives on."""
    server = serve("processes = 1\nexception-handler = sentry:logger=t.exception", app=APP_OF_ONE)
    worker = server.get("/")[1]
    for _ in range(3):
        server.get("/boom")
    assert worker == server.get("/")[1]
    wait_for(lambda: len(receiver.events) == 3, lambda: f"the events\n{server.text()}")
    value = receiver.events[0]["exception"]["values"][0]
    assert ("Silent", "<its __str__ raised>") == (value["type"], value["value"])
