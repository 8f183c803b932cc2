"""The watch under the gunicorns that are still in use, each before the installed one on Python's path."""

import subprocess
import sys

import pytest

from support.gunicorn import Gunicorn, functions

VERSIONS = ["22.0", "23.0", "24.1", "25.3", "26.0"]  # the tests beside this one run the newest


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_gunicorn_of_another_version(tmp_path, version):
    """A timeout and an exit are one event each, with request and stack."""
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, f"gunicorn=={version}.*"]
    subprocess.run(pip, check=True, timeout=500)
    launch = ("env", f"PYTHONPATH={site}")
    for path, kind, function in (("stuck", "timeout", "stuck"), ("exit", "exit", "view")):
        folder = tmp_path / kind
        folder.mkdir()
        options = ("-w", "2", "--timeout", "2")
        with Gunicorn(folder, *options, program=site / "bin" / "gunicorn", launch=launch) as server:
            server.get(f"/{path}")
            event = server.event(kind)
            assert f"Starting gunicorn {version}." in server.said()
        assert f"GET /{path}" == event["transaction"] and function in functions(event)
