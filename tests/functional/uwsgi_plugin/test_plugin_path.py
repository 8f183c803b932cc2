"""heka-raven plugin-path: one command in place of building, copying and plugins-dir."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.delivery import in_words, run_command
from support.uwsgi import find_uwsgi


def plugin_path(cache, **environ):
    return run_command("plugin-path", "--uwsgi", find_uwsgi(), env={"XDG_CACHE_HOME": str(cache), **environ})


def test_it_is_built_once_and_kept(tmp_path):
    """The first call builds, the second needs no compiler; uWSGI loads what the command prints."""
    first = plugin_path(tmp_path)
    assert (0, "compiling the plugin: half a minute, as a rule\n") == (first[0], first[2]), in_words(first)
    assert (*first[:2], "") == plugin_path(tmp_path, CC="no-such-cc")
    path = Path(first[1].strip())
    assert path.is_relative_to(tmp_path) and "sentry_plugin.so" == path.name
    told = subprocess.run(
        [find_uwsgi(), "--plugin", str(path), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "--sentry-dsn" in told.stdout


def test_another_binary_has_another_plugin(tmp_path):
    """What was built for one binary is not given to the next; without a compiler one line says so."""
    assert 0 == plugin_path(tmp_path)[0]
    other = tmp_path / "uwsgi"
    other.write_bytes(Path(find_uwsgi()).read_bytes() + b"\0")
    other.chmod(0o755)
    code, out, err = run_command(
        "plugin-path", "--uwsgi", other, env={"XDG_CACHE_HOME": str(tmp_path), "CC": "no-such-cc"}
    )
    assert (2, "") == (code, out)
    assert (
        "heka-raven plugin-path: no C compiler; apt-get install gcc libcurl4-openssl-dev, or name one in $CC\n" == err
    )


def test_a_cache_that_others_can_write_to_is_refused(tmp_path):
    """A plugin is code: where somebody else may have put it, nothing is loaded and nothing is built."""
    (tmp_path / "heka-raven").mkdir()
    (tmp_path / "heka-raven").chmod(0o777)
    code, out, err = plugin_path(tmp_path)
    assert (2, "") == (code, out)
    assert f"heka-raven plugin-path: {tmp_path}/heka-raven: another user may write there; set XDG_CACHE_HOME\n" == err


def test_the_command_line_that_the_documentation_prints(tmp_path):
    """uwsgi --plugin "$(heka-raven plugin-path)" is all."""
    script = 'uwsgi --plugin "$(heka-raven plugin-path)" --help'
    here = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path)}
    assert shutil.which("heka-raven", path=env["PATH"])
    told = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=240, check=True)
    assert "--sentry-dsn" in told.stdout
