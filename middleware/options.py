"""The middleware's options: one table of (option, converter), every value checked when the app starts.

A value may be text: every option is also a key of a PasteDeploy ini.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from heka.convert import Option, to_callable, to_flag, to_int, to_names, wrong
from heka.exceptions import ConfigError
from heka_raven.middleware.frameworks import FRAMEWORKS
from heka_raven.reporting.options import OPTIONS as PLUGIN_OPTIONS
from heka_raven.reporting.options import InvalidArgumentError, convert_given

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
    frameworks: tuple[str, ...] = tuple(FRAMEWORKS)
    report_5xx: bool = False
    watch: bool = False


def _frameworks(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, bool):
        value = "auto" if value else "off"
    names = tuple(name.lower() for name in to_names(key, value))
    if names == ("auto",):
        return tuple(FRAMEWORKS)
    if names == ("off",):
        return ()
    for name in names or ("",):
        if name not in FRAMEWORKS:
            raise wrong(key, name, f"auto, off, or some of {', '.join(FRAMEWORKS)}")
    return names


OPTIONS: Mapping[str, Option] = {
    "body": Option(
        partial(to_int, low=0, high=MAX_BODY, allowed=f"a number of bytes from 0 to {MAX_BODY}"),
        f"0 to {MAX_BODY}",
        "bytes",
        "keep so much of what the application read of its request's body",
    ),
    "trusted_proxies": Option(
        partial(to_int, low=0, high=MAX_PROXIES, allowed=f"a number of proxies from 0 to {MAX_PROXIES}"),
        f"0 to {MAX_PROXIES}",
        "proxies",
        "in front of the server that are yours",
    ),
    "ignore": Option(to_names, "classes or their names", "", "exceptions that are not reported, with their subclasses"),
    "system_exit": Option(to_flag, "boolean", "", "report SystemExit with a status that is not 0"),
    "keyboard_interrupt": Option(to_flag, "boolean", "", "report KeyboardInterrupt"),
    "report_thrown": Option(to_flag, "boolean", "", "report also when environ['paste.throw_errors'] is set"),
    "catchall": Option(to_flag, "boolean", "", "answer 500 with the event id"),
    "error_page": Option(
        to_callable, "WSGI application or its name", "", "in place of the built-in page; with catchall"
    ),
    "frameworks": Option(
        _frameworks,
        "auto, off, or names",
        "",
        "frameworks whose errors are reported where they answer 500 by themselves; auto: each that is in use",
    ),
    "report_5xx": Option(
        to_flag,
        "boolean",
        "",
        "an event for each answer of 500 or more without a known error; default: one warning",
    ),
    "watch": Option(to_flag, "boolean", "", "tell the requests in flight to heka-raven watch"),
}


def parse_options(given: dict[str, Any]) -> tuple[MiddlewareOptions, dict[str, Any]]:
    """Check *given*.

    Returns:
        The middleware's options, and those that are left for a client of its own.

    Raises:
        InvalidArgumentError: for an option that does not exist, or a value that is not allowed; it names both.
    """
    own = convert_given(OPTIONS, {name: value for name, value in given.items() if name in OPTIONS})
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
        from heka_raven.reporting.clients import build_client

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
