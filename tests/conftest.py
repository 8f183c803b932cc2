"""What every test may rely on: support modules beside this file import by their plain name."""

import sys
import warnings
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

with warnings.catch_warnings():
    # WebOb imports the standard library's deprecated cgi where that still exists; tests treat warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    import webob  # noqa: F401

# On a busy machine any example can take longer than hypothesis' 200 ms; the tests' own time limit stays.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
