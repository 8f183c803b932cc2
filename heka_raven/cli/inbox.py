"""`heka-raven inbox`: options, start, stop."""

import argparse
import logging
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heka.exceptions import ConfigError
from heka_raven.cli.inbox_options import UsageError, default_database, parse_options
from heka_raven.inbox.intake.auth import derive

if TYPE_CHECKING:
    from heka_raven.inbox.alerts.message import Names
    from heka_raven.inbox.alerts.notifier import Notifier
    from heka_raven.inbox.web.app import Inbox

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only compared with
TRIM_EVERY_S = 30.0  # the age limit of --keep holds when no event comes, too


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
        links=options.links,
        rules=options.rules,
    )


def _names(options: argparse.Namespace, address: str) -> "Names":
    from heka_raven.inbox.alerts.message import Names
    from heka_raven.inbox.web.wording import often

    return Names(inbox=(options.url or address).rstrip("/"), projects=options.project, often=often(options.rules))


def _notifier(options: argparse.Namespace, app: "Inbox", address: str) -> "Notifier":
    from heka_raven.inbox.alerts.notifier import Notifier

    return Notifier(app.store, options.targets, _names(options, address), options.rules.quiet)


def try_targets(options: argparse.Namespace) -> int:
    """``--notify-test``."""
    from heka_raven.inbox.alerts.message import make_test

    message = make_test(_names(options, f"http://{options.listen}"))
    failed = 0
    for target in options.targets:
        outcome = target.send(message)
        print(f"{target.name}: {outcome.error or 'told'}", flush=True)
        failed += bool(outcome.error)
    return 1 if failed else 0


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal comes. The addresses are bound first: a port in use must not leave a database behind."""
    from heka_raven.cli.inbox_terminal import Lines
    from heka_raven.inbox.alerts.notifier import Notifier
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
        helpers: list[Notifier | Lines] = [_notifier(options, app, f"http://{where}")]
        if sys.stdout.isatty():
            helpers.append(Lines(app.store, (options.url or f"http://{where}").rstrip("/"), sys.stdout.fileno()))
        if host in EVERYWHERE:  # no address that a client could call
            where = address_text(socket.gethostname(), listener.getsockname()[1])
        print(f"dsn:   http://{app.intake.limits.key or 'inbox'}@{where}/1", flush=True)
        if packets is not None and udp is not None:
            print(f"udp:   {address_text(udp[0], packets.getsockname()[1])}", flush=True)
        try:
            for helper in helpers:
                helper.start()
            server.run()
        finally:
            stopping.set()
            server.close()
            for helper in helpers:
                helper.stop()
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
    logging.basicConfig(level=logging.WARNING, format="heka-raven inbox: %(message)s", stream=sys.stderr)
    # waitress warns of each request that waits for a thread: with more clients than threads that is each second one.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        import jinja2  # noqa: F401
        import pygments  # noqa: F401
        import waitress  # noqa: F401
    except ImportError as error:
        print(f"heka-raven inbox: {error}; install it with: pip install 'heka-raven[inbox]'", file=sys.stderr)
        return 1
    from heka_raven.inbox.intake.archive import ArchiveError
    from heka_raven.inbox.store.schema import StoreError
    from heka_raven.inbox.web.server import ListenError

    try:
        options = parse_options(list(sys.argv[1:] if argv is None else argv))
    except (UsageError, ConfigError) as error:
        print(f"heka-raven inbox: {error}", file=sys.stderr)
        return 2
    try:
        if options.notify_test:
            return try_targets(options)
        return exchange(options) if options.export_to or options.import_from else serve(options)
    except UsageError as error:
        text, code = str(error), 2
    except (StoreError, ListenError, ArchiveError) as error:
        text, code = str(error), 1
    except sqlite3.Error as error:  # a full disk, for one
        text, code = f"database {options.db or default_database()}: {error}", 1
    except OSError as error:
        text, code = f"{error.filename or ''}: {error.strerror}", 1
    print(f"heka-raven inbox: {text}", file=sys.stderr)
    return code
