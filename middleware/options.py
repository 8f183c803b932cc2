"""The middleware's options: one table of (option, converter), every value checked when the app starts.

A value may be text: every option is also a key of a PasteDeploy ini.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heka.exceptions import ConfigError
from heka_raven.reporting.options import OPTIONS as PLUGIN_OPTIONS
from heka_raven.reporting.options import InvalidArgumentError, to_boolean, to_callable, to_integer, to_names

if TYPE_CHECKING:
    from heka.client import HekaClient

MAX_BODY = 1024 * 1024  # bytes; an event is at most as large
MAX_PROXIES = 32


@dataclass(slots=True)
class MiddlewareOptions:
    """What the middleware was told; see docs/middleware.rst."""

    body: int = 0
    trusted_proxies: int = 0
    ignore: tuple[str, ...] = ()
    system_exit: bool = True
    keyboard_interrupt: bool = False
    report_thrown: bool = False
    catchall: bool = False
    error_page: Callable[..., Any] | None = None


OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "body": to_integer(0, MAX_BODY, f"a number of bytes from 0 to {MAX_BODY}"),
    "trusted_proxies": to_integer(0, MAX_PROXIES, f"a number of proxies from 0 to {MAX_PROXIES}"),
    "ignore": to_names,
    "system_exit": to_boolean,
    "keyboard_interrupt": to_boolean,
    "report_thrown": to_boolean,
    "catchall": to_boolean,
    "error_page": to_callable,
}


def parse_options(given: dict[str, Any]) -> tuple[MiddlewareOptions, dict[str, Any]]:
    """Check *given*.

    Returns:
        The middleware's options, and those that are left for a client of its own.

    Raises:
        InvalidArgumentError: for an option that does not exist, or a value that is not allowed; it names both.
    """
    own = {name: OPTIONS[name](name, value) for name, value in given.items() if name in OPTIONS and value is not None}
    rest = {name: value for name, value in given.items() if name not in OPTIONS}
    unknown = sorted(name for name in rest if name not in PLUGIN_OPTIONS and not name.startswith("stream_"))
    if unknown:
        known = ", ".join([*OPTIONS, *(name for name in PLUGIN_OPTIONS if name not in OPTIONS)])
        plural = "s" if len(unknown) > 1 else ""
        raise InvalidArgumentError(
            f"RavenMiddleware: unknown option{plural} {', '.join(unknown)}; known are {known}, stream_*"
        )
    options = MiddlewareOptions(**own)
    if options.error_page is not None and not options.catchall:
        raise InvalidArgumentError("error_page: is never shown without catchall = true")
    return options, rest


def make_client(
    client: HekaClient | str | None, dsn: str | None, options: dict[str, Any], ignore: tuple[str, ...]
) -> HekaClient:
    """The client to report with: the one given, or a new one for *dsn* with *options*, which ignores the same."""
    if client is None:
        if dsn is None:
            raise ConfigError("RavenMiddleware: there is neither a client nor a dsn: give one of them")
        from heka_raven.raven_plugin import build_client

        return build_client(dsn, ignore=ignore, **options)
    if isinstance(client, str):
        raise ConfigError("RavenMiddleware: a text is no client; a DSN is given by its name: dsn=...")
    if dsn is not None:
        raise ConfigError("RavenMiddleware: there are both a client and a dsn: the client has its own")
    if options:
        raise ConfigError(f"RavenMiddleware: {', '.join(sorted(options))}: to be set where the client is made")
    if not callable(getattr(client, "raven", None)):
        raise ConfigError(
            "RavenMiddleware: the client has no raven plugin; its configuration needs "
            "plugins = {'raven': ('heka_raven.raven_plugin:config_plugin', {'dsn': ...})}"
        )
    return client
