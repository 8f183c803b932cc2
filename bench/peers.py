#!/usr/bin/env python3
"""The standard workload: what does an error middleware cost a request, and what does one error cost it?

    python peers.py NAME        NAME: bare ours raven sentry bugsnag otel     (one per process)
    python peers.py --all       every one that is installed, in turn, and the ratios

Needs in the environment: the project, and sentry-sdk, raven, bugsnag, opentelemetry-instrumentation-wsgi; what is not
installed is left out.
Delivery is cut off at the point where the request thread hands the finished event over, so only what the request pays
for is timed: `ok_us`, microseconds a request that succeeds costs; `err_us`, one that raises 17 frames deep, each frame
with 8 locals. Times are of this machine and this run: compare ratios only.
"""

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from wsgiref.util import setup_testing_defaults

ENVIRON = {}
setup_testing_defaults(ENVIRON)
ENVIRON.update(
    PATH_INFO="/a/b/c",
    QUERY_STRING="x=1&y=2",
    HTTP_HOST="example.com",
    REMOTE_ADDR="127.0.0.1",
    HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux)",
    HTTP_ACCEPT="*/*",
    HTTP_ACCEPT_ENCODING="gzip",
    HTTP_COOKIE="session=abc; csrftoken=1",
    HTTP_REFERER="http://example.com/",
    HTTP_X_FORWARDED_FOR="1.2.3.4",
)


def app_ok(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def deep(n, payload, cfg):
    a = 1
    b = "x" * 200  # noqa: F841
    c = list(range(50))  # noqa: F841
    d = {f"k{i}": i for i in range(20)}  # noqa: F841
    e = object()  # noqa: F841
    if n == 0:
        raise ValueError(f"boom {a}")
    return deep(n - 1, payload, cfg)


def app_err(environ, start_response):
    user = {"id": 7, "email": "a@b.c"}  # noqa: F841
    q = environ.get("QUERY_STRING")  # noqa: F841
    return [deep(15, {"rows": [{"a": i, "b": "y" * 30} for i in range(20)]}, {"password": "secret"})]


def start_response(status, headers, exc_info=None):
    return lambda data: None


def drive(app):
    body = app(dict(ENVIRON), start_response)
    try:
        for _ in body:
            pass
    finally:
        close = getattr(body, "close", None)
        if close:
            close()


def bare(app):
    return app


def ours(app):
    from heka.holder import get_client
    from heka_raven.middleware import RavenMiddleware

    client = get_client(
        "bench",
        {
            "stream_class": "heka_raven.streams.SpoolStream",
            "stream_path": tempfile.mkdtemp(prefix="bench-spool-"),
            "stream_sender": "off",
            "plugins": {"raven": ("heka_raven.raven_plugin:config_plugin", {"dsn": "http://a@127.0.0.1:9/1"})},
        },
    )
    return RavenMiddleware(app, client)


def sentry(app):
    import sentry_sdk
    from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware
    from sentry_sdk.transport import Transport

    class Sink(Transport):
        def capture_envelope(self, envelope):
            envelope.serialize()

    sentry_sdk.init("http://a@127.0.0.1:9/1", transport=Sink, auto_session_tracking=False)
    return SentryWsgiMiddleware(app)


def raven(app):
    import raven
    from raven.middleware import Sentry

    class Client(raven.Client):
        def send(self, **data):
            self.encode(data)

        def is_enabled(self):
            return True

    return Sentry(
        app, Client("http://a:b@127.0.0.1:9/1", install_sys_hook=False, install_logging_hook=False, hook_libraries=[])
    )


def bugsnag(app):
    import bugsnag
    from bugsnag.wsgi.middleware import BugsnagMiddleware

    class Sink:
        def deliver(self, config, payload, options=None):
            pass

        def deliver_sessions(self, *args, **kwargs):
            pass

    bugsnag.configure(api_key="a" * 32, delivery=Sink(), asynchronous=False, auto_capture_sessions=False)
    return BugsnagMiddleware(app)


def otel(app):
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(app)


MAKE = {f.__name__: f for f in (bare, ours, bugsnag, otel, raven, sentry)}


def timed_us(function, n, rounds=7):
    times = []
    for _ in range(rounds):
        gc.collect()
        start = time.perf_counter()
        for _ in range(n):
            function()
        times.append((time.perf_counter() - start) / n * 1e6)
    return statistics.median(times)


def measure(name):
    ok, err = MAKE[name](app_ok), MAKE[name](app_err)

    def failing():
        try:
            drive(err)
        except ValueError:
            pass

    return {
        "name": name,
        "ok_us": round(timed_us(lambda: drive(ok), 5000), 2),
        "err_us": round(timed_us(failing, 40), 1),
    }


def main(argv):
    if argv != ["--all"]:
        print(json.dumps(measure(argv[0])))
        return
    base = None
    print(f"{'':10}{'ok us':>10}{'over bare':>12}{'error us':>12}")
    for name in MAKE:
        run = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True)
        if run.returncode:
            print(f"{name:10} not measured: {run.stderr.strip().splitlines()[-1:]}")
            continue
        row = json.loads(run.stdout.strip().splitlines()[-1])
        base = base or row
        print(f"{name:10}{row['ok_us']:10.2f}{row['ok_us'] - base['ok_us']:12.2f}{row['err_us']:12.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
