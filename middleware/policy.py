# policy.py: what is reported and what is not.
"""Which exceptions of an application are errors."""

from __future__ import annotations

from typing import Any


class Policy:
    """Decides whether an exception that leaves an application is reported."""

    __slots__ = ()

    def wants(self, error: BaseException, environ: dict[str, Any]) -> bool:
        """Whether *error*, which left the application of *environ*, is to be reported."""
        if isinstance(error, (GeneratorExit, KeyboardInterrupt)):
            return False
        if isinstance(error, SystemExit):
            return error.code not in (0, None)
        return True
