"""The watch under the gunicorns that are still in use, each in an environment of its own."""

import subprocess
import sys

import pytest

from support.gunicorn import Gunicorn, functions
from support.paths import ROOT

VERSIONS = ["22.0", "23.0", "24.1", "25.3", "26.0"]  # the tests beside this one run the newest


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_gunicorn_of_another_version(tmp_path, version):
    """A timeout and an exit are one event each, with request and stack, and a reload is none."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "-e", ROOT, f"gunicorn~={version}"]
    subprocess.run(pip, check=True, timeout=500)
    for path, kind, function in (("stuck", "timeout", "stuck"), ("exit", "exit", "view")):
        folder = tmp_path / kind
        folder.mkdir()
        with Gunicorn(folder, "-w", "2", "--timeout", "2", program=venv / "bin" / "gunicorn") as server:
            server.get(f"/{path}")
            event = server.event(kind)
        assert f"GET /{path}" == event["transaction"] and function in functions(event)
