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


def head():
    """The commit that the machine had cloned."""
    told = subprocess.run(
        ["git", "-C", str(ROOT), "log", "-1", "--format=%h"], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def record(suite, *cells):
    """Enter what was seen into the table of the documentation."""
    rows = {row.split("\t")[0]: row for row in TABLE.read_text(encoding="utf-8").splitlines()}
    rows[SUITES[suite]] = "\t".join([SUITES[suite], *cells, datetime.date.today().isoformat()])
    TABLE.write_text("\n".join([*rows.values(), ""]), encoding="utf-8")


def passed(text):
    """How many tests or buttons passed, as the last line that tells it has it."""
    return re.findall(r"\d+ passed", text)[-1]


@pytest.mark.parametrize("suite", SUITES)
def test_both_commands_work_from_nothing(suite):
    """A new machine with python3 and git, a clone: ./run demo --check and ./run test pass, also without root.

    So do the tests of Debian's own uWSGI with its own Python, and the documentation builds without a warning.
    """
    folder = Path(os.environ.get("RUN_FRESH_IN", ROOT / "build" / "fresh")) / suite
    shutil.rmtree(folder, ignore_errors=True)
    machine = Machine(suite, folder).make()
    done(machine, "packages", "sh", "-c", "apt-get update && apt-get install -y --no-install-recommends python3 git")
    machine.clone()
    demo = done(machine, "demo", "./run", "demo", "--check")
    tests = done(machine, "test", "./run", "test")
    machine.add_user()
    user = done(machine, "user", "./run", "demo", "--check", user=USER)
    done(machine, "setup", "./run", "setup", "uwsgi")
    uwsgi = done(machine, "uwsgi", "./run", "test", "--", "-m", "full", "-k", "debian", "tests/functional/uwsgi_plugin")
    version = done(machine, "version", "uwsgi-core", "--version").strip()
    done(machine, "docs", "./run", "docs")
    python = done(machine, "python", "python3", "-c", "import platform; print(platform.python_version())").strip()
    record(suite, python, passed(demo), passed(tests), passed(user), f"{version}: {passed(uwsgi)}", "built", head())
