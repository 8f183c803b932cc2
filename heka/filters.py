"""Providers of filters. A filter takes a Message and says whether it passes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from heka.exceptions import ConfigError
from heka.message import Message

Filter = Callable[[Message], bool]


def severity_max_provider(severity: int | str) -> Filter:
    """Stops what is less severe than *severity* (a higher number)."""
    try:
        if isinstance(severity, (bool, float)):
            raise TypeError
        most = int(severity)
    except (TypeError, ValueError):
        raise ConfigError(f"severity: {_shown(severity)} is not allowed: an integer") from None

    def severity_max(msg: Message) -> bool:
        return msg.severity <= most

    return severity_max


def type_blacklist_provider(types: str | Iterable[str]) -> Filter:
    """Stops messages of *types*."""
    listed = _as_set(types)

    def type_blacklist(msg: Message) -> bool:
        return msg.type not in listed

    return type_blacklist


def type_whitelist_provider(types: str | Iterable[str]) -> Filter:
    """Stops messages of every type but *types*."""
    listed = _as_set(types)

    def type_whitelist(msg: Message) -> bool:
        return msg.type in listed

    return type_whitelist


def type_severity_max_provider(types: Mapping[str, Mapping[str, Any]]) -> Filter:
    """Stops messages of a type in *types* that are less severe than its maximum: ``{type: {"severity": 4}}``."""
    if not isinstance(types, Mapping) or not all(isinstance(options, Mapping) for options in types.values()):
        raise ConfigError(f"types: {_shown(types)} is not allowed: a dict of a type to {{'severity': number}}")
    filters = {name: severity_max_provider(**options) for name, options in types.items()}

    def type_severity_max(msg: Message) -> bool:
        found = filters.get(msg.type)
        return found is None or found(msg)

    return type_severity_max


def _shown(value: object) -> str:
    """*value* for an error: another provider's options can hold a DSN or a password."""
    return f"a {type(value).__name__}" if isinstance(value, Mapping) else repr(value)


def _as_set(types: object) -> frozenset[str]:
    """One type of an INI file is a str, several are a list; a numeric one has become an int."""
    if isinstance(types, (str, int)):
        return frozenset((str(types),))
    if not isinstance(types, Iterable) or isinstance(types, Mapping):
        raise ConfigError(f"types: {_shown(types)} is not allowed: one type or a list of them")
    return frozenset(str(name) for name in types)
