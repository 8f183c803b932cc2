"""The raven plugin's options: one table of (option, converter), every value checked when the app starts.

Values from an INI file may be text, numbers, booleans or lists of lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heka.exceptions import ConfigError
from heka.path import resolve_name
from heka_raven.formats.dsn import Dsn, parse_dsn
from heka_raven.reporting.throttle import Throttle

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
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


def _wrong(key: str, value: Any, allowed: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{key}: {value!r} is not allowed: {allowed}")


def _checked(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ConfigError as error:
        raise InvalidArgumentError(str(error)) from None


def _dsn(key: str, value: Any) -> Dsn | None:
    if isinstance(value, Dsn) or value is None:
        return value
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{key}: a {type(value).__name__} is not allowed: the text of a DSN")
    return _checked(parse_dsn, value) if value.strip() else None


def _text(key: str, value: Any) -> str | None:
    if value is None or isinstance(value, (str, int, float)):
        return None if value is None else str(value)
    raise _wrong(key, value, "one line of text")


def _matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str, Any], str | None]:
    def convert(key: str, value: Any) -> str | None:
        text = _text(key, value)
        if text and pattern.fullmatch(text) is None:
            raise _wrong(key, value, allowed)
        return text or None

    return convert


def to_integer(low: int, high: int, allowed: str) -> Callable[[str, Any], int]:
    def convert(key: str, value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = low - 1
        if isinstance(value, (bool, float)) or not low <= number <= high:
            raise _wrong(key, value, allowed)
        return number

    return convert


def _protocol(key: str, value: Any) -> int:
    if str(value) not in ("3", "7"):
        raise _wrong(key, value, "7, or 3 for Sentry 5")
    return int(value)


def _choice(*choices: str) -> Callable[[str, Any], str]:
    def convert(key: str, value: Any) -> str:
        if value not in choices:
            raise _wrong(key, value, " or ".join(choices))
        return str(value)

    return convert


def to_boolean(key: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in _TRUE and text not in _FALSE:
        raise _wrong(key, value, "true or false")
    return text in _TRUE


def _rate(key: str, value: Any) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = -1.0
    if isinstance(value, bool) or not 0 <= rate <= 1:
        raise _wrong(key, value, "a number from 0 to 1")
    return rate


def to_names(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = re.split(r"[\s,]+", value)
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _wrong(key, value, "names, separated by commas or on lines of their own")
    names = []
    for item in value:
        if isinstance(item, type):
            names.append(f"{item.__module__}.{item.__qualname__}")
        elif isinstance(item, str):
            names += [name for name in re.split(r"[\s,]+", item) if name]
        else:
            raise _wrong(key, item, "a name")
    return tuple(names)


def _places(key: str, value: Any) -> tuple[str, ...]:
    names = to_names(key, value)
    for name in names:
        if ("/" in name and name[0] != "/") or not name.strip("/."):
            raise _wrong(key, name, "the name of a package or a module, or the whole path of a folder")
    return names


def _tags(key: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(name): str(item) for name, item in value.items()}
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        raise _wrong(key, value, "name:value pairs, separated by commas or on lines of their own")
    tags = {}
    for line in lines:
        for pair in str(line).split(","):
            if not pair.strip():
                continue
            name, separator, item = re.sub(r"^([^:=]*)=", r"\1:", pair, count=1).partition(":")
            if not separator or not name.strip():
                raise _wrong(key, pair.strip(), "name:value")
            tags[name.strip()] = item.strip()
    return tags


def to_callable(key: str, value: Any) -> Callable[..., Any] | None:
    if isinstance(value, str):
        try:
            value = resolve_name(value)
        except (ImportError, AttributeError, ValueError) as error:
            raise InvalidArgumentError(f"{key}: {value!r} cannot be imported: {error}") from None
    if value is not None and not callable(value):
        raise _wrong(key, value, "a function, or the dotted name of one")
    found: Callable[..., Any] | None = value
    return found


def _throttle(key: str, value: Any) -> Throttle | None:
    if value is None or isinstance(value, Throttle):
        return value
    found: Throttle = _checked(Throttle.parse, str(value))
    return found


OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "dsn": _dsn,
    "logger": _text,
    "severity": to_integer(0, 7, "an integer from 0 to 7"),
    "protocol": _protocol,
    "payload": _choice("json", "raven"),
    "release": _matching(_RELEASE, "up to 200 characters without white space and slashes"),
    "environment": _matching(_ENVIRONMENT, "up to 64 characters without white space and slashes"),
    "server_name": _text,
    "tags": _tags,
    "ignore": to_names,
    "scrub_keys": to_names,
    "scrub_allow": to_names,
    "send_pii": to_boolean,
    "send_secret": to_boolean,
    "sample_rate": _rate,
    "before_send": to_callable,
    "locals": _choice("values", "repr", "off"),
    "max_per_fingerprint": _throttle,
    "in_app_include": _places,
    "in_app_exclude": _places,
}


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
    values = {name: OPTIONS[name](name, value) for name, value in config.items() if value is not None}
    return PluginOptions(**values)
