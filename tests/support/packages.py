"""Distributions that pip installs without a network or a build backend."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_wheel(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """A wheel of version 1.0 with these files."""
    meta = f"{name}-1.0.dist-info"
    said = {
        f"{meta}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{meta}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    record = "".join(f"{path},,\n" for path in (*files, *said, f"{meta}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as file:
        for path, text in {**files, **said, f"{meta}/RECORD": record}.items():
            file.writestr(path, text)
    return wheel


def install_into(folder: Path, *wheels: Path) -> None:
    """``pip install --target``."""
    options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-index", "--target", folder]
    command = [sys.executable, "-m", "pip", "install", *options, *wheels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert 0 == done.returncode, done.stderr
