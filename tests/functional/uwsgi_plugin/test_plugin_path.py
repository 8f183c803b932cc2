"""heka-raven plugin-path: one command in place of building, copying and plugins-dir."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heka_raven.cli.build_plugin import packages_for
from heka_raven.cli.plugin_path import flags_hash, flags_of, hash_of_sources
from support.delivery import in_words, run_command
from support.uwsgi import find_uwsgi, shared_plugin

UWSGI = find_uwsgi()
pytestmark = pytest.mark.timeout(1000)  # a compiler on a busy machine
NEEDED = packages_for(UWSGI) if UWSGI else ""
NO_COMPILER = f"heka-raven plugin-path: no C compiler; apt-get install {NEEDED}, or name one in $CC\n"


def brought(folder, **changed):
    """The environment in which a package as heka-raven-plugin is has the plugin for the uWSGI of these tests."""
    package = folder / "site" / "heka_raven_plugin"
    (package / "one").mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(shared_plugin(find_uwsgi()), package / "one")
    flags = flags_hash(flags_of(find_uwsgi()))
    told = {"machine": os.uname().machine, "sources": hash_of_sources(), "glibc": [2, 17], "plugins": {flags: "one"}}
    (package / "builds.json").write_text(json.dumps(told | changed))
    return {"PYTHONPATH": str(folder / "site"), "CC": "no-such-cc"}


def plugin_path(cache, **environ):
    """Said of a uwsgi that is named by its path from here."""
    uwsgi = os.path.relpath(find_uwsgi())
    return run_command("plugin-path", "--uwsgi", uwsgi, env={"XDG_CACHE_HOME": str(cache), **environ})


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache in which the plugin was built, and what the command said."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, plugin_path(folder)


def test_it_is_built_once_and_kept(cache):
    """The first call builds, the second needs no compiler; uWSGI loads what the command prints."""
    folder, first = cache
    assert (0, "compiling the plugin: half a minute, as a rule\n") == (first[0], first[2]), in_words(first)
    assert (*first[:2], "") == plugin_path(folder, CC="no-such-cc")
    path = Path(first[1].strip())
    assert path.is_relative_to(folder) and "sentry_plugin.so" == path.name
    told = subprocess.run(
        [find_uwsgi(), "--plugin", str(path), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--sentry-dsn" in told.stdout


def test_another_binary_has_another_plugin(tmp_path, cache):
    """What was built for one binary is not given to the next; without a compiler one line says so."""
    other = tmp_path / "uwsgi"
    other.write_bytes(Path(find_uwsgi()).read_bytes() + b"\0")
    other.chmod(0o755)
    code, out, err = run_command(
        "plugin-path", "--uwsgi", other, env={"XDG_CACHE_HOME": str(cache[0]), "CC": "no-such-cc"}
    )
    assert (2, "") == (code, out)
    assert NO_COMPILER == err


def test_a_cache_that_others_can_write_to_is_refused(tmp_path):
    """A plugin is code: where somebody else may have put it, nothing is loaded and nothing is built."""
    (tmp_path / "heka-raven").mkdir()
    (tmp_path / "heka-raven").chmod(0o777)
    code, out, err = plugin_path(tmp_path)
    assert (2, "") == (code, out)
    assert f"heka-raven plugin-path: {tmp_path}/heka-raven: another user may write there; set XDG_CACHE_HOME\n" == err


def test_the_command_line_that_the_documentation_prints(cache):
    """uwsgi --plugin "$(heka-raven plugin-path)" is all."""
    script = 'uwsgi --plugin "$(heka-raven plugin-path)" --help'
    here = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(cache[0])}
    assert shutil.which("heka-raven", path=env["PATH"])
    told = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=240, check=True)
    assert "--sentry-dsn" in told.stdout


def test_a_package_brings_it(tmp_path):
    """What heka-raven-plugin has for this build of uWSGI is taken as it is: no compiler, nothing in the cache."""
    code, out, err = plugin_path(tmp_path / "cache", **brought(tmp_path))
    assert (0, f"{tmp_path}/site/heka_raven_plugin/one/sentry_plugin.so\n", "") == (code, out, err)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "changed",
    [{"plugins": {"0" * 16: "one"}}, {"sources": "0" * 64}, {"glibc": [9, 1]}, {"machine": "other"}],
    ids=["another-build", "another-version", "a-newer-glibc", "another-processor"],
)
def test_what_a_package_brings_for_others_is_left(tmp_path, changed):
    """A plugin for another build of uWSGI, of other sources, or for another machine is never printed."""
    assert (2, "", NO_COMPILER) == plugin_path(tmp_path / "cache", **brought(tmp_path, **changed))


def test_without_libcurl(tmp_path):
    """A plugin that was brought needs the system's libcurl: where it does not load, one line says what to install."""
    (tmp_path / "libcurl.so.4").touch()
    code, out, err = plugin_path(tmp_path, LD_LIBRARY_PATH=str(tmp_path), **brought(tmp_path))
    assert (2, "") == (code, out)
    assert err.endswith("sentry_plugin.so needs libcurl.so.4, which is not there: apt-get install libcurl4\n")


def test_the_one_command(tmp_path):
    """heka-raven uwsgi starts the uWSGI that is installed, with the plugin."""
    code, out, err = run_command("uwsgi", "--help", env=brought(tmp_path))
    assert 0 == code, err
    assert out.startswith("usage: heka-raven uwsgi OPTION-OF-UWSGI ...")
    code, out, err = run_command("uwsgi", "--show-config", "--help", env=brought(tmp_path / "again"))
    assert (0, True) == (code, "--sentry-dsn" in out), err
    assert (2, "") == run_command("uwsgi")[:2]
