"""What can be set about delivery, once for the stream, the thread and the command.

Values may come from an INI file or a command line, so each option names the converter that turns text into its value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from heka.exceptions import ConfigError

DEFAULT_CONNECTIONS = 16  # 100 events a second from a server that takes 100 ms need more than ten
MAX_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """How the sender delivers. Every field is a keyword of ``SpoolStream`` (in INI: ``stream_<name>``)."""

    connections: int = DEFAULT_CONNECTIONS  # at once, over all servers
    connect_timeout_s: float = 5.0
    timeout_s: float = 10.0  # for a whole request; an event's own hk.timeout_s wins
    max_age_s: float = 24 * 3600.0  # an event that failed and is older is given up
    rate_limit: str = "hold"  # hold: wait until the server's quiet is over; discard: drop meanwhile
    compress: str = "none"  # gzip: compress envelope bodies (not every old server takes it)
    proxy: str | None = None  # default: $HTTP_PROXY, $HTTPS_PROXY, $NO_PROXY
    ca_file: str | None = None  # default: the system's certificates
    client_reports: bool = True
    exit_wait_s: float = 2.0  # at exit of a process whose thread delivers


def to_int(key: str, value: object, *, low: int, high: int) -> int:
    try:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: {value!r} is not a whole number") from None
    if not low <= number <= high:
        raise ConfigError(f"{key}: {number} is outside {low}..{high}")
    return int(number)


def to_seconds(key: str, value: object, *, low: float, high: float) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConfigError(f"{key}: {value!r} is not a number of seconds") from None
    if not low <= number <= high:  # refuses nan too
        raise ConfigError(f"{key}: {number:g} s is outside {low:g}..{high:g} s")
    return number


def to_size(key: str, value: object, *, low: int, high: int) -> int:
    """Bytes; text may end in K, M or G."""
    if isinstance(value, str):
        text = value.strip().upper().removesuffix("B").removesuffix("I")
        factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
        return to_int(key, to_int(key, text.rstrip("KMG"), low=0, high=high) * factor, low=low, high=high)
    return to_int(key, value, low=low, high=high)


def to_flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "t", "yes", "y", "on"):
        return True
    if text in ("0", "false", "f", "no", "n", "off"):
        return False
    raise ConfigError(f"{key}: {value!r} is neither true nor false")


def to_choice(key: str, value: object, *, choices: tuple[str, ...]) -> str:
    # A heka INI has already made False of `off`.
    text = "off" if value is False else str(value).strip().lower()
    if text not in choices:
        raise ConfigError(f"{key}: {value!r} is none of {', '.join(choices)}")
    return text


def to_file(key: str, value: object) -> str | None:
    if value in (None, ""):
        return None
    if not os.path.exists(str(value)):
        raise ConfigError(f"{key}: {value} does not exist")
    return str(value)


def to_proxy(key: str, value: object) -> str | None:
    if value in (None, ""):
        return None
    text = str(value).strip()
    if not text.lower().startswith(("http://", "https://")):
        raise ConfigError(f"{key}: a proxy is http://host:port or https://host:port")  # not quoted: may hold a password
    return text


CONVERTERS: Mapping[str, Callable[[str, object], Any]] = {
    "connections": lambda key, value: to_int(key, value, low=1, high=MAX_CONNECTIONS),
    "connect_timeout_s": lambda key, value: to_seconds(key, value, low=0.01, high=300),
    "timeout_s": lambda key, value: to_seconds(key, value, low=0.01, high=300),
    "max_age_s": lambda key, value: to_seconds(key, value, low=0, high=366 * 86400),
    "rate_limit": lambda key, value: to_choice(key, value, choices=("hold", "discard")),
    "compress": lambda key, value: to_choice(key, value, choices=("none", "gzip")),
    "proxy": to_proxy,
    "ca_file": to_file,
    "client_reports": to_flag,
    "exit_wait_s": lambda key, value: to_seconds(key, value, low=0, high=60),
}
NAMES = tuple(field.name for field in fields(SenderOptions))


def sender_options(values: Mapping[str, object], *, prefix: str = "", others: tuple[str, ...] = ()) -> SenderOptions:
    """Convert and check.

    Args:
        prefix: what stands before each name where it is set; errors say the name as it was written.
        others: names that the caller knows besides, for the list in an error.

    Raises:
        ConfigError: naming the key, its value and its limit.
    """
    unknown = sorted(set(values) - set(NAMES))
    if unknown:
        known = ", ".join(prefix + name for name in (*others, *NAMES))
        raise ConfigError(f"{prefix}{unknown[0]}: no such option; known: {known}")
    return SenderOptions(**{key: CONVERTERS[key](prefix + key, value) for key, value in values.items()})
