"""The README's two commands on each Debian that we promise, from nothing: root, and then an ordinary user."""

import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

sys.path.insert(0, str(Path(__file__).parent))
from machine import USER, Machine

SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13", "forky": "Debian testing"}
TABLE = ROOT / "docs" / "machines.tsv"  # shown in docs/start.rst
NOT_PASSED = "–"  # noqa: RUF001 - an en dash is meant
LOGS = ROOT / "tests" / "artifacts"
pytestmark = [
    pytest.mark.timeout(2 * 3600),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a machine"),
]


def done(machine, name, *command, user="root"):
    """What *command* printed there; it must end well. The whole of it is kept in tests/artifacts."""
    LOGS.mkdir(exist_ok=True)
    log = LOGS / f"fresh-{machine.suite}-{name}.log"
    with open(log, "w", encoding="utf-8") as file:
        ran = machine.run(command, user, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    text = log.read_text(encoding="utf-8", errors="replace")
    assert 0 == ran.returncode, f"{log}:\n{text[-3000:]}"
    return text


def passed(text):
    """How many tests or buttons passed, as the last line that tells it has it."""
    return re.findall(r"\d+ passed", text)[-1]


def python_version(machine):
    """Which Python a new machine has."""
    return done(machine, "python", "python3", "-c", "import platform; print(platform.python_version())").strip()


def demo(machine):
    """The README's first command."""
    return passed(done(machine, "demo", "./run", "demo", "--check"))


def tests(machine):
    """Its second."""
    return passed(done(machine, "test", "./run", "test"))


def demo_without_root(machine):
    """The first, in the clone of somebody who may install nothing."""
    machine.add_user()
    return passed(done(machine, "user", "./run", "demo", "--check", user=USER))


def debians_uwsgi(machine):
    """Debian's own uWSGI, whose Python is a plugin."""
    done(machine, "setup", "./run", "setup", "uwsgi")
    text = done(machine, "uwsgi", "./run", "test", "--", "-m", "full", "-k", "debian", "tests/functional/uwsgi_plugin")
    version = done(machine, "version", "uwsgi-core", "--version").strip()
    return f"{version}: {passed(text)}"


def docs(machine):
    """The documentation in both themes: a warning is an error."""
    done(machine, "docs", "./run", "docs")
    done(machine, "mozilla", "./run", "docs", "--theme", "mozilla")
    return "built"


# The columns of the table between the machine's name and the commit, by the words of `./run fresh SUITE COLUMN ...`.
COLUMNS = {
    "python": python_version,
    "demo": demo,
    "test": tests,
    "user": demo_without_root,
    "uwsgi": debians_uwsgi,
    "docs": docs,
}


def head():
    """The commit that the machine had cloned."""
    told = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%h"], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def rows():
    """The table of the documentation: what stands in each line behind its machine."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return {name: cells for name, *cells in (line.split("\t") for line in lines)}


def record(suite, seen):
    """Enter what was seen into it; a column that was not tried keeps what it has."""
    cells = dict(zip(COLUMNS, rows()[SUITES[suite]], strict=False)) | seen
    entered = {**rows(), SUITES[suite]: [*cells.values(), head(), datetime.date.today().isoformat()]}
    TABLE.write_text("".join("\t".join([name, *row]) + "\n" for name, row in entered.items()), encoding="utf-8")


def new_machine(suite, folder):
    """One that has python3, git, and a clone."""
    shutil.rmtree(folder, ignore_errors=True)
    machine = Machine(suite, folder).make()
    done(machine, "packages", "sh", "-c", "apt-get update && apt-get install -y --no-install-recommends python3 git")
    machine.clone()
    return machine


@pytest.mark.parametrize("suite", SUITES)
def test_both_commands_work_from_nothing(suite):
    """A new machine with python3 and git, a clone: ./run demo --check and ./run test pass, also without root.

    So do the tests of Debian's own uWSGI with its own Python, and the documentation builds without a warning.
    """
    folder = Path(os.environ.get("RUN_FRESH_IN", ROOT / "build" / "fresh")) / suite
    again = os.environ.get("RUN_FRESH_COLUMNS", "").split()
    assert {*again} <= {*COLUMNS}, f"columns: {' '.join(COLUMNS)}"
    if again:
        machine = Machine(suite, folder)
        machine.update()
    else:
        machine = new_machine(suite, folder)
    cells, failures = {}, []
    for column in again or COLUMNS:  # each of them, so that one run of an hour tells all that is wrong
        try:
            cells[column] = COLUMNS[column](machine)
        except AssertionError as error:
            cells[column] = NOT_PASSED
            failures.append(f"{column}: {error}")
    record(suite, cells)
    assert [] == failures, "\n\n".join(failures)
