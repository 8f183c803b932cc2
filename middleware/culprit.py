# culprit.py: the name of what a request asked for: its method and its route.
"""``METHOD route`` of a request."""

from __future__ import annotations

from types import TracebackType
from typing import Any


def transaction(environ: dict[str, Any], traceback: TracebackType | None = None) -> str:
    """``METHOD route``, or ``METHOD path`` where no framework left its route."""
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"
    return f"{environ.get('REQUEST_METHOD', 'GET')} {path}"
