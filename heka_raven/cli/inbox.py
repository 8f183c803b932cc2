"""`heka-raven inbox`: options, start, stop."""

import argparse
import logging
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heka_raven.cli.parser import Parser
from heka_raven.inbox.intake.auth import MIN_TOKEN, derive
from heka_raven.inbox.store.keep import DEFAULT, KeepError, parse_keep

if TYPE_CHECKING:
    from heka_raven.inbox.web.app import Inbox

DEFAULT_LISTEN = "127.0.0.1:9000"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only compared with
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
TRIM_EVERY_S = 30.0  # the age limit of --keep holds when no event comes, too


class UsageError(Exception):
    """An option is wrong or contradicts another; the message says how."""


def default_database() -> str:
    """``inbox.db`` where the user's programs keep their state."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return str(Path(state) / "heka-raven" / "inbox.db")


def make_parser() -> argparse.ArgumentParser:
    """The options; the documentation's table is made from it, too."""
    parser = Parser(
        prog="heka-raven inbox",
        description="A local Sentry-compatible inbox: takes events from any Sentry client, shows them as web pages.",
        epilog="Environment: HEKA_RAVEN_INBOX_TOKEN is --token, which other users could read in the list of processes.",
    )
    add = parser.add_argument
    add(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help="address to serve on; port 0 takes a free one; beyond loopback --token is needed (default: %(default)s)",
    )
    add("--db", metavar="FILE", help="the database (default: heka-raven/inbox.db in $XDG_STATE_HOME or ~/.local/state)")
    add(
        "--keep",
        default=DEFAULT,
        metavar="LIMITS",
        help="how much to keep: an age (30d), a number of events (100000), a size (1gb), in any combination,"
        " separated by commas; the oldest go first (default: %(default)s)",
    )
    add("--token", help=f"what a reader must show, at least {MIN_TOKEN} characters; needed beyond loopback")
    add("--key", help="the only key that clients may use (default: any; with --token: one made from it, printed)")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which readers may call the inbox without a token (repeatable)",
    )
    add(
        "--project",
        action="append",
        default=[],
        metavar="NUMBER=NAME",
        help="the name of a project on the pages, as 1=shop (repeatable)",
    )
    add("--udp", metavar="HOST:PORT", help="also take the UDP packets of protocol 2 and 3 here")
    add("--rate-limit", type=float, metavar="N", help="answer 429 to more than N requests a second, to try a client")
    add(
        "--max-event",
        type=int,
        default=1024 * 1024,
        metavar="BYTES",
        help="the largest event taken; a larger one is answered 413 (default: %(default)s)",
    )
    add("--import", dest="import_from", metavar="FILE", help="store a tar of envelopes or one envelope, and exit")
    add("--export", dest="export_to", metavar="FILE", help="write every event to a .tar.gz of envelopes, and exit")
    return parser


def _check(options: argparse.Namespace) -> None:
    """Refuse what is out of range, before anything is opened."""
    if options.token is None:
        options.token = os.environ.get("HEKA_RAVEN_INBOX_TOKEN") or None
    if options.token is not None and len(options.token) < MIN_TOKEN:
        raise UsageError(f"--token: {len(options.token)} characters; at least {MIN_TOKEN} are needed")
    if options.rate_limit is not None and not 0 <= options.rate_limit <= 1_000_000:
        raise UsageError(f"--rate-limit: {options.rate_limit:g} is outside 0..1000000 requests a second")
    if not 1_000 <= options.max_event <= 8_000_000:
        raise UsageError(f"--max-event: {options.max_event} is outside 1000..8000000 bytes")
    if options.key is not None and not _KEY.fullmatch(options.key):
        raise UsageError("--key: want 1 to 100 letters, digits, - or _; it stands in the DSN")
    if options.import_from and options.export_to:
        raise UsageError("--import and --export: one at a time")
    options.keep = parse_keep(options.keep)
    options.project = dict(_project(text) for text in options.project)


def _project(text: str) -> tuple[str, str]:
    number, sign, name = text.partition("=")
    if not sign or not number or not name.strip():
        raise UsageError(f"--project: {text!r}: want NUMBER=NAME, as 1=shop")
    return number.strip(), name.strip()[:60]


def _stop(signum: int, frame: Any) -> None:
    raise SystemExit(0)


def _trim_until(stopping: threading.Event, app: "Inbox") -> None:
    while not stopping.wait(TRIM_EVERY_S):
        try:
            app.store.trim()
        except Exception:  # the disk may be full; the next round tries again
            logging.getLogger("heka_raven.inbox").exception("--keep failed")


def _open(options: argparse.Namespace) -> "Inbox":
    from heka_raven.inbox.intake.intake import Limits
    from heka_raven.inbox.web.app import make_app

    key = options.key or (derive(options.token, "key") if options.token else None)
    return make_app(
        options.db or default_database(),
        keep=options.keep,
        token=options.token,
        limits=Limits(key=key, max_event=options.max_event, rate=options.rate_limit),
        hosts=options.allow_host,
        names=options.project,
    )


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes. The addresses are bound first: a port in use must not leave a database behind."""
    from heka_raven.inbox.intake.udp import UdpListener
    from heka_raven.inbox.web.server import UDP, address_text, bind, is_loopback, make_server, parse_address

    host, port = parse_address("--listen", options.listen)
    udp = parse_address("--udp", options.udp) if options.udp else None
    for option, name in (("--listen", host), ("--udp", udp[0] if udp else "127.0.0.1")):
        if not is_loopback(name) and options.token is None:
            raise UsageError(f"{option}: {name} can be reached from other machines; that needs --token")
    listener = bind(host, port)
    packets = None
    app = None
    stopping = threading.Event()
    try:
        packets = bind(*udp, kind=UDP) if udp else None
        app = _open(options)
        server = make_server(app, listener)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, _stop)
        receiver = UdpListener(app.intake, packets) if packets is not None else None
        if receiver is not None:
            receiver.start()
        threading.Thread(target=_trim_until, args=(stopping, app), name="inbox-keep", daemon=True).start()
        where = address_text(host, listener.getsockname()[1])
        print(f"inbox: http://{where}/", flush=True)
        if host in EVERYWHERE:  # no address that a client could call
            where = address_text(socket.gethostname(), listener.getsockname()[1])
        print(f"dsn:   http://{app.intake.limits.key or 'inbox'}@{where}/1", flush=True)
        if packets is not None and udp is not None:
            print(f"udp:   {address_text(udp[0], packets.getsockname()[1])}", flush=True)
        try:
            server.run()
        finally:
            stopping.set()
            server.close()
            if receiver is not None:
                receiver.stop()
    finally:
        listener.close()
        if packets is not None:
            packets.close()
        if app is not None:
            app.close()
    return 0


def exchange(options: argparse.Namespace) -> int:
    """``--import`` and ``--export``."""
    from heka_raven.inbox.intake.archive import export_file, import_file
    from heka_raven.inbox.store.schema import StoreError

    path = options.db or default_database()
    if options.export_to:
        if not Path(path).exists():  # a wrong name must neither leave a database behind nor look like an empty inbox
            raise StoreError(f"database {path}: No such file or directory")
        app = _open(options)
        try:
            count = export_file(app.store, options.export_to)
        finally:
            app.close()
        # Not on stdout: that may be where the archive goes.
        print(f"{count} events of {path} exported to {options.export_to}", file=sys.stderr)
        return 0
    with open(options.import_from, "rb") as file:  # first: a wrong name must not leave a database behind
        app = _open(options)
        try:
            taken, refused = import_file(app.intake, file)
            gone = app.store.trim()
        finally:
            app.close()
    print(f"{taken} events imported, {refused} refused" + (f", {gone} of the oldest deleted: --keep" if gone else ""))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 1 for what the machine refuses, 2 for wrong options."""
    options = make_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="heka-raven inbox: %(message)s", stream=sys.stderr)
    # waitress warns of each request that waits for a thread: with more clients than threads that is each second one.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        import jinja2  # noqa: F401
        import waitress  # noqa: F401
    except ImportError as error:
        print(f"heka-raven inbox: {error}; install it with: pip install 'heka-raven[inbox]'", file=sys.stderr)
        return 1
    from heka_raven.inbox.intake.archive import ArchiveError
    from heka_raven.inbox.store.schema import StoreError
    from heka_raven.inbox.web.server import ListenError

    try:
        _check(options)
        return exchange(options) if options.export_to or options.import_from else serve(options)
    except (UsageError, KeepError) as error:
        text, code = f"--keep: {error}" if isinstance(error, KeepError) else str(error), 2
    except (StoreError, ListenError, ArchiveError) as error:
        text, code = str(error), 1
    except sqlite3.Error as error:  # a full disk, for one
        text, code = f"database {options.db or default_database()}: {error}", 1
    except OSError as error:
        text, code = f"{error.filename or ''}: {error.strerror}", 1
    print(f"heka-raven inbox: {text}", file=sys.stderr)
    return code
