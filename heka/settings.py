"""What a configuration says, checked. Pure: it imports, opens and makes nothing; heka/config.py does."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from heka.convert import to_int, wrong
from heka.exceptions import ConfigError, named
from heka.severity import SEVERITY
from heka.signing import normalize_hmac_config, signer_from_config

DEFAULT_ENCODER = "heka.encoders.ProtobufEncoder"

Name = str | Callable[..., Any]  # a dotted name, or what it names


@dataclass(frozen=True, slots=True)
class Maker:
    """Something to be made: by whom, with which options; *key* and the INI file's *section* name it in errors."""

    key: str
    section: str
    provider: Name
    options: dict[str, Any]
    args: tuple[Any, ...] = ()
    override: bool | str = False  # plugins only


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration."""

    logger: str
    severity: int
    disabled_timers: list[str]
    encoder: Any
    hmac: dict[str, Any]
    stream: Maker
    filters: list[Maker]
    plugins: list[Maker]


def nest_prefixes(
    config_dict: dict[str, Any], prefixes: Iterable[str] | None = None, separator: str = "_"
) -> dict[str, Any]:
    """Copy each ``prefix_key`` into a dict at ``prefix``; what is there already is overwritten by it.

    Args:
        config_dict: is changed, and returned.
        prefixes: None: ``stream`` only.
        separator: what stands between the prefix and the key.
    """
    for prefix in ("stream",) if prefixes is None else prefixes:
        start = prefix + separator
        nested = {key[len(start) :]: value for key, value in config_dict.items() if key.startswith(start)}
        if nested:
            config_dict[prefix] = {**_parse_mapping(prefix, config_dict.get(prefix)), **nested}
    return config_dict


def parse_settings(config: Mapping[str, Any], sections: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """The settings of *config*, which is not changed; what they hold is copied as far as it is containers.

    Args:
        config: the dict form.
        sections: where it comes from an INI file, the section of each of its parts, for errors: ``""`` the main one,
            ``hmac``, ``filters.0`` and so on, ``plugins.NAME``.

    Raises:
        ConfigError: naming the key, the value and what is allowed.
    """
    main = sections.get("", "")
    with named(main):
        config = nest_prefixes(_copy(_parse_mapping("configuration", config)))
        filters = _parse_list("filters", config.get("filters"))
        plugins = _parse_mapping("plugins", config.get("plugins"))
        with named(sections.get("hmac", main)):
            hmac = _parse_mapping("hmac", config.get("hmac"))
            if "hmac" in sections:
                normalize_hmac_config(hmac)  # an empty section asks for signatures, an empty dict for none
            signer_from_config(hmac)
        return Settings(
            logger=_parse_logger(config.get("logger")),
            severity=_parse_severity(config.get("severity", SEVERITY.INFORMATIONAL)),
            disabled_timers=_parse_timers(config.get("disabled_timers")),
            encoder=_parse_encoder(config.get("encoder") or DEFAULT_ENCODER),
            hmac=hmac,
            stream=_parse_stream(main, config.get("stream")),
            filters=[
                _parse_maker("filters", sections.get(f"filters.{index}", ""), spec)
                for index, spec in enumerate(filters)
            ],
            plugins=[_parse_plugin(name, sections.get(f"plugins.{name}", ""), spec) for name, spec in plugins.items()],
        )


def shown_as_json(config: Mapping[str, Any]) -> str:
    """*config* as JSON for debugging, without the key of the signature."""
    shown = nest_prefixes(_copy(config))
    if isinstance(shown.get("hmac"), dict) and "key" in shown["hmac"]:
        shown["hmac"]["key"] = "********"
    try:
        return json.dumps(shown, default=lambda value: f"<{type(value).__name__}>")
    except (TypeError, ValueError):  # a key that is no text, a dict that holds itself
        return "{}"


def _copy(value: Any) -> Any:
    """Copy containers only: what else a configuration holds, a stream's lock for one, may not be copyable."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy(item) for item in value)
    return value


def _parse_logger(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, dict, tuple)):
        raise ConfigError(f"logger: {value!r} is not allowed: one line of text")
    return str(value)  # an INI file makes 42 an int


def _parse_severity(value: Any) -> int:
    allowed = "an integer from 0 to 7"
    if isinstance(value, float):
        raise wrong("severity", value, allowed)
    return to_int("severity", value, low=SEVERITY.EMERGENCY, high=SEVERITY.DEBUG, allowed=allowed)


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
        raise ConfigError(f"{key}: a {type(value).__name__} is not allowed: a dict")
    return dict(value)


def _parse_list(key: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: a {type(value).__name__} is not allowed: a list of (provider, options)")
    return list(value)


def _parse_name(key: str, value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise ConfigError(f"{key}: {value!r} is not allowed: a dotted name or a callable")
    return value


def _parse_encoder(value: Any) -> Any:
    return value if hasattr(value, "encode") else _parse_name("encoder", value)


def _parse_stream(section: str, value: Any) -> Maker:
    options = _parse_mapping("stream", value)
    if "class" not in options:
        raise ConfigError("stream_class: missing, required: the dotted name of a stream, as heka.streams.UdpStream")
    provider = _parse_name("stream_class", options.pop("class"))
    args = options.pop("args", ())
    if not isinstance(args, (list, tuple)):
        raise ConfigError(f"stream_args: {args!r} is not allowed: a list")
    return Maker("stream_class", section, provider, options, tuple(args))


def _parse_maker(key: str, section: str, spec: Any) -> Maker:
    with named(section):
        if not isinstance(spec, (list, tuple)) or len(spec) != 2 or not isinstance(spec[1], Mapping):
            # Not quoted: a spec can hold a DSN or a password.
            raise ConfigError(f"{key}: a {type(spec).__name__} is not allowed: (provider, dict of options)")
        return Maker(key, section, _parse_name(f"{key}: provider", spec[0]), dict(spec[1]))


def _parse_plugin(name: str, section: str, spec: Any) -> Maker:
    maker = _parse_maker(f"plugins: {name}", section, spec)
    with named(section):
        override = maker.options.pop("override", False)
        if not isinstance(override, (bool, str)):
            raise ConfigError(f"{maker.key}: override: {override!r} is not allowed: true, false or a method's name")
        return replace(maker, override=override)
