"""The options of `heka-raven inbox`, from the command line and the configuration file."""

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from heka_raven.cli.config_file import add_config, parse_with_config
from heka_raven.cli.parser import Parser
from heka_raven.inbox.alerts.targets import TargetError, parse_targets
from heka_raven.inbox.intake.auth import MIN_TOKEN
from heka_raven.inbox.store.keep import DEFAULT, KeepError, parse_keep
from heka_raven.inbox.store.rules import DEFAULT_LEVEL, DEFAULT_ON, RulesError, parse_quiet, parse_rules
from heka_raven.inbox.store.search import LEVELS
from heka_raven.inbox.web.links import LinkError, Links, parse_editor, parse_source

DEFAULT_LISTEN = "127.0.0.1:9000"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


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
    add_config(parser)
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
    add(
        "--editor",
        metavar="NAME",
        help="link frames to an editor: vscode, pycharm, or a URL with {path}, {line} and {column}",
    )
    add(
        "--source",
        metavar="URL",
        help="link frames of the app to their source, as https://git.example/shop/{release}/{path}#L{line}",
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
    _add_alerts(parser)
    add("--import", dest="import_from", metavar="FILE", help="store a tar of envelopes or one envelope, and exit")
    add("--export", dest="export_to", metavar="FILE", help="write every event to a .tar.gz of envelopes, and exit")
    return parser


def _add_alerts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--notify",
        action="append",
        default=[],
        metavar="TARGET",
        help="whom to tell of issues: https://… (a webhook), smtps://USER:PASSWORD@HOST/ADDRESS or mailto:ADDRESS,"
        " or a command; repeatable. Others can see it in ps: better in the file",
    )
    add(
        "--notify-on",
        default=DEFAULT_ON,
        metavar="WHEN",
        help="new issues, those that come back (again), N events of one in M minutes (10/5m), separated by commas"
        " (default: %(default)s)",
    )
    add("--notify-level", choices=LEVELS, default=DEFAULT_LEVEL, help="this and above (default: %(default)s)")
    add("--quiet-hours", metavar="HH:MM-HH:MM", help="when nobody is told, by this machine's clock; then all at once")
    add("--url", metavar="URL", help="the inbox's address for links in alerts (default: the one that it listens on)")
    add("--notify-test", action="store_true", help="tell each target once, say what became of it, and exit")


def parse_options(argv: list[str]) -> argparse.Namespace:
    """The options of the command line and the file, checked: what is out of range is refused before anything opens.

    Raises:
        UsageError: for the first that is wrong; ConfigError where the file is.
    """
    options = parse_with_config(make_parser(), argv, "inbox")
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
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
    try:
        options.keep = parse_keep(options.keep)
    except KeepError as error:
        raise UsageError(f"--keep: {error}") from None
    options.project = dict(_project(text) for text in options.project)
    options.links = _links(options)
    _check_alerts(options)


def _check_alerts(options: argparse.Namespace) -> None:
    """``targets``, ``rules`` and ``quiet`` from the options of alerts."""
    what = "--notify"
    try:
        options.targets = parse_targets(options.notify)
        what = "--notify-on"
        names = tuple(target.name for target in options.targets)
        rules = parse_rules(options.notify_on, names, options.notify_level)
        what = "--quiet-hours"
        options.rules = replace(rules, quiet=parse_quiet(options.quiet_hours) if options.quiet_hours else None)
    except (TargetError, RulesError) as error:
        raise UsageError(f"{what}: {error}") from None
    if options.notify_test and not options.targets:
        raise UsageError("--notify-test: there is no --notify")
    if options.url and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", options.url):
        raise UsageError("--url: want http://HOST or https://HOST, maybe with a path")


def _links(options: argparse.Namespace) -> Links:
    found = {}
    for option, parse in (("editor", parse_editor), ("source", parse_source)):
        given = getattr(options, option)
        try:
            found[option] = parse(given) if given is not None else ""
        except LinkError as error:
            raise UsageError(f"--{option}: {error}") from None
    return Links(**found)


def _project(text: str) -> tuple[str, str]:
    number, sign, name = text.partition("=")
    if not sign or not number or not name.strip():
        raise UsageError(f"--project: {text!r}: want NUMBER=NAME, as 1=shop")
    return number.strip(), name.strip()[:60]
