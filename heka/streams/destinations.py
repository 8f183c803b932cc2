"""Hosts and ports of the network streams, as INI files and dicts give them."""

from collections.abc import Iterable, Mapping

from heka.convert import to_int, wrong
from heka.exceptions import ConfigError

MAX_PORT = 65535
_PORT = f"a port from 1 to {MAX_PORT}"


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


def _listed(value: object) -> list[object]:
    if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        return list(value)
    return [value]


def _parse_host(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise wrong("stream_host", value, "the name or address of a host")
    return value.strip()


def _parse_port(value: object) -> int:
    if isinstance(value, float):
        raise wrong("stream_port", value, _PORT)
    return to_int("stream_port", value, low=1, high=MAX_PORT, allowed=_PORT)
