"""The other Pythons of this machine, and environments of them with this project."""

import os
import subprocess
from pathlib import Path

from support.paths import ROOT


def find_python(version):
    """A Python of that version: of pyenv, else of the PATH; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(p / "bin" / "python") for p in sorted(pyenv.glob(f"{version}.*"))] + [f"python{version}"]
    for candidate in candidates:
        try:
            ran = subprocess.run(
                [candidate, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
            )
        except OSError:
            continue
        if ran.stdout.strip() == version:
            return candidate
    return None


def environment(python, name, extras="", *requirements):
    """``build/venv-NAME``, made by *python*, with this project in it; what is there is kept while nothing changed."""
    venv, project = ROOT / "build" / f"venv-{name}", f"{ROOT}[{extras}]" if extras else str(ROOT)
    said = [path.read_text() for path in (ROOT / "setup.py", ROOT / "heka_raven" / "__init__.py")]
    folders = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
    wanted, installed = repr([python, project, requirements, folders, *said]), venv / "installed"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [venv / "bin" / "pip", "install", "-q", "-e", project, *requirements]
        subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
        installed.write_text(wanted)
    return venv
