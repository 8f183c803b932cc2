"""Configures a client from a dict or from an INI file.

Everything is made and checked before the client is touched: a configuration that is wrong changes nothing.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from textwrap import dedent
from typing import Any

from heka.client import HekaClient
from heka.exceptions import ConfigError, EnvironmentNotFoundError, MethodNameTakenError
from heka.ini import dict_from_stream_config, nest_prefixes
from heka.path import resolve_name
from heka.severity import SEVERITY

__all__ = [
    "ConfigError",
    "EnvironmentNotFoundError",
    "client_from_dict_config",
    "client_from_stream_config",
    "client_from_text_config",
    "dict_from_stream_config",
    "nest_prefixes",
]

DEFAULT_ENCODER = "heka.encoders.ProtobufEncoder"


def client_from_dict_config(config: Mapping[str, Any], client: HekaClient | None = None) -> HekaClient:
    """Configure a client with its stream, filters, signature and plugins. *config* is not changed.

    Args:
        config: ``logger``, ``severity``, ``disabled_timers``, ``encoder``, ``stream`` (a dict: ``class``, ``args``, and
            keyword arguments of the class) or ``stream_*`` keys, ``filters`` (``[(provider, options)]``), ``plugins``
            (``{name: (provider, options)}``), ``hmac``. Other keys are ignored.
        client: the client to configure; None: a new one.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    config = nest_prefixes(_copy(config))
    logger = _parse_logger(config.get("logger"))
    severity = _parse_severity(config.get("severity", SEVERITY.INFORMATIONAL))
    timers = _parse_timers(config.get("disabled_timers"))
    encoder = _resolve("encoder", config.get("encoder") or DEFAULT_ENCODER)
    hmc = _parse_mapping("hmac", config.get("hmac"))
    encoder = encoder(hmc) if isinstance(encoder, type) or not hasattr(encoder, "encode") else encoder
    filters = [_make_filter(spec) for spec in _parse_list("filters", config.get("filters"))]
    methods = [_make_method(name, spec) for name, spec in _parse_mapping("plugins", config.get("plugins")).items()]
    earlier = () if client is None else client._configured_methods
    for function, override in methods:
        name = HekaClient.method_name(function, override)
        taken = hasattr(HekaClient if client is None else client, name) and name not in earlier
        if override is False and taken:
            raise MethodNameTakenError(f"plugins: the name [{name}] is already in use, and override is not set")
    stream = _make_stream(config.get("stream"))

    if client is None:
        client = HekaClient(stream, logger, severity, timers, filters, encoder, hmc)
    else:
        client.setup(stream, encoder, hmc, logger, severity, timers, filters)
    client._replace_configured_methods(methods)
    client._config = _as_json(config)
    return client


def client_from_stream_config(
    stream: Iterable[str] | Iterable[bytes], section: str, client: HekaClient | None = None
) -> HekaClient:
    """Configure a client from an INI file that is open for reading; *section* is its main section."""
    return client_from_dict_config(dict_from_stream_config(stream, section), client)


def client_from_text_config(text: str, section: str, client: HekaClient | None = None) -> HekaClient:
    """Configure a client from the text of an INI file, which may be indented as a whole."""
    return client_from_stream_config(io.StringIO(dedent(text)), section, client)


def _copy(value: Any) -> Any:
    """Copy containers only: what else a configuration holds, a stream's lock for one, may not be copyable."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy(item) for item in value)
    return value


def _as_json(config: dict[str, Any]) -> str:
    """What ``client._config`` shows: the configuration without the key of the signature."""
    if config.get("hmac"):
        config = {**config, "hmac": {**config["hmac"], "key": "********"}}
    try:
        return json.dumps(config, default=lambda value: f"<{type(value).__name__}>")
    except (TypeError, ValueError):
        return "{}"


def _resolve(key: str, name: Any) -> Any:
    """The object of a dotted name, or *name* itself if it is an object already."""
    if not isinstance(name, str):
        if not callable(name) and not hasattr(name, "encode"):
            raise ConfigError(f"{key}: {name!r} is not allowed: a dotted name or a callable")
        return name
    try:
        found = resolve_name(name)
    except (ImportError, ValueError) as exc:
        raise ConfigError(f"{key}: {name!r} cannot be imported: {exc}") from exc
    if not callable(found):
        raise ConfigError(f"{key}: {name!r} is not allowed: it names a {type(found).__name__}, not a callable")
    return found


def _parse_logger(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, dict, tuple)):
        raise ConfigError(f"logger: {value!r} is not allowed: one line of text")
    return str(value)  # an INI file makes 42 an int


def _parse_severity(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if isinstance(value, (bool, float)) or not SEVERITY.EMERGENCY <= number <= SEVERITY.DEBUG:
        raise ConfigError(f"severity: {value!r} is not allowed: an integer from 0 to 7")
    return number


def _parse_timers(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Mapping) or not isinstance(value, (str, int, Iterable)):
        raise ConfigError(f"disabled_timers: {value!r} is not allowed: the name of a timer or a list of them")
    return [str(value)] if isinstance(value, (str, int)) else [str(name) for name in value]


def _parse_mapping(key: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: {value!r} is not allowed: a dict")
    return dict(value)


def _parse_list(key: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: {value!r} is not allowed: a list of (provider, options)")
    return list(value)


def _parse_spec(key: str, spec: Any) -> tuple[Callable[..., Any], dict[str, Any], str]:
    if not isinstance(spec, (list, tuple)) or len(spec) != 2 or not isinstance(spec[1], Mapping):
        raise ConfigError(f"{key}: {spec!r} is not allowed: (provider, dict of options)")
    return _resolve(f"{key}: provider", spec[0]), dict(spec[1]), str(spec[0])


def _make_filter(spec: Any) -> Callable[..., Any]:
    provider, options, shown = _parse_spec("filters", spec)
    try:
        made = provider(**options)
    except TypeError as exc:
        raise ConfigError(f"filters: {shown}: wrong options {sorted(options)}: {exc}") from exc
    if not callable(made):
        raise ConfigError(f"filters: {shown}: it gave a {type(made).__name__}, not a filter")
    return made  # type: ignore[no-any-return]


def _make_method(name: str, spec: Any) -> tuple[Callable[..., Any], bool | str]:
    provider, options, shown = _parse_spec(f"plugins: {name}", spec)
    override = options.pop("override", False)
    if not isinstance(override, (bool, str)):
        raise ConfigError(f"plugins: {name}: override: {override!r} is not allowed: true, false or a method's name")
    function = provider(options)
    if not callable(function):
        raise ConfigError(f"plugins: {name}: {shown}: it gave a {type(function).__name__}, not a function")
    return function, override


def _make_stream(value: Any) -> Any:
    options = _parse_mapping("stream", value)
    if "class" not in options:
        raise ConfigError("stream_class: missing, required: the dotted name of a stream, as heka.streams.UdpStream")
    name = options.pop("class")
    args = options.pop("args", ())
    stream_class = _resolve("stream_class", name)
    try:
        return stream_class(*args, **options)
    except TypeError as exc:
        given = ", ".join(f"stream_{key}" for key in options) or "none"
        raise ConfigError(f"stream_class: {name}: wrong options (given: {given}): {exc}") from exc
