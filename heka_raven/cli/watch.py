"""`heka-raven watch`: the requests and the ends of a server that has no watch of its own, seen from outside."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from heka.convert import to_int, to_seconds
from heka.exceptions import ConfigError
from heka_raven.anyserver.watcher import Watcher
from heka_raven.cli.options import add_spool, become_owner
from heka_raven.cli.parser import EXIT_OK, Parser
from heka_raven.gunicorn.event import EventMaker
from heka_raven.jobs.setup import DSN_VARIABLES
from heka_raven.reporting.clients import build_client, reporter_of, rules_of
from heka_raven.spool.directory import make_spool, resolve_spool_path

MAX_PID = 1 << 22  # Linux' own limit
MAX_SLOW_S = 86400.0


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven watch",
        description="Watch a server and its children from outside, until it ends: a request that is slow, a crash, a "
        "kill or an end with a request in it is an event. Its application needs RavenMiddleware(..., watch=True), or "
        "heka_raven.init(watch=True) for jobs, and the same spool. For waitress, mod_wsgi, granian, Celery and others; "
        "uWSGI and gunicorn have a watch of their own.",
    )
    parser.add_argument("--pid", metavar="PID", required=True, help="of the server, or of the parent of its processes")
    parser.add_argument(
        "--slow", metavar="S", default="0", help="seconds from which on a request is slow (default 0: none is)"
    )
    parser.add_argument(
        "--dsn", metavar="DSN", help="default: $SENTRY_DSN or $HEKA_RAVEN_DSN, which others cannot read"
    )
    parser.add_argument(
        "--values",
        action="store_true",
        help="read local variables with py-spy where the process does not tell them itself (extra values)",
    )
    parser.add_argument("--release", metavar="TEXT", help="of the event")
    parser.add_argument("--environment", metavar="TEXT", help="of the event")
    add_spool(parser)
    arguments = parser.parse_args(argv)
    pid = to_int("--pid", arguments.pid, low=1, high=MAX_PID)
    slow_s = to_seconds("--slow", arguments.slow, low=0, high=MAX_SLOW_S)
    spool_path, _ = resolve_spool_path(arguments.spool)
    become_owner(spool_path)
    pidfd = _open(pid)
    client = _make_client(arguments, spool_path)
    try:
        make_spool(spool_path)
        reporter: Any = reporter_of(client)
        maker = EventMaker(client, "", "server")
        watcher = Watcher(pid, spool_path, slow_s, maker, rules_of(reporter.options), arguments.values)
        signal.signal(signal.SIGTERM, _end)
        watcher.look()
        if watcher.another_tells:
            _say(f"another watch tells of process {pid}; this one goes on when that one ends")
        elif not watcher.tells():
            _say(
                f"process {pid} tells nothing yet: it will with its next request, if it has "
                f"RavenMiddleware(..., watch=True) and the spool {spool_path}"
            )
        watcher.run(pidfd)
    finally:
        client.stream.close()
    return EXIT_OK


def _end(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_OK)


def _say(words: str) -> None:
    print(f"heka-raven watch: {words}", file=sys.stderr, flush=True)


def _open(pid: int) -> int:
    """A pidfd of the process.

    Raises:
        ConfigError: there is none, or it is not ours to watch.
    """
    try:
        pidfd = os.pidfd_open(pid)
        owner = os.stat(f"/proc/{pid}").st_uid
    except AttributeError:
        raise ConfigError("it needs pidfd_open, of Linux 5.3") from None
    except (ProcessLookupError, FileNotFoundError):
        raise ConfigError(f"--pid {pid}: there is no such process") from None
    except OSError as error:
        raise ConfigError(f"--pid {pid}: {error.strerror}") from None
    if owner not in (os.geteuid(), 0):  # of root's server the processes that tell may have changed their user
        raise ConfigError(
            f"--pid {pid}: belongs to uid {owner}, this command and the spool to uid {os.geteuid()}; "
            "run it as that user, with a spool of theirs"
        )
    return pidfd


def _make_client(arguments: argparse.Namespace, spool_path: str) -> Any:
    dsn = arguments.dsn or next((os.environ[name] for name in DSN_VARIABLES if os.environ.get(name)), None)
    if dsn is None:
        raise ConfigError("no DSN; give --dsn, or set $SENTRY_DSN")
    return build_client(dsn, stream_path=spool_path, release=arguments.release, environment=arguments.environment)
