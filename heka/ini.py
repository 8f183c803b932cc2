"""Reads the INI form of a configuration into its dict form."""

import configparser
import os
import re
from collections.abc import Iterable
from typing import Any

from heka.exceptions import ConfigError, EnvironmentNotFoundError
from heka.settings import nest_prefixes

_INTEGER = re.compile(r"-?[0-9]+")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_TRUE = frozenset(("true", "t", "on", "yes"))
_FALSE = frozenset(("false", "f", "off", "no"))


def dict_from_stream_config(stream: Iterable[str] | Iterable[bytes], section: str) -> dict[str, Any]:
    """The dict form of the INI configuration in *stream*, a file or its lines.

    Raises:
        ConfigError: naming the section, and the key and value if there is one.
    """
    return read_ini(stream, section)[0]


def read_ini(stream: Iterable[str] | Iterable[bytes], section: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The dict form, and the section that each part of it comes from, as ``heka.settings.parse_settings`` takes them.

    Raises:
        ConfigError: as :func:`dict_from_stream_config`.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_file(line.decode("utf-8") if isinstance(line, bytes) else line for line in stream)
    except (configparser.Error, UnicodeError) as exc:
        raise ConfigError(f"{getattr(stream, 'name', 'the configuration')}: not an INI file: {_why(exc)}") from None
    if not parser.has_section(section):
        found = ", ".join(f"[{name}]" for name in parser.sections()) or "none"
        raise ConfigError(f"[{section}]: there is no such section, found: {found}")

    sections = {"": section}
    config: dict[str, Any] = _read_section(parser, section)
    filters: list[tuple[str, dict[str, Any]]] = []
    plugins: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in parser.sections():
        # As in heka-py a section needs no underscore there: [heka_filter1] is a filter.
        if name.startswith(f"{section}_filter"):
            sections[f"filters.{len(filters)}"] = name
            filters.append(_read_provider(parser, name))
        elif name.startswith(f"{section}_plugin"):
            plugin = name.removeprefix(f"{section}_plugin_")
            sections[f"plugins.{plugin}"] = name
            plugins[plugin] = _read_provider(parser, name)
    config["filters"] = filters
    config["plugins"] = plugins
    config["hmac"] = {}
    if parser.has_section(f"{section}_hmac"):
        sections["hmac"] = f"{section}_hmac"
        config["hmac"] = _read_raw(parser, sections["hmac"])
    return nest_prefixes(config), sections


def _why(exc: Exception) -> str:
    """What is wrong with the file, by its line numbers: a line without ``=`` may still hold a key or a DSN."""
    if isinstance(exc, configparser.MissingSectionHeaderError):
        return f"line {exc.lineno} stands before the first [section]"
    if isinstance(exc, configparser.ParsingError):
        lines = ", ".join(str(number) for number, _ in exc.errors)
        return f"line {lines}: required: [section] or key = value"
    return str(exc)


def _read_provider(parser: configparser.ConfigParser, section: str) -> tuple[str, dict[str, Any]]:
    """The provider of a filter or plugin section, never converted, and its other options."""
    options = _read_section(parser, section)
    if "provider" not in options:
        raise ConfigError(f"[{section}] provider: missing, required: the dotted name of a function")
    del options["provider"]
    return _read_raw(parser, section)["provider"], options


def _read_section(parser: configparser.ConfigParser, section: str) -> dict[str, Any]:
    return {key: _convert(text, f"[{section}] {key}") for key, text in _read_raw(parser, section).items()}


def _read_raw(parser: configparser.ConfigParser, section: str) -> dict[str, str]:
    """The options as text, variables of the environment put in."""
    return {key: _expand(parser.get(section, key) or "", f"[{section}] {key}") for key in parser.options(section)}


def _expand(text: str, where: str) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise EnvironmentNotFoundError(name, where)
        return os.environ[name]

    return _VARIABLE.sub(value_of, text)


def _convert(text: str, where: str) -> Any:
    """An int, a bool, a list where the value has several lines, else the text."""
    if "\n" in text:
        return [_convert(line, where) for line in text.split("\n") if line.strip()]
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    return text
