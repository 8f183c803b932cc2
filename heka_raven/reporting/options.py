"""The raven plugin's options: one table of (option, converter), every value checked when the app starts.

Values from an INI file may be text, numbers, booleans or lists of lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from heka.convert import (
    Option,
    convert_options,
    to_callable,
    to_choice,
    to_flag,
    to_int,
    to_matching,
    to_names,
    to_number,
    to_pairs,
    to_text,
    wrong,
)
from heka.exceptions import ConfigError
from heka_raven.formats.dsn import Dsn, parse_dsn
from heka_raven.reporting.throttle import Throttle

# Sentry drops a release or an environment that breaks these rules.
_RELEASE = re.compile(r"[^\s/\\]{1,200}")
_ENVIRONMENT = re.compile(r"[^\s/]{1,64}")


class InvalidArgumentError(ConfigError, RuntimeError):
    """An option that does not exist, or a value that it does not take; the message names it.

    A RuntimeError too, as it is in heka-py-raven.
    """


@dataclass(slots=True)
class PluginOptions:
    """What the plugin was told; see docs/raven_plugin.rst."""

    dsn: Dsn | None = None
    logger: str | None = None
    severity: int = 3
    protocol: int = 7
    payload: str | None = None  # json or raven; None: raven to a router, json to the spool
    release: str | None = None
    environment: str | None = None
    server_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    scrub_keys: tuple[str, ...] = ()
    scrub_allow: tuple[str, ...] = ()
    send_pii: bool = False
    send_secret: bool = False
    sample_rate: float = 1.0
    before_send: Callable[[dict[str, Any], dict[str, Any]], Any] | None = None
    locals: str = "values"
    max_per_fingerprint: Throttle | None = None
    in_app_include: tuple[str, ...] = ()
    in_app_exclude: tuple[str, ...] = ()


def _dsn(key: str, value: Any) -> Dsn | None:
    if isinstance(value, Dsn):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{key}: a {type(value).__name__} is not allowed: the text of a DSN")
    return parse_dsn(value) if value.strip() else None


def _protocol(key: str, value: Any) -> int:
    return int(to_choice(key, value, choices=("7", "3"), allowed="7, or 3 for Sentry 5"))


def _throttle(key: str, value: Any) -> Throttle:
    return value if isinstance(value, Throttle) else Throttle.parse(str(value))


def _places(key: str, value: Any) -> tuple[str, ...]:
    names = to_names(key, value)
    for name in names:
        if ("/" in name and name[0] != "/") or not name.strip("/."):
            raise wrong(key, name, "the name of a package or a module, or the whole path of a folder")
    return names


OPTIONS: Mapping[str, Option] = {
    "dsn": Option(_dsn, "DSN", "", "where to report to; without one nothing is, and one warning says so"),
    "logger": Option(to_text, "text", "", "the event's and the message's logger; default: the client's"),
    "severity": Option(
        partial(to_int, low=0, high=7, allowed="an integer from 0 to 7"),
        "0 to 7",
        "syslog",
        "of the heka message; the event's level follows it",
    ),
    "protocol": Option(_protocol, "7, 3", "", "3: the event that Sentry 5.1 to 5.4 understands"),
    "payload": Option(
        partial(to_choice, choices=("json", "raven")),
        "json, raven",
        "",
        "raven: zlib and base64; default: raven to a router, json to the spool",
    ),
    "release": Option(
        to_matching(_RELEASE, "up to 200 characters without white space and slashes"),
        "text, no white space or slashes",
        "200 characters",
        "of every event",
    ),
    "environment": Option(
        to_matching(_ENVIRONMENT, "up to 64 characters without white space and slashes"),
        "text, no white space or slashes",
        "64 characters",
        "of every event",
    ),
    "server_name": Option(to_text, "text", "", "default: the host's name"),
    "tags": Option(to_pairs, "name:value pairs, or a dict", "", "of every event"),
    "ignore": Option(to_names, "classes or their names", "", "exceptions that are not reported, with their subclasses"),
    "scrub_keys": Option(to_names, "names", "", "more names whose values are removed"),
    "scrub_allow": Option(to_names, "names", "", "names whose values stay although a rule would remove them"),
    "send_pii": Option(
        to_flag, "boolean", "", "send who the visitor is: address headers, REMOTE_USER, the user's e-mail"
    ),
    "send_secret": Option(to_flag, "boolean", "", "leave the DSN's secret in the heka message"),
    "sample_rate": Option(partial(to_number, low=0, high=1), "0 to 1", "share", "of the events that are kept"),
    "before_send": Option(
        to_callable,
        "function or its name",
        "",
        "gets (event, hint) after scrubbing; returns the event, or None to drop it",
    ),
    "locals": Option(
        partial(to_choice, choices=("values", "repr", "off")),
        "values, repr, off",
        "",
        "how variables are shown; repr calls ``__repr__`` of your classes",
    ),
    "max_per_fingerprint": Option(
        _throttle, "N/SECONDS, as 100/60s", "per process", "events of one fingerprint; the rest is counted"
    ),
    "in_app_include": Option(
        _places, "names of packages and modules; folders", "", "whose frames are ``in_app``, beside the application's"
    ),
    "in_app_exclude": Option(
        _places, "names of packages and modules; folders", "", "whose frames are not; the longer entry decides"
    ),
}


def convert_given(table: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of *given*, converted by *table*; an option that is None is as if it were not given.

    Raises:
        InvalidArgumentError: for the first value that is not allowed; it names it.
    """
    try:
        return convert_options(table, {name: value for name, value in given.items() if value is not None})
    except ConfigError as error:
        raise InvalidArgumentError(str(error)) from None


def parse_options(config: Mapping[str, Any]) -> PluginOptions:
    """Check *config*.

    Raises:
        InvalidArgumentError: for an option that does not exist, or a value that is not allowed; it names both.
    """
    unknown = sorted(str(name) for name in config if name not in OPTIONS)
    if unknown:
        raise InvalidArgumentError(
            f"raven plugin: unknown option{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}; "
            f"known are {', '.join(OPTIONS)}"
        )
    return PluginOptions(**convert_given(OPTIONS, config))
