"""The length of an error's way, which docs/architecture.rst names."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
MAX_FILES = 10


def test_an_exception_needs_few_files_on_its_way_to_the_spool():
    """From RavenMiddleware to the rename at most ten files stand one in the other; the page says how many."""
    ran = subprocess.run([sys.executable, ROOT / "bench" / "walk.py"], capture_output=True, text=True, check=True)
    count = int(re.match(r"(\d+) files from RavenMiddleware to the rename:", ran.stdout)[1])
    assert count <= MAX_FILES, ran.stdout
    page = (ROOT / "docs" / "architecture.rst").read_text(encoding="utf-8")
    assert f"The way itself is {count} files" in page
