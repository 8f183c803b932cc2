"""What takes minutes, begun at once: the unit tests on other Pythons, a release, and the soak, which mostly waits."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.paths import ROOT, TESTS
from support.pythons import environment, find_python

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

SOAK_MINUTES = 5
VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]  # the last two also on Debian testing: ./run fresh forky
OTHERS = [version for version in VERSIONS if version != f"3.{sys.version_info.minor}"]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)


def soak():
    return run(
        sys.executable, "-m", "soak", SOAK_MINUTES, env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{ROOT}"}
    )


def release(folder):
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    return run(sys.executable, clone / ".ci" / "release.py", "--brief", folder / "out")


def units(version):
    """The unit tests in an environment that holds what setup.py asks for; None where there is no such Python."""
    python = find_python(version)
    if python is None:
        return None
    env = {name: value for name, value in os.environ.items() if name != "RUN_TESTS"}  # no uWSGI is in there
    command = ["-m", "pytest", "-q", "-m", "not full", "tests/unit", "-k", "not uwsgi"]
    venv = environment(python, version, "amqp,cli,inbox,paste,test")
    return run(venv / "bin" / "python", *command, cwd=ROOT, env=env)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def begun(request, folder):
    """Those that were asked for, by the names of their tests."""
    work = {
        "test_nothing_is_lost": soak,
        "test_a_release_of_what_is_committed": lambda: release(folder),
        **{f"test_the_unit_tests_pass[{version}]": lambda version=version: units(version) for version in OTHERS},
    }
    asked = [item.name for item in request.session.items if item.path == request.path and item.name in work]
    with ThreadPoolExecutor(len(work)) as pool:
        yield {name: pool.submit(work[name]) for name in asked}


@pytest.fixture
def ended(request, begun):
    """How the work of this test ended."""
    return begun[request.node.name].result()


@pytest.mark.parametrize("version", OTHERS)
def test_the_unit_tests_pass(ended, version):
    """3.11 to 3.15, as far as they are here."""
    if ended is None:
        pytest.skip(f"this machine has no Python {version}")
    assert 0 == ended.returncode, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout


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


def test_python_3_10_can_import_all_of_it():
    """3.10 has reached its end: what is here can be imported there, and no more is promised."""
    python = find_python("3.10")
    if python is None:
        pytest.skip("this machine has no Python 3.10")
    venv = environment(python, "3.10", "amqp,cli,inbox,paste")
    done = run(venv / "bin" / "python", "-W", "ignore", "-c", IMPORT_ALL)
    assert (0, "") == (done.returncode, done.stderr)


def test_a_release_of_what_is_committed(ended, folder):
    """Sdist and wheels, equal in two runs, install into empty environments and report, with real uWSGIs, no compiler
    there; sums and SBOM name them."""
    assert 0 == ended.returncode, ended.stderr
    out, clone = folder / "out", folder / "clone"
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert {path.name for path in out.iterdir()} == {*sums, "SHA256SUMS"}
    assert {".gz", ".whl", ".json"} == {"." + name.rpartition(".")[2] for name in sums}
    assert 2 == len([name for name in sums if name.endswith(".whl")])
    for name, digest in sums.items():
        assert digest == hashlib.sha256((out / name).read_bytes()).hexdigest()
    components = {part["name"] for part in json.loads((out / "sbom.json").read_text())["components"]}
    assert {"heka-raven", "orjson", "urllib3", "WebOb"} <= components
    (clone / "README.rst").write_text("changed")
    done = run(sys.executable, clone / ".ci" / "release.py")
    assert (1, "release: commit first: a release is made of what is committed\n") == (done.returncode, done.stderr)


def test_nothing_is_lost(ended):
    """While servers, disks, clocks and processes fail at random, every event has its end, and all levels hold."""
    assert 0 == ended.returncode, ended.stdout + ended.stderr
