"""The other Pythons: the unit tests, in an environment of each."""

import os
import subprocess
import sys

import pytest

from support.paths import ROOT
from support.pythons import environment, find_python

VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]  # the last two also on Debian testing: ./run fresh forky


def with_project(version, extras):
    """An environment of that Python with this project in it."""
    python = find_python(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    return environment(python, version, extras)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", [v for v in VERSIONS if v != f"3.{sys.version_info.minor}"])
def test_the_unit_tests_pass_on_every_python(version):
    """3.11 to 3.14: the unit tests pass, in an environment that holds what setup.py asks for."""
    venv = with_project(version, "amqp,cli,inbox,paste,test")
    ran = subprocess.run(
        [venv / "bin" / "python", "-m", "pytest", "-q", "-m", "not full", "tests/unit", "-k", "not uwsgi"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "RUN_TESTS"},  # no uWSGI is in there
        capture_output=True,
        text=True,
    )
    assert 0 == ran.returncode, ran.stdout[-6000:] + ran.stderr[-2000:]


IMPORT_ALL = """
import importlib, pkgutil, heka, heka_raven
for package in (heka, heka_raven):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".tests" not in found.name and "uwsgi_plugin" not in found.name:
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name.startswith("heka"):
                    raise  # else: a library that an application may have
"""


@pytest.mark.full
def test_python_3_10_can_import_all_of_it():
    """3.10 has reached its end: what is here can be imported there, and no more is promised."""
    venv = with_project("3.10", "amqp,cli,inbox,paste")
    ran = subprocess.run([venv / "bin" / "python", "-W", "ignore", "-c", IMPORT_ALL], capture_output=True, text=True)
    assert (0, "") == (ran.returncode, ran.stderr)
