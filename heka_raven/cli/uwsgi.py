"""`heka-raven uwsgi`: uWSGI with the plugin, be it a program or the module pyuwsgi.

pyuwsgi is uWSGI as an extension module, in wheels that need no compiler. A plugin finds uWSGI's functions there only if
Python loads the module with RTLD_GLOBAL, which pyuwsgi's own command does not ask for.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from heka_raven.cli.build_plugin import named_or_found
from heka_raven.cli.parser import EXIT_FAILED, EXIT_USAGE, Parser
from heka_raven.cli.plugin_path import plugin_for


def main(argv: list[str]) -> int:
    parser = Parser(
        prog="heka-raven uwsgi",
        usage="heka-raven uwsgi OPTION-OF-UWSGI ...",
        description="Start the uwsgi beside this Python, else the one in PATH, with the plugin and these options. "
        "Where it is the module pyuwsgi, the plugin can be loaded in this way only.",
    )
    if not argv or argv[0] in ("-h", "--help"):
        parser.parse_args(argv)
        print(f"{parser.prog}: no option; see {parser.prog} --help", file=sys.stderr)
        return EXIT_USAGE
    uwsgi = named_or_found(parser.prog, None)
    if uwsgi is None:
        return EXIT_USAGE
    plugin = plugin_for(parser.prog, uwsgi)
    if not isinstance(plugin, Path):
        return plugin
    words = ["--plugin", str(plugin), *argv]
    if not is_module(uwsgi):
        os.execv(uwsgi, [uwsgi, *words])  # noqa: S606 - the uwsgi that is installed
    sys.setdlopenflags(sys.getdlopenflags() | os.RTLD_GLOBAL)
    # A reload executes that program again: pyuwsgi takes the one behind the links, which knows nothing of a venv.
    importlib.import_module("pyuwsgi").run(["--binary-path", sys.executable, *words])
    return EXIT_FAILED  # it never returns


def is_module(uwsgi: str) -> bool:
    """Whether that is pyuwsgi's script for this Python, and no program."""
    with open(uwsgi, "rb") as file:
        return file.read(2) == b"#!" and importlib.util.find_spec("pyuwsgi") is not None
