"""./run where something is missing: one line that says what and what to do, and nothing half-started."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def checkout(tmp_path):
    """A folder with a space in its name that holds nothing but ``run``."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(ROOT / "run", folder)
    return folder


def script(folder, name, text):
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def refusal(checkout, *command, **environ):
    """What ``./run`` writes when it refuses; it must have made nothing."""
    done = subprocess.run(
        [str(checkout / "run"), *command],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "RUN_SKIP_APT": "", **environ},
    )
    assert 1 == done.returncode, done.stdout + done.stderr
    assert "" == done.stdout
    assert ["run"] == [path.name for path in checkout.iterdir()]
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("command", [["demo"], ["test"], ["test", "full"], ["check"]])
def test_a_python_that_will_not_do_is_refused_first(checkout, tmp_path, command):
    """Before a package is installed for it: a Python that is not there, and one that is too old."""
    old = script(tmp_path, "python3.9", "echo 3.9.1\nexit 1\n")
    assert f"run: {old} is Python 3.9.1; 3.10 or later is needed: set PYTHON to one" == refusal(
        checkout, *command, PYTHON=str(old)
    )
    assert "run: no-such-python is not there: install Python 3.10 or later, or set PYTHON" == refusal(
        checkout, *command, PYTHON="no-such-python"
    )


def test_without_root_it_says_which_packages_to_install(checkout, tmp_path):
    """No root and no sudo: the packages that are missing, and only these, stand in the command to run."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script(tools, "id", "echo 1000\n")
    script(tools, "sudo", "exit 1\n")
    script(tools, "dpkg-query", 'case "$*" in *libpcre2-dev) exit 1;; *) echo "install ok installed";; esac\n')
    line = refusal(checkout, "demo", PATH=f"{tools}:{os.environ['PATH']}")
    assert line.endswith("packages that only root may install. Run: apt-get install libpcre2-dev ")


def test_without_a_compiler_it_says_so(checkout):
    """Where packages are the user's own business, a missing compiler is named before anything is built."""
    line = refusal(checkout, "demo", RUN_SKIP_APT="1", CC="no-such-cc")
    assert "run: no C compiler: no-such-cc is not there, and RUN_SKIP_APT leaves installing one to you" == line


def test_a_command_it_does_not_know_is_refused(checkout):
    """``./run tset`` does nothing, and exits with 1."""
    done = subprocess.run([str(checkout / "run"), "tset"], capture_output=True, text=True, timeout=30)
    assert 1 == done.returncode
    assert "run: tset: no such command" == done.stderr.splitlines()[-1]
