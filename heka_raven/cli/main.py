"""The `heka-raven` command: which subcommand is which function. Each is imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable

from heka.exceptions import ConfigError
from heka_raven import __version__
from heka_raven.cli.parser import EXIT_FAILED, EXIT_OK, EXIT_USAGE

COMMANDS = {
    "test": ("heka_raven.cli.test:main", "send one event, wait for the server's answer, say what happened"),
    "run": ("heka_raven.cli.run:main", "run a command, a cron job, and report it if it fails"),
    "send": ("heka_raven.cli.send:main", "deliver from the spool until SIGTERM; --once: one try per event"),
    "status": ("heka_raven.cli.status:main", "what waits, what is limited, where every event ended"),
    "retry-dead": ("heka_raven.cli.send:retry_dead", "put what servers refused back into the spool"),
    "decode": ("heka_raven.cli.decode:main", "heka records, raven payloads and envelopes as lines of JSON"),
    "build-plugin": ("heka_raven.cli.build_plugin:main", "build the uWSGI plugin for the uwsgi that is installed"),
    "plugin-path": ("heka_raven.cli.plugin_path:main", "where that plugin lies: brought by a wheel, or built once"),
    "uwsgi": ("heka_raven.cli.uwsgi:main", "uWSGI, or pyuwsgi, with that plugin"),
    "relay": ("heka_raven.cli.relay:main", "take events from a fleet: Heka records, or an AMQP broker"),
    "top": ("heka_raven.cli.top:main", "the requests in flight on this host, and what each waits for"),
    "watch": ("heka_raven.cli.watch:main", "watch any server from outside: slow requests, crashes, kills"),
    "tail": ("heka_raven.cli.tail:main", "a line an event, as they come, from an inbox or a spool"),
    "mcp": ("heka_raven.cli.mcp:main", "an inbox for assistants: search, issue, event; read only"),
    "inbox": ("heka_raven.cli.inbox:main", "a local Sentry-compatible inbox with a web page"),
}


def usage() -> str:
    lines = ["usage: heka-raven COMMAND [OPTION ...]", ""]
    lines += [f"  {name:<13} {text}" for name, (_, text) in COMMANDS.items()]
    lines += [
        "",
        "heka-raven COMMAND --help tells its options. Exit codes: 0 done, 1 failed, 2 wrong option, DSN or spool,",
    ]
    lines += ["3 something is left in the spool, 4 another sender holds the lock."]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; an error that somebody can do something about is one line on stderr."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return EXIT_OK if argv else EXIT_USAGE
    if argv[0] == "--version":
        print(f"heka-raven {__version__}")
        return EXIT_OK
    if argv[0] not in COMMANDS:
        print(f"heka-raven: no command {argv[0]!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return EXIT_USAGE
    try:
        return _load(COMMANDS[argv[0]][0])(argv[1:])
    except ConfigError as error:
        _tell(f"heka-raven {argv[0]}: {error}")
        return EXIT_USAGE
    except BrokenPipeError:
        _tell_last("")  # the reader of our output went away (head, less): not our failure
        return EXIT_FAILED
    except OSError as error:
        where = "" if error.filename is None else f": {error.filename}"
        _tell_last(f"heka-raven {argv[0]}: {error.strerror or error}{where}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # what stderr is may be a file on a full disk: the exit code says it too
        print(line, file=sys.stderr, flush=True)


def _tell_last(line: str) -> None:
    """One line for people, if any. What standard output holds can go nowhere: keep Python from saying so at exit."""
    if line:
        _tell(line)
    with contextlib.suppress(OSError):  # the trouble may be that no descriptor is free
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _load(target: str) -> Callable[[list[str]], int]:
    module, _, name = target.partition(":")
    found: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    sys.exit(main())
