"""`heka-raven test`: does an event arrive? One request, no spool, the server's answer in words."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import uuid

import orjson

from heka_raven import CLIENT_NAME, SDK_NAME, __version__
from heka_raven.cli.options import add_sender, read_sender
from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Parser
from heka_raven.formats.dsn import Dsn, DsnError, parse_dsn
from heka_raven.formats.envelope import encode_spool_envelope
from heka_raven.formats.raven_payload import encode_raven
from heka_raven.sender.http import HttpTransport
from heka_raven.sender.options import SenderOptions
from heka_raven.sender.policy import MAX_HOPS, Reply, decide, parse_pauses
from heka_raven.sender.request import Request, build_request
from heka_raven.sender.udp import UdpTransport

DSN_VARIABLES = ("SENTRY_DSN", "HEKA_RAVEN_DSN")


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven test",
        description="Send one event straight to the server, wait for its answer and say what happened. Exit code 0: it "
        "was accepted. With --app: make an error in an application, and say whether it arrives.",
    )
    parser.add_argument("dsn", nargs="?", help="default: $SENTRY_DSN or $HEKA_RAVEN_DSN")
    parser.add_argument(
        "--message", default="heka-raven test: this event says that delivery works", help="text of the event"
    )
    parser.add_argument("--protocol", choices=("7", "3"), default="7", help="3: the raven payload of old servers")
    parser.add_argument(
        "--api", choices=("envelope", "store"), default="envelope", help="store: for Sentry up to 9 (default: envelope)"
    )
    parser.add_argument("--no-verify", action="store_true", help="accept any TLS certificate")
    parser.add_argument(
        "--app",
        metavar="MODULE:NAME",
        help="a WSGI application, or its factory with (): a page of it is asked for, in the end with an error made on "
        "purpose in the application's own code; says whether it arrives, or where it gets lost",
    )
    parser.add_argument("--url", default="/", help="of the page, with --app: one that works (default: /)")
    add_sender(parser, "timeout_s", "connect_timeout_s", "proxy", "ca_file", "compress")
    arguments = parser.parse_args(argv)
    if arguments.app is not None:
        if arguments.dsn is not None:
            parser.error("--app: not together with a DSN: the application has its own")
        from heka_raven.cli.test_app import test_app

        return test_app(arguments.app, arguments.url)
    options = read_sender(arguments)
    text = arguments.dsn or next((os.environ[name] for name in DSN_VARIABLES if os.environ.get(name)), None)
    if text is None:
        print("heka-raven test: no DSN; give one, or set $SENTRY_DSN", file=sys.stderr)
        return EXIT_USAGE
    try:
        dsn = parse_dsn(text)
    except DsnError as error:
        print(f"heka-raven test: {error}", file=sys.stderr)
        return EXIT_USAGE
    event_id = uuid.uuid4().hex
    payload = (
        _legacy_event(event_id, arguments.message, dsn)
        if arguments.protocol == "3"
        else _event(event_id, arguments.message)
    )
    hk = {"no_verify": arguments.no_verify, "api": arguments.api}
    kind = "raven" if arguments.protocol == "3" else "event"
    request = build_request(
        encode_spool_envelope(event_id, dsn.with_secret(), kind, payload, hk), time.time(), options.compress
    )
    began = time.monotonic()
    reply, url = _send(request, options)
    taken_ms = (time.monotonic() - began) * 1000
    words, accepted = describe(reply, url)
    print(f"event {event_id} to {url}: {words} ({taken_ms:.0f} ms)", file=sys.stdout if accepted else sys.stderr)
    return EXIT_OK if accepted else EXIT_FAILED


def describe(reply: Reply, url: str) -> tuple[str, bool]:
    """What the answer means, and whether the server took the event."""
    verdict = decide(reply, url, hops=MAX_HOPS)
    said = reply.headers.get("x-sentry-error") or reply.error
    if reply.status is None:
        return f"no answer: {reply.error}. In the spool it would wait and be tried again", False
    if verdict.action == "delivered":
        return (
            "sent; UDP gives no answer, so look there" if reply.status == 0 else f"accepted, status {reply.status}",
            True,
        )
    if verdict.action == "hold":
        pauses = parse_pauses(
            429, reply.headers.get("x-sentry-rate-limits"), reply.headers.get("retry-after"), time.time()
        )
        return f"refused for now, status 429: the server asks for {max(pauses.values()):g} s of quiet", False
    if verdict.action == "retry":
        return (
            f"status {reply.status}: a proxy answered for a server that is down; in the spool it would be tried again",
            False,
        )
    hint = {
        401: "the key is not known there",
        403: "the key or the project is not known there, or is switched off",
        404: "no such project or path there; old servers want --api store, or --protocol 3",
        405: "that is no Sentry endpoint",
        413: "too large for that server",
    }.get(
        reply.status, "a redirect that is not followed" if 300 <= reply.status < 400 else "the server does not want it"
    )
    return f"refused, status {reply.status}: {hint}" + (f" ({said})" if said else ""), False


def _send(request: Request, options: SenderOptions) -> tuple[Reply, str]:
    """One try with redirects, and a clock that ends it."""
    if request.dsn.scheme == "udp":
        transport = UdpTransport()
        reply = transport.send(request.url, request.body)
        transport.close()
        return reply, request.url
    http = HttpTransport(
        connections=1, connect_timeout_s=options.connect_timeout_s, proxy=options.proxy, ca_file=options.ca_file
    )
    found: list[tuple[Reply, str]] = []

    def work() -> None:
        url, hops = request.url, 0
        while True:
            reply = http.send(url, request.headers, request.body, timeout_s=options.timeout_s, way=request.way)
            target = decide(reply, url, hops=hops).target
            if target is None:
                found.append((reply, url))
                return
            url, hops = target, hops + 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        http.enforce_deadlines()
    http.close()
    return found[0] if found else (Reply(None, {}, "the request failed inside this program"), request.url)


def _event(event_id: str, message: str) -> bytes:
    return orjson.dumps(
        {
            "event_id": event_id,
            "timestamp": time.time(),
            "platform": "python",
            "level": "info",
            "logger": "heka-raven.test",
            "logentry": {"formatted": message},
            "server_name": platform.node(),
            "sdk": {"name": SDK_NAME, "version": __version__},
        }
    )


def _legacy_event(event_id: str, message: str, dsn: Dsn) -> bytes:
    event = {
        "event_id": event_id,
        "message": message,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "level": 20,
        "logger": "heka-raven.test",
        "platform": "python",
        "server_name": platform.node(),
        "project": dsn.project,
        "sentry.interfaces.Message": {"message": message, "params": []},
        "extra": {"client": CLIENT_NAME},
    }
    return encode_raven(orjson.dumps(event))
