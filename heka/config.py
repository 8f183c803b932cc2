"""Configures a client from a dict or from an INI file.

Everything is made and checked before the client is touched: a configuration that is wrong changes nothing.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from textwrap import dedent
from typing import Any

from heka.client import HekaClient
from heka.exceptions import ConfigError, EnvironmentNotFoundError, MethodNameTakenError, named
from heka.ini import dict_from_stream_config, read_ini
from heka.path import resolve_name
from heka.settings import Maker, Name, nest_prefixes, parse_settings, shown_as_json

__all__ = [
    "ConfigError",
    "EnvironmentNotFoundError",
    "client_from_dict_config",
    "client_from_stream_config",
    "client_from_text_config",
    "dict_from_stream_config",
    "nest_prefixes",
]

Method = tuple[Callable[..., Any], bool | str]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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
    return _configure(config, {}, client)


def client_from_stream_config(
    stream: Iterable[str] | Iterable[bytes], section: str, client: HekaClient | None = None
) -> HekaClient:
    """Configure a client from an INI file that is open for reading; *section* is its main section."""
    return _configure(*read_ini(stream, section), client)


def client_from_text_config(text: str, section: str, client: HekaClient | None = None) -> HekaClient:
    """Configure a client from the text of an INI file, which may be indented as a whole."""
    return client_from_stream_config(dedent(text).splitlines(keepends=True), section, client)


def _configure(config: Mapping[str, Any], sections: Mapping[str, str], client: HekaClient | None) -> HekaClient:
    settings = parse_settings(config, sections)
    with named(settings.stream.section):
        encoder = _make_encoder(settings.encoder, settings.hmac)
    filters = [_make_filter(maker) for maker in settings.filters]
    methods = _make_methods(settings.plugins, client)
    stream = _make_stream(settings.stream)  # last: it may open files and sockets

    setup = (settings.logger, settings.severity, settings.disabled_timers, filters)
    if client is None:
        client = HekaClient(stream, *setup, encoder, settings.hmac)
    else:
        client.setup(stream, encoder, settings.hmac, *setup)
    client._replace_configured_methods(methods)
    client._config = shown_as_json(config)
    return client


def _resolve(key: str, name: Name) -> Any:
    """What *name* names, or is."""
    if not isinstance(name, str):
        return name
    try:
        found = resolve_name(name)
    except (ImportError, ValueError) as exc:
        shown = "a URL" if "://" in name else repr(name)  # which can be a DSN
        raise ConfigError(
            f"{key}: {shown} cannot be imported: {exc}; required: the dotted name of a class or a function"
        ) from exc
    if not callable(found):
        raise ConfigError(f"{key}: {name!r} is not allowed: it names a {type(found).__name__}, not a callable")
    return found


def _options_of(provider: Callable[..., Any], prefix: str = "") -> str:
    """The names of the options that *provider* takes, for an error."""
    try:
        parameters = inspect.signature(provider).parameters.values()
    except (TypeError, ValueError):  # written in C
        return "unknown"
    return ", ".join(prefix + each.name for each in parameters if each.kind in _BY_NAME) or "none"


def _make_encoder(encoder: Any, hmac: Mapping[str, Any]) -> Any:
    if isinstance(encoder, (str, type)) or not hasattr(encoder, "encode"):
        try:
            made = _resolve("encoder", encoder)(hmac)
        except TypeError as exc:
            raise ConfigError(
                f"encoder: {encoder!r} is not allowed: it is called with the hmac settings: {exc}"
            ) from exc
        if not hasattr(made, "encode"):
            raise ConfigError(f"encoder: {encoder!r} is not allowed: it gave a {type(made).__name__}, without encode()")
        return made
    return encoder


def _make_filter(maker: Maker) -> Callable[..., Any]:
    with named(maker.section):
        provider = _resolve("filters: provider", maker.provider)
        try:
            with named(maker.section, f"filters: {maker.provider}"):
                made = provider(**maker.options)
        except TypeError as exc:
            raise ConfigError(
                f"filters: {maker.provider}: wrong options {sorted(maker.options)}: {exc}; "
                f"allowed: {_options_of(provider)}"
            ) from exc
        if not callable(made):
            raise ConfigError(f"filters: {maker.provider}: it gave a {type(made).__name__}, not a filter")
        return made  # type: ignore[no-any-return]


def _make_methods(makers: Iterable[Maker], client: HekaClient | None) -> list[Method]:
    """The methods of the plugins, which take the place of those of the *client*'s configuration before."""
    earlier = () if client is None else client._configured_methods
    methods: list[Method] = []
    names: set[str] = set()
    for maker in makers:
        with named(maker.section):
            provider = _resolve(f"{maker.key}: provider", maker.provider)
            with named(maker.section, maker.key):  # an error of the provider, InvalidArgumentError for one, stays one
                function = provider(maker.options)
            if not callable(function):
                raise ConfigError(f"{maker.key}: {maker.provider}: it gave a {type(function).__name__}, not a function")
            try:
                name = HekaClient.method_name(function, maker.override)
            except ConfigError as exc:
                raise ConfigError(f"{maker.key}: {exc}") from None
            taken = name in names or (name not in earlier and hasattr(client or HekaClient, name))
            if taken and maker.override is False:
                raise MethodNameTakenError(f"{maker.key}: the name [{name}] is already in use, and override is not set")
        names.add(name)
        methods.append((function, maker.override))
    return methods


def _make_stream(maker: Maker) -> Any:
    with named(maker.section):
        stream_class = _resolve("stream_class", maker.provider)
        try:
            stream = stream_class(*maker.args, **maker.options)
        except TypeError as exc:
            given = ", ".join(f"stream_{key}" for key in maker.options) or "none"
            raise ConfigError(
                f"stream_class: {maker.provider}: wrong options: {exc}; given: {given}; "
                f"allowed: {_options_of(stream_class, 'stream_')}"
            ) from exc
        if not hasattr(stream, "write"):
            raise ConfigError(f"stream_class: {maker.provider}: it gave a {type(stream).__name__}, without write()")
        return stream
