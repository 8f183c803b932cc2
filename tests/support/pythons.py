"""The other Pythons of this machine."""

import os
import subprocess
from pathlib import Path


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
