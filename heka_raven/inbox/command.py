# command.py: `heka-raven inbox`: options, start, stop.

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heka_raven.inbox.keep import DEFAULT, Keep, KeepError, parse_keep

DEFAULT_LISTEN = "127.0.0.1:9000"


class UsageError(Exception):
    """The options contradict each other; the message says how."""


def default_database() -> str:
    """``inbox.db`` where the user's programs keep their state."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "heka-raven" / "inbox.db")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="heka-raven inbox",
        description="A local Sentry-compatible inbox: takes events from any Sentry client, shows them as web pages.",
    )
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help="address to serve on; port 0 takes a free one; beyond loopback --token is needed (default: %(default)s)",
    )
    parser.add_argument("--db", metavar="FILE", help=f"the database (default: {default_database()})")
    parser.add_argument(
        "--keep",
        default=DEFAULT,
        metavar="LIMITS",
        help="what to keep: an age, a number of events, a size, separated by commas (default: %(default)s)",
    )
    return parser


def _stop(signum: int, frame: Any) -> None:
    raise SystemExit(0)


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    # Imported here, so that `--help` and a wrong option need none of the extra's packages.
    from heka_raven.inbox.app import make_app
    from heka_raven.inbox.server import bind, is_loopback, make_server, parse_listen

    keep: Keep = parse_keep(options.keep)
    host, port = parse_listen(options.listen)
    if not is_loopback(host):
        raise UsageError(f"--listen {options.listen}: not a loopback address")
    listener = bind(host, port)  # first: a port in use must not leave a database behind
    try:
        app = make_app(options.db or default_database(), keep=keep)
    except BaseException:
        listener.close()
        raise
    server = make_server(app, listener)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _stop)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    print(f"inbox: http://{shown}:{port}/", flush=True)
    print(f"dsn:   http://inbox@{shown}:{port}/1", flush=True)
    try:
        server.run()
    finally:
        server.close()
        app.close()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="heka-raven inbox: %(message)s", stream=sys.stderr)
    try:
        import jinja2  # noqa: F401
        import waitress  # noqa: F401
    except ImportError as error:
        print(f"heka-raven inbox: {error}; install it with: pip install 'heka-raven[inbox]'", file=sys.stderr)
        return 1
    from heka_raven.inbox.schema import StoreError
    from heka_raven.inbox.server import ListenError

    try:
        return serve(options)
    except (StoreError, ListenError) as error:
        print(f"heka-raven inbox: {error}", file=sys.stderr)
        return 1
    except KeepError as error:
        print(f"heka-raven inbox: --keep: {error}", file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"heka-raven inbox: {error}", file=sys.stderr)
        return 2
