"""What every test may rely on: support modules beside this file import by their plain name."""

import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

with warnings.catch_warnings():
    # WebOb imports the standard library's deprecated cgi where that still exists; tests treat warnings as errors.
    warnings.simplefilter("ignore", DeprecationWarning)
    import webob  # noqa: F401
