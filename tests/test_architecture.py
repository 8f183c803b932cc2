"""The house, as docs/architecture.rst draws it: who may import whom, what is pure, how long things get.

The C half's rules stand in test_architecture_c.py.
"""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.rst"
MAX_LINES = 450  # of a module, "about 400": past this it says more than one thing
MAX_FUNCTION_LINES = 70
MAX_TEST_LINES = 600
# To be cut: whoever cuts one takes its name out.
FORBIDDEN_IMPORTS = {
    "asyncio", "http", "io", "multiprocessing", "random", "requests", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib3", "uuid",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "input", "print", "exec", "eval", "breakpoint"}
PURE_BESIDE = {"heka.message_pb2", "heka_raven.scope"}  # generated; and a context variable, which no I/O can reach


class Module:
    """One file: its tree, its name, and what it imports of ours."""

    def __init__(self, path):
        self.path = path
        self.text = (ROOT / path).read_text(encoding="utf-8")
        self.tree = ast.parse(self.text, path)
        dotted = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.name = f"heka_raven.{dotted}" if dotted.split(".")[0] == "middleware" else dotted
        self.package = self.name if path.endswith("__init__.py") else self.name.rpartition(".")[0]
        self.docstring = ast.get_docstring(self.tree) or ""

    def imported(self):
        """What it imports when it runs, as ``module:name``; ``if TYPE_CHECKING:`` never runs."""
        left = [self.tree]
        while left:
            node = left.pop()
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                left += node.orelse
            elif isinstance(node, ast.Import):
                yield from (f"{alias.name}:" for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = ".".join(self.package.split(".")[: len(self.package.split(".")) + 1 - node.level])
                base = ".".join(filter(None, [above if node.level else "", node.module]))
                yield from (f"{base}:{alias.name}" for alias in node.names)
            else:
                left += ast.iter_child_nodes(node)


def python_files(*folders):
    """The project's own Python files in *folders*; what protoc generated is left out."""
    return [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.name.endswith("_pb2.py") and "heka_raven/middleware/" not in str(path)
    ]


MODULES = {
    module.name: module for module in map(Module, python_files("heka", "heka_raven", "middleware", "metlog_raven"))
}


def ours(module):
    """The names of this project's modules that *module* imports; the package's own constants are everybody's."""
    found = set()
    for name in module.imported():
        base, _, member = name.partition(":")
        inner = f"{base}.{member}"
        target = inner if inner in MODULES or inner in PURE_BESIDE else base
        constant = base == "heka_raven" and (member.isupper() or member == "__version__")
        if not constant and (target in MODULES or target in PURE_BESIDE):
            found.add(target)
    return found


def rooms_of_the_page():
    """The table of docs/architecture.rst: for each room what it may import, and whether it is pure."""
    table = PAGE.read_text(encoding="utf-8").partition(".. list-table:: The rooms of the Python half")[2]
    table = re.split(r"\n(?=\S)", table.partition("\n\n   * -")[2])[0]
    rooms = {}
    for row in ("   * -" + table).split("   * -")[2:]:
        cells = [" ".join(cell.split()) for cell in re.split(r"\n     -", row)]
        assert 3 == len(cells), row
        names = tuple(re.findall(r"``([^`]+)``", cells[0]))
        above = [name for room in rooms for name in room]
        allowed = above if "every room above" in cells[2] else re.findall(r"``([^`]+)``", cells[2])
        assert set(allowed) <= set(above), f"{names}: {set(allowed) - set(above)} does not lie above"
        rooms[names] = (set(allowed), cells[1].startswith("Pure"))
    return rooms


ROOMS = rooms_of_the_page()


def lies_in(module, name):
    """Whether *module* lies in the room's folder or file *name*, as the page writes it."""
    path = module.path
    base = "" if path.startswith(("heka/", "metlog_raven/", "middleware/")) else "heka_raven/"
    return path.startswith(base + name) if name.endswith("/") else path == base + name


def room_of(module):
    """The names of its room; a deeper folder's before those of the folder around it."""
    found = [(len(name), room) for room in ROOMS for name in room if lies_in(module, name)]
    return max(found)[1] if found else None


def is_pure(module):
    return bool(re.search(r"\bPure\b", module.docstring)) or ROOMS[room_of(module)][1]


def test_every_module_has_a_room():
    """Each module lies in a room of the page's table: whoever adds one says there what it may import."""
    assert [] == [module.path for module in MODULES.values() if room_of(module) is None]
    everything = list(MODULES.values())
    assert [] == [name for room in ROOMS for name in room if not any(lies_in(module, name) for module in everything)]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name):
    """A module imports from its own room and from those that the page's table allows it, and from no other."""
    module = MODULES[name]
    own = room_of(module)
    allowed = ROOMS[own][0]
    guilty = [
        target
        for target in sorted(ours(module))
        if target in MODULES and (room := room_of(MODULES[target])) != own and not set(room) & allowed
    ]
    assert [] == guilty


def test_no_circle():
    """No module imports itself by way of others, not even from inside a function."""
    circle = []
    try:
        TopologicalSorter({name: ours(module) & set(MODULES) for name, module in MODULES.items()}).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert [] == circle


PURE_MODULES = sorted(name for name, module in MODULES.items() if room_of(module) and is_pure(module))


@pytest.mark.parametrize("name", PURE_MODULES)
def test_pure_modules_do_no_io(name):
    """A pure module imports nothing that opens, waits, forks, tells the time or rolls dice, and calls no open()."""
    module = MODULES[name]
    imported = {target.partition(":")[0].split(".")[0] for target in module.imported()}
    assert set() == imported & FORBIDDEN_IMPORTS
    called = {n.func.id for n in ast.walk(module.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert set() == called & FORBIDDEN_CALLS


@pytest.mark.parametrize("name", PURE_MODULES)
def test_pure_modules_import_only_pure_modules_of_ours(name):
    """No I/O by way of a neighbour: what a pure module imports from this project is pure too."""
    assert set() == ours(MODULES[name]) - set(PURE_MODULES) - PURE_BESIDE


def test_heka_knows_nothing_of_sentry_or_wsgi():
    """heka/ is a client of its own: it imports no raven and no WebOb."""
    guilty = [
        module.path
        for module in MODULES.values()
        if module.path.startswith("heka/")
        for target in module.imported()
        if target.partition(":")[0].split(".")[0] in ("webob", "raven")
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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_help_says_what_a_module_owns(name):
    """help() of every module begins with a sentence."""
    first = " ".join(MODULES[name].docstring.partition("\n\n")[0].split())
    assert re.match(r"[A-Z`].*[.:]$", first), first
    assert len(first.split()) >= 4, first


def lines_of(path):
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_modules_stay_readable():
    """No module of the project grows past about 400 lines, and no function past 70."""
    files = python_files("heka", "heka_raven", "middleware", "metlog_raven", "examples", "bench", "docs")
    assert {} == {path: lines_of(path) for path in files if lines_of(path) > MAX_LINES}
    long = {
        f"{path}:{node.name}": node.end_lineno - node.lineno + 1
        for path in files
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    }
    assert {} == long


def test_test_files_stay_readable():
    """No test file grows past 600 lines."""
    assert {} == {path: lines_of(path) for path in python_files("tests") if lines_of(path) > MAX_TEST_LINES}


def test_the_files_that_the_page_names_are_there():
    """Whoever follows a path of docs/architecture.rst finds each file."""
    there = [
        "/" + str(path.relative_to(ROOT))
        for folder in ("heka", "heka_raven", "middleware", "uwsgi_plugin", "tests", "bench")
        for path in (ROOT / folder).rglob("*.*")
    ]
    named = {
        word
        for quoted in re.findall(r"``([^`]+)``", PAGE.read_text(encoding="utf-8"))
        for word in quoted.split()
        if re.fullmatch(r"[\w./]+\.(py|c|h|tsv)", word) and word != "uwsgi.h"
    }
    assert 50 < len(named)
    assert [] == [word for word in sorted(named) if not any(path.endswith("/" + word) for path in there)]
