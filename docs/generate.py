"""Writes what is generated from the code: docs/configuration.rst, the man page and the shell completion.

    python docs/generate.py [--check]

With --check nothing is written; exit code 1 names what is not up to date.
"""

# ruff: noqa: E402, E501 - the paths come before the imports; lines are those of the pages that it writes

import argparse
import importlib
import inspect
import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from unittest import mock

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

import option_texts as texts
from completion import completion

import heka.streams
from heka_raven.cli.main import COMMANDS
from heka_raven.jobs.options import OPTIONS as INIT_OPTIONS
from heka_raven.jobs.options import InitOptions
from heka_raven.middleware.options import OPTIONS as MIDDLEWARE_OPTIONS
from heka_raven.middleware.options import MiddlewareOptions
from heka_raven.reporting.options import OPTIONS as PLUGIN_OPTIONS
from heka_raven.reporting.options import PluginOptions
from heka_raven.sender.options import OPTIONS as SENDER_OPTIONS
from heka_raven.sender.options import SenderOptions
from heka_raven.streams import OPTIONS as SPOOL_OPTIONS
from heka_raven.streams import SpoolStream

HEAD = """Configuration reference
=======================

Every option, from the code: ``docs/generate.py`` writes this page, and a test fails when it is not up to date. A name that does not exist
and a value that is not allowed are errors at the start of the program, which say the name, the value and what would be right.

`All of them`_ stand in one table at the end, by name: what each is, its default, its unit, and where it can be set.
"""


class _Parser(Exception):
    pass


def parsers():
    """Each command of `heka-raven` with its argparse parser, caught as the command is about to parse."""

    def caught(self, *args, **kwargs):
        raise _Parser(self)

    found = {}
    for name, (target, text) in COMMANDS.items():
        module, _, function = target.partition(":")
        with mock.patch.object(argparse.ArgumentParser, "parse_args", caught):
            try:
                getattr(importlib.import_module(module), function)([])
            except _Parser as error:
                found[name] = (error.args[0], text)
    return found


def actions_of(parser):
    """The options and arguments, as (names, metavar or None, help), without --help."""
    for action in parser._actions:
        if action.dest != "help" and action.help != argparse.SUPPRESS:
            metavar = None if action.nargs == 0 else _metavar(action)
            text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
            if isinstance(action, argparse.BooleanOptionalAction):
                text = re.sub(r" \(default: None\)$", "", text)
            yield action, metavar, text


def _metavar(action):
    if action.metavar:
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


# -- configuration.rst -------------------------------------------------------------------------------------------------


def table(header, rows, widths):
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if not i else ' '} - {cell}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def section(title, text):
    return f"\n{title}\n{'-' * len(title)}\n\n{text}\n\n"


def default_of(cls, name):
    field = next(f for f in fields(cls) if f.name == name)
    value = field.default if field.default is not MISSING else field.default_factory()
    return shown(value)


def shown(value):
    if value is None or value == () or value == {} or value == "":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def literal(text):
    return f"``{text}``" if text else ""


def option_rows(table, default, prefix=""):
    """One row for each option of *table*."""
    for name, option in table.items():
        yield literal(prefix + name), option.allowed, literal(default(name)), option.unit, option.meaning


def uwsgi_options():
    """Name and help of each global option, from the table in C."""
    source = (ROOT / "uwsgi_plugin" / "server" / "settings.c").read_text(encoding="utf-8")
    return re.findall(r'\{ "(sentry-[a-z-]+)", (\w+), 0, "([^"]*)"', source)


def handler_options():
    """The names of a handler's options, from the table in C."""
    source = (ROOT / "uwsgi_plugin" / "core" / "options.c").read_text(encoding="utf-8")
    names = re.search(r"names\[HK_OPT_COUNT\] = \{(.*?)\}", source, re.DOTALL)
    return re.findall(r'"(\w+)"', names.group(1))


COLUMNS = ("option", "value", "default", "unit", "meaning")
WIDTHS = "20 22 18 12 36"


class Collected:
    """The rows of every table, kept for the one at the end."""

    def __init__(self):
        self.rows = []

    def table(self, where, rows):
        rows = list(rows)
        self.rows += [(row[0], where, *row[1:4]) for row in rows]
        return table(COLUMNS, rows, WIDTHS)

    def index(self):
        """Every option once, by name; what several places take alike is one row."""
        merged = {}
        for name, where, *what in self.rows:
            merged.setdefault((name, *what), []).append(where)
        rows = sorted(merged.items(), key=lambda item: (item[0][0].strip("`-").lower(), item[1]))
        return table(
            ("option", "where", "value", "default", "unit"),
            [(name, ", ".join(dict.fromkeys(places)), *what) for (name, *what), places in rows],
            "24 30 24 18 12",
        )


def command_rows(parser):
    """A command's options with what its help says of them."""
    for action, metavar, help_text in actions_of(parser):
        named = ", ".join(action.option_strings) or metavar
        value, unit = texts.PLACEHOLDERS.get(metavar, (metavar or "flag", ""))
        if metavar == "N":
            unit = texts.COUNTED[action.option_strings[0]]
        if "|" in value:
            value = value.replace("|", ", ")
        found = re.search(r"\s*\((?:default:?) ([^()]*)\)$|^default:? (.*)$", help_text)
        default = next(filter(None, found.groups())) if found else shown_default(action)
        meaning = help_text[: found.start()] if found else help_text
        yield literal(named), _plain(value), _plain(default), unit, _plain(meaning)


def shown_default(action):
    """What argparse puts in where nothing is said; a flag is off without a word."""
    return "" if action.nargs == 0 or action.default in (None, []) else str(action.default)


def configuration():
    collected = Collected()
    page = HEAD + of_python(collected) + of_uwsgi(collected)
    page += section("Environment", "Read by the program and by the command; what is set explicitly wins.")
    page += table(("variable", "meaning"), [(literal(n), t) for n, t in texts.ENVIRONMENT.items()], "30 70")
    page += section(
        "The command",
        "``heka-raven send`` and ``relay`` also read ``--config FILE``, TOML with a table for each: the long name of an option with ``_`` for\n"
        "``-``. What the command line says wins. pip installs the same as a man page (``man heka-raven``) and completion for bash (in ``share/bash-completion/completions``).",
    )
    for name, (parser, text) in parsers().items():
        page += f"``heka-raven {name}``: {text}\n\n"
        rows = list(command_rows(parser))
        page += (collected.table(f"``{name}``", rows) if rows else "It has no options of its own.\n") + "\n"
    page += section("All of them", "A name in ``code`` under *where* is a command of ``heka-raven``.")
    collected.rows += [(literal(name), "environment", "text", "", "") for name in texts.ENVIRONMENT]
    page += collected.index()
    return page.rstrip("\n") + "\n"


def of_python(collected):
    """The options of the plugin, the middleware, the spool and the heka client."""
    page = section(
        "The raven plugin",
        "Where: the plugin's dict, its section ``[NAME_plugin_raven]`` of a heka INI, and, with ``dsn``, keywords of ``RavenMiddleware`` and\n"
        "keys of its PasteDeploy section. See :doc:`raven_plugin`.",
    )
    rows = option_rows(PLUGIN_OPTIONS, lambda n: default_of(PluginOptions, n))
    page += collected.table("raven plugin; middleware with ``dsn``", rows)
    page += section(
        "The middleware",
        "Where: keywords of ``RavenMiddleware``, keys of its PasteDeploy section (which also takes ``heka_config`` and\n"
        "``heka_section`` in place of ``dsn``). See :doc:`middleware`.",
    )
    rows = option_rows(MIDDLEWARE_OPTIONS, lambda n: default_of(MiddlewareOptions, n))
    page += collected.table("middleware", rows)
    page += section(
        "heka_raven.init()",
        "Where: keywords of ``heka_raven.init()``, which also takes those of the raven plugin and ``stream_*``. See :doc:`jobs`.",
    )
    rows = option_rows(
        INIT_OPTIONS,
        lambda n: {"libraries": "auto", "logging": "false"}.get(n) or default_of(InitOptions, n),
    )
    page += collected.table("``init()``", rows)
    page += section(
        "The spool and its sender",
        "Where: a heka client whose ``stream_class`` is ``heka_raven.streams.SpoolStream``; ``RavenMiddleware(dsn=...)`` and its PasteDeploy\n"
        "section. ``heka-raven send`` and ``relay`` have them as ``--timeout`` for ``stream_timeout_s``. See :doc:`delivery`.",
    )
    spool_defaults = {p.name: p.default for p in inspect.signature(SpoolStream.__init__).parameters.values()}

    def spool_default(name):
        if name in spool_defaults:
            return shown(spool_defaults[name])
        return shown(getattr(SenderOptions(), name))

    rows = option_rows({**SPOOL_OPTIONS, **SENDER_OPTIONS}, spool_default, "stream_")
    page += collected.table("heka client with SpoolStream; middleware with ``dsn``", rows)
    page += section("The heka client", "Where: the client's dict, or its section of an INI file. See :doc:`heka`.")
    rows = [(literal(n), kind, default, unit, text) for n, kind, default, unit, text in texts.HEKA]
    page += collected.table("heka client", rows)
    page += "\nStreams, each with ``stream_`` before its options:\n\n"
    rows = []
    for name in texts.STREAMS:
        parameters = inspect.signature(getattr(heka.streams, name)).parameters.values()
        named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
        said = [p.name if p.default is p.empty else f"{p.name} = {p.default}" for p in named]
        rows.append((literal(f"heka.streams.{name}"), ", ".join(map(literal, said)) or "(none)"))
    page += table(("class", "options, and their defaults"), rows, "30 70")
    return page


def of_uwsgi(collected):
    """The options that the plugin gives uWSGI, and those of a handler."""
    page = section(
        "uWSGI: for the whole server",
        "Where: uWSGI's ini or command line, with ``plugin = sentry``. See :doc:`uwsgi_plugin`.",
    )
    described = {name: text for name, _, text in uwsgi_options()}
    if set(described) != set(texts.SERVER):
        raise SystemExit(f"docs/option_texts.py: SERVER: {sorted(set(described) ^ set(texts.SERVER))}")
    rows = [(literal(name), *texts.SERVER[name], _plain(text)) for name, text in described.items()]
    page += collected.table("uWSGI, the whole server", rows)
    page += section(
        "uWSGI: for one handler",
        "Where: behind ``sentry:`` in ``alarm``, ``hook-*``, ``route*`` and ``exception-handler``, as ``key=value,key=value``. A value with a comma stands\n"
        "in double quotes, or has ``\\,``. In a route those marked * take ``${VARIABLES}``.",
    )
    names = handler_options()
    if set(names) != set(texts.HANDLER):
        raise SystemExit(f"docs/option_texts.py: HANDLER: {sorted(set(names) ^ set(texts.HANDLER))}")
    rows = []
    for name in names:
        kind, default, text = texts.HANDLER[name]
        unit = "seconds" if kind.endswith(", seconds") else ""
        rows.append((literal(name), kind.removesuffix(", seconds").replace("*", "\\*"), default, unit, text))
    page += collected.table("uWSGI, one handler", rows)
    return page


def _plain(text):
    """Argparse's help as reST: nothing in it is markup."""
    return re.sub(r"([*`|_\\])", r"\\\1", " ".join(text.split()))


# -- the man page ------------------------------------------------------------------------------------------------------


def man_page():
    lines = [
        ".\\\" Written by docs/generate.py from the command's own options.",
        '.TH HEKA\\-RAVEN 1 "" "heka\\-raven" "User Commands"',
        ".SH NAME",
        "heka\\-raven \\- deliver, look at and receive error events",
        ".SH SYNOPSIS",
        ".B heka\\-raven",
        ".I COMMAND",
        '.RI [ OPTION " ...]"',
        ".SH DESCRIPTION",
        "Errors of Python web applications wait in a spool, a directory with one file for each event.",
        "These commands deliver from it, show what is in it, and receive such events.",
        ".SH COMMANDS",
    ]
    for name, (parser, text) in parsers().items():
        lines += [f".SS {_roff(f'heka-raven {name}')}", _roff(_first_up(parser.description or text))]
        for action, metavar, help_text in actions_of(parser):
            named = ", ".join(f"\\fB{_roff(s)}\\fR" for s in action.option_strings)
            value = f"\\fI{_roff(metavar)}\\fR" if metavar else ""
            lines += [".TP", " ".join(filter(None, (named, value))), _roff(help_text) or "\\&"]
    lines += [".SH ENVIRONMENT"]
    for name, text in texts.ENVIRONMENT.items():
        lines += [".TP", f".B {name}", _roff(text.replace("``", ""))]
    lines += [
        ".SH FILES",
        ".TP",
        ".I /var/spool/heka\\-raven/UID",
        "the spool of a user, where it can be made; else",
        ".I /tmp/heka\\-raven\\-UID",
        ".TP",
        ".I /etc/heka\\-raven.toml",
        "options of send and relay, a table for each",
        ".SH EXIT STATUS",
        "0 done; 1 failed; 2 wrong option, DSN or spool; 3 something is left in the spool; 4 another sender holds the lock.",
        ".SH EXAMPLES",
        ".nf",
        "heka\\-raven inbox",
        "heka\\-raven test http://key@127.0.0.1:9000/1",
        "heka\\-raven status \\-\\-watch",
        "heka\\-raven decode \\-\\-unpack records.heka | jq .payload.culprit",
        ".fi",
    ]
    return "\n".join(lines) + "\n"


def _first_up(text):
    return text[:1].upper() + text[1:]


def _roff(text):
    text = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


OUTPUTS = {
    "docs/configuration.rst": configuration,
    "docs/command/heka-raven.1": man_page,
    "docs/command/heka-raven.bash": lambda: completion(parsers(), actions_of),
}


def main():
    parser = argparse.ArgumentParser(description="Write what is generated from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when something is out of date")
    check = parser.parse_args().check
    stale = []
    for name, make in OUTPUTS.items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'out of date, run python docs/generate.py' if check else 'written'}: {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
