"""Hosts and ports of the network streams, as INI files and dicts give them."""

from collections.abc import Iterable, Mapping

from heka.exceptions import ConfigError

MAX_PORT = 65535


def parse_destinations(host: str | Iterable[str], port: int | str | Iterable[int | str]) -> list[tuple[str, int]]:
    """Pair hosts with ports.

    The last port is repeated for extra hosts; extra ports are ignored. A port may be text, as in an INI file.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    hosts = [_parse_host(name) for name in ([host] if isinstance(host, str) else _listed(host))]
    ports = [_parse_port(text) for text in ([port] if isinstance(port, str) else _listed(port))]
    if not hosts or not ports:
        raise ConfigError(f"stream_host, stream_port: at least one of each is required, not {host!r}, {port!r}")
    ports += ports[-1:] * (len(hosts) - len(ports))
    return list(zip(hosts, ports, strict=False))


def parse_number(key: str, value: object, low: float, high: float) -> float:
    """*value*, a number or its text, if it is from *low* to *high*.

    Raises:
        ConfigError: naming the key, the value and the limits.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise ConfigError(f"{key}: {value!r} is not allowed: a number from {low:g} to {high:g}")
    return number


def _listed(value: object) -> list[object]:
    if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        return list(value)
    return [value]


def _parse_host(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"stream_host: {value!r} is not allowed: the name or address of a host")
    return value.strip()


def _parse_port(value: object) -> int:
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        number = 0
    if isinstance(value, (bool, float)) or not 1 <= number <= MAX_PORT:
        raise ConfigError(f"stream_port: {value!r} is not allowed: a port from 1 to {MAX_PORT}")
    return int(number)
