"""Names that heka-py's and heka-py-raven's documentation print and that never were right.

Every snippet of those documents runs: a module of a wrong name hands out the right module's names, with a warning.
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def forward_names(wrong: str, right: str) -> Callable[[str], Any]:
    """A module ``__getattr__`` for the module called *wrong* that looks in the one called *right*."""

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {wrong!r} has no attribute {name!r}")
        try:
            found = getattr(importlib.import_module(right), name)
        except AttributeError:
            raise AttributeError(f"module {wrong!r} has no attribute {name!r}, nor has {right!r}") from None
        warnings.warn(f"{wrong}.{name} is called {right}.{name}", DeprecationWarning, stacklevel=2)
        return found

    return __getattr__
