"""`heka-raven run`: a command, as a cron job is, of which an event is made if it fails."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from heka.exceptions import ConfigError
from heka_raven.cli.options import add_spool
from heka_raven.cli.parser import EXIT_USAGE, Parser
from heka_raven.jobs.command import Ending, Notes, end_like, run_command
from heka_raven.jobs.job import Job, Reporting, flush, report_job
from heka_raven.jobs.program import RUN_ENVIRONMENT, name_of, note_for_run
from heka_raven.jobs.setup import DSN_VARIABLES
from heka_raven.reporting.clients import build_client
from heka_raven.reporting.options import parse_options

MAX_LINES = 50  # an event shows no more of a list
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as a shell says it


def main(argv: list[str]) -> int:
    ours, words = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = Parser(
        prog="heka-raven run",
        usage="heka-raven run [OPTION ...] -- COMMAND [ARGUMENT ...]",
        description="Run a command, as a cron job is, and report it if it fails: its exit status or signal, its run "
        "time, the last lines of its standard error. Ends as the command did. Signals are passed on.",
    )
    parser.add_argument(
        "--dsn", metavar="DSN", help="default: $SENTRY_DSN or $HEKA_RAVEN_DSN, which others cannot read"
    )
    parser.add_argument("--name", metavar="NAME", help="what the job is called; default: the name of the program")
    parser.add_argument(
        "--lines", metavar="N", type=_lines, default=20, help=f"of standard error, up to {MAX_LINES} (default 20)"
    )
    parser.add_argument("--release", metavar="TEXT", help="of the event")
    parser.add_argument("--environment", metavar="TEXT", help="of the event")
    add_spool(parser)
    arguments = parser.parse_args(ours)
    if not words:
        print("heka-raven run: no command; write: heka-raven run -- COMMAND", file=sys.stderr)
        return EXIT_USAGE
    Reporting.client = _make_client(arguments)
    return run(words, arguments.name or name_of(words), arguments.lines)


def _lines(text: str) -> int:
    if not text.isdigit() or int(text) > MAX_LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_LINES}")
    return int(text)


def _make_client(arguments: argparse.Namespace) -> Any:
    """Where to report to; what is wrong with that is said, but the command runs."""
    dsn = arguments.dsn or next((os.environ[name] for name in DSN_VARIABLES if os.environ.get(name)), None)
    options = {"release": arguments.release, "environment": arguments.environment}
    try:
        if dsn is None:
            raise ConfigError("no DSN; give --dsn, or set $SENTRY_DSN")
        parse_options({"dsn": dsn, **options})  # by their own names in what it says
        return build_client(dsn, stream_path=arguments.spool, **options)
    except ConfigError as error:
        print(f"heka-raven run: nothing will be reported: {error}", file=sys.stderr)
        return None


def run(words: list[str], name: str, lines: int) -> int:
    """Run *words* and report how they ended; the exit status, or the same signal."""
    try:
        notes: Notes | None = Notes()
    except OSError:
        notes = None  # no room for a file: then an error may be told twice
    environment = dict(os.environ)
    if notes is not None:
        environment[RUN_ENVIRONMENT] = notes.path
    ending = run_command(words, lines, environment)
    told = notes is not None and notes.told(ending)
    status = ending.status
    if ending.error is not None:
        print(f"heka-raven run: {words[0]}: {ending.error.strerror}", file=sys.stderr)
        status = NOT_FOUND if isinstance(ending.error, FileNotFoundError) else NOT_EXECUTABLE
    status = status or 0
    if status and not told and not ending.told_to_end:
        event_id = report_ending(Job("run", name, arguments=words[1:] or None), ending)
        if event_id is not None:
            note_for_run(event_id, status if status > 0 else 128 - status)
        flush()
    return end_like(status)


def report_ending(job: Job, ending: Ending) -> str | None:
    """One event of a command that failed."""
    how = _how(ending)
    job.more = {"ended": how, "seconds": round(ending.seconds, 3), "max_rss_kib": ending.max_rss_kib}
    if ending.status is not None and ending.status >= 0:
        job.more["status"] = ending.status
    return report_job(
        job,
        None,
        kind="run",
        logentry=(f"{job.name} {how}", None, None),
        fingerprint=["heka-raven run", job.name, how],
        extra={"stderr": ending.last_lines},
    )


def _how(ending: Ending) -> str:
    if ending.error is not None:
        return f"could not be started: {ending.error.strerror}"
    if ending.status is None or ending.status >= 0:
        return f"exited with status {ending.status}"
    try:
        return f"was ended by {signal.Signals(-ending.status).name}"
    except ValueError:
        return f"was ended by signal {-ending.status}"
