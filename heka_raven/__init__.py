"""Exceptions to Sentry events, the spool they wait in, and the sender that delivers them.

What a program needs is importable from here, each name at its first use; the modules that the documentation names
(``raven_plugin raven_client middleware logging streams uwsgi_bridge scope gunicorn``) stay where they are. Every other
module is an inner room of the house, which docs/architecture.rst draws, and may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heka_raven.jobs.setup import init
    from heka_raven.logging import RavenHandler
    from heka_raven.middleware import RavenMiddleware
    from heka_raven.raven_client import RavenClient
    from heka_raven.raven_plugin import InvalidArgumentError, build_client, capture_stack, config_plugin
    from heka_raven.streams import SpoolStream

__all__ = [
    "InvalidArgumentError",
    "RavenClient",
    "RavenHandler",
    "RavenMiddleware",
    "SpoolStream",
    "__version__",
    "build_client",
    "capture_stack",
    "config_plugin",
    "init",
]

__version__ = "1.0.0.dev0"

# What every event, request and User-Agent calls this software (Sentry's NAME/VERSION).
SDK_NAME = "heka-raven"
CLIENT_NAME = f"{SDK_NAME}/{__version__}"

# Where each name lives. None is imported before it is asked for: a sender, or the command, needs no middleware, and
# raven alone costs 155 ms.
_DOORS = {
    "InvalidArgumentError": "heka_raven.raven_plugin",
    "RavenClient": "heka_raven.raven_client",
    "RavenHandler": "heka_raven.logging",
    "RavenMiddleware": "heka_raven.middleware",
    "SpoolStream": "heka_raven.streams",
    "build_client": "heka_raven.raven_plugin",
    "capture_stack": "heka_raven.raven_plugin",
    "config_plugin": "heka_raven.raven_plugin",
    "init": "heka_raven.jobs.setup",
}


def __getattr__(name: str) -> Any:
    if name not in _DOORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_DOORS[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
