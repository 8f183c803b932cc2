"""The plugin's sources and the Python package are one release."""

import re
from pathlib import Path

import heka_raven

ROOT = Path(__file__).resolve().parents[3]


def test_c_and_python_carry_the_same_version():
    """HK_VERSION in core/hk.h is heka_raven.__version__, so that both halves name themselves alike."""
    header = (ROOT / "uwsgi_plugin" / "core" / "hk.h").read_text()
    found = re.search(r'#define HK_VERSION "([^"]+)"', header)
    assert found is not None and found.group(1) == heka_raven.__version__
