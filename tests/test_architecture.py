"""The shape of the house, as docs/architecture.rst draws it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Pure: bytes, times and ids come in as arguments (docs/architecture.rst, hard rule 5).
PURE_MODULES = [
    "heka_raven/capture/exceptions.py",
    "heka_raven/capture/frames.py",
    "heka_raven/capture/objects.py",
    "heka_raven/capture/plans.py",
    "heka_raven/capture/readers.py",
    "heka_raven/capture/values.py",
    "heka_raven/capture/classes.py",
    "heka_raven/capture/messages.py",
    "heka_raven/formats/text.py",
    "heka_raven/events/event.py",
    "heka_raven/scrub/masker.py",
    "heka_raven/scrub/names.py",
    "heka_raven/scrub/scrubber.py",
    "heka_raven/scrub/shapes.py",
    "heka_raven/scrub/source.py",
    "heka_raven/scrub/texts.py",
    "heka_raven/scrub/words.py",
    "heka_raven/events/encode.py",
    "heka_raven/events/version3.py",
    "heka_raven/formats/envelope.py",
    "heka_raven/formats/dsn.py",
    "heka_raven/formats/raven_payload.py",
    "heka_raven/reporting/report.py",
    "heka_raven/reporting/throttle.py",
    "heka_raven/sender/policy.py",
    "heka_raven/sender/request.py",
    "heka_raven/sender/schedule.py",
    "heka_raven/fleet/allow.py",
    "heka_raven/fleet/records.py",
    "heka_raven/inbox/event/bounded.py",
    "heka_raven/inbox/event/inflight.py",
    "heka_raven/inbox/event/model.py",
    "heka_raven/inbox/event/older_protocols.py",
    "heka_raven/inbox/event/shape.py",
    "heka_raven/inbox/event/summary.py",
    "heka_raven/inbox/intake/auth.py",
    "heka_raven/inbox/store/keep.py",
    "heka_raven/inbox/store/search.py",
    "heka_raven/inbox/web/charts.py",
    "heka_raven/inbox/web/copies.py",
    "heka_raven/inbox/web/hostview.py",
    "heka_raven/inbox/web/wording.py",
    "heka/convert.py",
    "heka/exceptions.py",
    "heka/ini.py",
    "heka/message.py",
    "heka/path.py",
    "heka/settings.py",
    "heka/severity.py",
    "heka/signing.py",
    "heka/wire.py",
]
FORBIDDEN_IMPORTS = {
    "asyncio", "http", "io", "multiprocessing", "random", "requests", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib3", "uuid",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "input", "print", "exec", "eval", "breakpoint"}
MAX_LINES = 450  # "about 400": past this a module says more than one thing


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def type_checking_free(tree):
    """The tree without `if TYPE_CHECKING:` bodies: these never run."""

    class Drop(ast.NodeTransformer):
        def visit_If(self, node):
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    return Drop().visit(tree)


@pytest.mark.parametrize("path", PURE_MODULES)
def test_pure_modules_do_no_io(path):
    """A pure module imports nothing that opens, waits, forks, tells the time or rolls dice, and calls no open()."""
    tree = type_checking_free(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    imported = {name.split(".")[0] for name in imported_names(tree)}
    assert set() == imported & FORBIDDEN_IMPORTS
    called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert set() == called & FORBIDDEN_CALLS


@pytest.mark.parametrize("path", PURE_MODULES)
def test_pure_modules_import_only_pure_modules_of_ours(path):
    """No I/O by way of a neighbour: what a pure module imports from this project is pure too."""
    allowed = {p[:-3].replace("/", ".") for p in PURE_MODULES} | {
        "heka.message_pb2",
        "heka_raven",
        "heka_raven.scope",
    }
    tree = type_checking_free(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ours = {name for name in imported_names(tree) if name.split(".")[0] in ("heka", "heka_raven")}
    assert set() == ours - allowed


def test_what_calls_itself_pure_is_held_to_it():
    """A module whose docstring says "Pure." is on the list above, so that the two tests before this one look at it."""
    for path in sorted((ROOT / "heka_raven").rglob("*.py")):
        first = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if re.search(r"\bPure[.:]", first) and path.name != "__init__.py":
            assert str(path.relative_to(ROOT)) in PURE_MODULES


def test_heka_knows_nothing_of_sentry_or_wsgi():
    """heka/ is a client of its own: it imports nothing of heka_raven, except where an old name forwards to it."""
    forwarding = {"heka/raven_plugin.py"}
    guilty = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "heka").rglob("*.py"))
        for name in imported_names(ast.parse(path.read_text(encoding="utf-8")))
        if name.split(".")[0] in ("heka_raven", "webob", "raven") and str(path.relative_to(ROOT)) not in forwarding
    ]
    assert [] == guilty


def test_a_request_needs_no_sender_no_inbox_and_no_raven():
    """What an app imports at start leaves out HTTP clients, the inbox and the slow raven package."""
    code = (
        "import sys, heka.holder, heka_raven.raven_plugin, heka_raven.streams, heka_raven.middleware;"
        "print(sorted({'urllib3', 'raven', 'sqlite3', 'jinja2', 'rich', 'waitress'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == ran.stdout.strip()


def test_modules_stay_readable():
    """No module of the project grows past about 400 lines."""
    sources = [
        p for folder in ("heka", "heka_raven", "middleware", "examples", "bench") for p in (ROOT / folder).rglob("*.py")
    ]
    sources += [p for p in (ROOT / "uwsgi_plugin").rglob("*") if p.suffix in (".c", ".h")]
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources
        if not path.name.endswith("_pb2.py")
        and (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert {} == long
