"""The Django applications of test_any_app.py with other versions of Django, each in an environment of its own."""

import subprocess

import pytest

from support.paths import ROOT
from support.pythons import environment, find_python

# (Django, the Pythons that it runs on, the best first)
VERSIONS = [("4.2", ["3.11", "3.12", "3.10"]), ("5.2", ["3.13", "3.12"]), ("6.0", ["3.13", "3.12"])]
TOOLS = ["djangorestframework", "hypothesis", "pytest", "pytest-timeout"]


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("django", "pythons"), VERSIONS)
def test_django(django, pythons):
    """4.2, 5.2 and 6: each failing application is one event with its route, the answers are Django's own."""
    python = next(filter(None, map(find_python, pythons)), None)
    if python is None:
        pytest.skip(f"this machine has no Python for Django {django}")
    venv = environment(python, f"django-{django}", "", f"Django~={django}.0", *TOOLS)
    ran = subprocess.run(
        [venv / "bin" / "python", "-m", "pytest", "-q", "-k", "django", "-p", "no:cacheprovider",
         "tests/functional/middleware/test_any_app.py"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert 0 == ran.returncode, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout and "deselected" in ran.stdout
