"""What a user installs is what the source tree holds."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.timeout(600)  # pip, an empty environment, a compiler
SOURCES = [
    "heka", "heka_raven", "metlog_raven", "middleware", "uwsgi_plugin",
    "docs/command", "setup.py", "pyproject.toml", "README.rst", "LICENSE",
]  # fmt: skip


def run(command, **kw):
    done = subprocess.run(command, capture_output=True, text=True, **kw)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    # From a copy: a build leaves build/ and *.egg-info beside setup.py. Symlinks stay symlinks, as in a clone; without
    # __pycache__, where other tests' processes may be writing.
    ignored = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        (copy / name).parent.mkdir(exist_ok=True, parents=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "out"), str(copy)], cwd=folder)
    (built,) = (folder / "out").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of an empty environment into which only the wheel (and what it asks for) went."""
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    run([str(python), "-m", "pip", "install", "-q", str(wheel)])
    return python


def test_the_wheel_holds_the_middleware_and_the_plugins_sources(wheel):
    """The two symlinked folders are in the wheel as ordinary files; at the top stand the packages alone."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "heka_raven/middleware/__init__.py" in names
    assert "heka_raven/uwsgi_plugin/uwsgiplugin.py" in names
    assert any(n.startswith("heka_raven/uwsgi_plugin/core/") and n.endswith(".c") for n in names)
    assert any(n.startswith("heka_raven/uwsgi_plugin/core/") and n.endswith(".h") for n in names)
    assert {"heka/message.proto", "heka/message_pb2.pyi", "heka/tests/helpers.py"} <= set(names)
    assert {f"{package}/py.typed" for package in ("heka", "heka_raven", "metlog_raven")} <= set(names)
    (version,) = {n.split("/")[0] for n in names if n.split("/")[0].endswith(".data")}
    assert {"heka", "heka_raven", "metlog_raven", version} == {n.split("/")[0] for n in names if ".dist-info/" not in n}
    assert {
        f"{version}/data/share/man/man1/heka-raven.1",
        f"{version}/data/share/bash-completion/completions/heka-raven.bash",
    } == {n for n in names if n.startswith(version)}
    assert [] == [n for n in names if n.endswith((".so", ".o", ".pyc"))]


def test_an_installed_wheel_imports_and_builds_the_plugin(installed, tmp_path):
    """Away from the source tree: the imports work, and `heka-raven build-plugin` builds the plugin."""
    out = run(
        [str(installed), "-W", "error", "-c", "import heka, heka_raven, heka_raven.middleware as m; print(m.__file__)"],
        cwd=tmp_path,
    )
    assert str(ROOT) not in out
    build_plugin(installed, tmp_path)


def build_plugin(python, folder):
    """`heka-raven build-plugin` of *python*'s environment, for the uWSGI of this one."""
    uwsgi = Path(sys.executable).parent / "uwsgi"
    command = [str(Path(python).parent / "heka-raven"), "build-plugin", "--uwsgi", str(uwsgi), "--output", str(folder)]
    run(command, cwd=folder)
    assert (folder / "sentry_plugin.so").stat().st_size > 10_000


def test_an_editable_install_sees_the_same_paths(tmp_path):
    """This environment holds `pip install -e .`: from elsewhere, the same import paths lead into the source tree."""
    build_plugin(sys.executable, tmp_path)
    out = run([sys.executable, "-c", "import heka, heka_raven.middleware as m; print(m.__file__)"], cwd=tmp_path)
    assert str(ROOT) in out


def test_paste_finds_the_filter_by_its_egg_name():
    """`use = egg:heka-raven` and `egg:heka-raven#raven` are entry points of the distribution."""
    from importlib.metadata import entry_points

    found = {p.name: p.value for p in entry_points(group="paste.filter_app_factory") if p.dist.name == "heka-raven"}
    assert {"main", "raven"} == set(found)
    assert found["main"] == found["raven"]
