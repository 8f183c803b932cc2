"""What can be set about delivery, once for the stream, the thread and the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from heka.convert import (
    Option,
    convert_options,
    to_choice,
    to_file,
    to_flag,
    to_int,
    to_proxy,
    to_seconds,
)
from heka.exceptions import ConfigError

DEFAULT_CONNECTIONS = 16  # 100 events a second from a server that takes 100 ms need more than ten
MAX_CONNECTIONS = 256
MAX_AGE_S = 366 * 86400


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


def _seconds(low: float, high: float) -> Callable[[str, Any], float]:
    return partial(to_seconds, low=low, high=high)


OPTIONS: Mapping[str, Option] = {
    "connections": Option(
        partial(to_int, low=1, high=MAX_CONNECTIONS),
        f"1 to {MAX_CONNECTIONS}",
        "connections",
        "at once, over all servers",
    ),
    "connect_timeout_s": Option(_seconds(0.01, 300), "0.01 to 300", "seconds", "for a connection"),
    "timeout_s": Option(_seconds(0.01, 300), "0.01 to 300", "seconds", "for a whole request"),
    "max_age_s": Option(
        _seconds(0, MAX_AGE_S), f"0 to {MAX_AGE_S}", "seconds", "after which an event that failed is given up"
    ),
    "rate_limit": Option(
        partial(to_choice, choices=("hold", "discard")),
        "hold, discard",
        "",
        "what a server's request for quiet does to events",
    ),
    "compress": Option(partial(to_choice, choices=("none", "gzip")), "none, gzip", "", "of envelopes"),
    "proxy": Option(to_proxy, "URL", "", "default: $http_proxy, $https_proxy, $no_proxy"),
    "ca_file": Option(to_file, "file", "", "certificates to trust in place of the system's"),
    "client_reports": Option(to_flag, "boolean", "", "tell the server what was discarded"),
    "exit_wait_s": Option(
        _seconds(0, 60), "0 to 60", "seconds", "that a process which ends waits for what is in flight"
    ),
}


def sender_options(values: Mapping[str, object], *, prefix: str = "", others: tuple[str, ...] = ()) -> SenderOptions:
    """Convert and check.

    Args:
        prefix: what stands before each name where it is set; errors say the name as it was written.
        others: names that the caller knows besides, for the list in an error.

    Raises:
        ConfigError: naming the key, its value and its limit.
    """
    unknown = sorted(set(values) - set(OPTIONS))
    if unknown:
        known = ", ".join(prefix + name for name in (*others, *OPTIONS))
        raise ConfigError(f"{prefix}{unknown[0]}: no such option; known: {known}")
    return SenderOptions(**convert_options(OPTIONS, values, prefix))
