"""Servers that root starts and another user runs, as operators have them."""

import importlib.util
import os

import pytest

from support.paths import ROOT

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")
NOBODY = 65534

_spec = importlib.util.spec_from_file_location("demo_user", ROOT / "examples" / "demo" / "user.py")
_demo_user = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_demo_user)
closed_above, launch_readable = _demo_user.closed_above, _demo_user.launch_readable
"""As `./run demo --user` starts its server."""
