"""The documentation builds without a warning in both themes, its doctests pass, and it can be read, also on dark."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.browser import ARTIFACTS, chromium

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.full


@pytest.mark.parametrize("theme", ["default", "mozilla"])
def test_both_themes(theme, tmp_path):
    """`./run docs` passes; the first block of code of a page stands beside the sidebar, not below it."""
    pytest.importorskip("sphinx")
    pytest.importorskip("mozilla_sphinx_theme")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "docs" / "build.py"), "--theme", theme],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    page = ROOT / "docs" / "_build" / theme / "start.html"
    with chromium(tmp_path / "profile", size=(1200, 1500)) as browser:
        browser.get(page.as_uri())
        block = browser.find_element("css selector", "div.body pre, article pre")
        heading = browser.find_element("css selector", "div.body h1, article h1")
        assert browser.find_elements("css selector", "button.copybtn")
        assert block.location["y"] - heading.location["y"] < 600
        ARTIFACTS.mkdir(exist_ok=True)
        browser.save_screenshot(str(ARTIFACTS / f"docs-{theme}.png"))
    if theme == "default":
        with chromium(tmp_path / "dark", size=(1200, 1500), dark=True) as browser:
            browser.get(page.as_uri())
            color = browser.find_element("css selector", "body").value_of_css_property("background-color")
            assert sum(map(int, re.findall(r"\d+", color)[:3])) < 200, f"{color} is not dark"
            browser.save_screenshot(str(ARTIFACTS / "docs-default-dark.png"))
