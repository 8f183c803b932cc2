"""The configuration file of `heka-raven relay`, `send` and `inbox`: TOML, a section for each command.

A key is the long name of an option with "_" for "-"; where the setting has a name of its own elsewhere (timeout_s for
--timeout), that too. What the command line says wins over the file.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Mapping
from typing import Any

from heka.exceptions import ConfigError

DEFAULT_PATH = "/etc/heka-raven.toml"
SECTIONS = ("relay", "send", "inbox")
MAX_SIZE = 1024 * 1024  # bytes
SECRETS = ("signer", "notify", "token", "key")
NOT_IN_FILE = ("config", "help", "once", "import", "export", "notify_test")


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help=f"TOML (default: {DEFAULT_PATH} where it exists)")


def parse_with_config(parser: argparse.ArgumentParser, argv: list[str], section: str) -> argparse.Namespace:
    """Parse *argv*; options that it does not give come from *section* of the file, and then from their defaults.

    Raises:
        ConfigError: naming the file, the section and the key.
    """
    # argparse has no public list of its options. What is there already is not set to its default.
    every = [action for action in parser._actions if action.dest != "help"]
    arguments = parser.parse_args(argv, argparse.Namespace(**{action.dest: None for action in every}))
    if arguments.config is not None or os.path.exists(DEFAULT_PATH):
        _fill(arguments, every, arguments.config or DEFAULT_PATH, section)
    for action in every:
        if getattr(arguments, action.dest) is None:
            setattr(arguments, action.dest, action.default)
    return arguments


def _fill(arguments: argparse.Namespace, every: list[argparse.Action], path: str, section: str) -> None:
    values = read_section(path, section)
    named = {action.option_strings[0].removeprefix("--").replace("-", "_"): action for action in every}
    by_option = {name: action for name, action in named.items() if name not in NOT_IN_FILE}
    actions = by_option.values()
    known = {**{action.dest: action for action in actions}, **by_option}
    seen: set[str] = set()
    for key, value in values.items():
        action = known.get(key)
        if action is None:
            raise ConfigError(f"{path}: [{section}] {key}: no such key; known: {', '.join(sorted(by_option))}")
        if action.dest in seen:
            raise ConfigError(f"{path}: [{section}] {key}: it is there twice, as {action.dest} too")
        seen.add(action.dest)
        converted = _convert(value, action, f"{path}: [{section}] {key}")
        if getattr(arguments, action.dest) is None:
            setattr(arguments, action.dest, converted)


def read_section(path: str, section: str) -> Mapping[str, Any]:
    """One table of the file; empty when it is not there.

    Raises:
        ConfigError: when the file cannot be read, is no TOML, or has a section that nobody knows.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; --config /dev/null goes without it") from None
    if len(data) > MAX_SIZE:
        raise ConfigError(f"{path}: larger than {MAX_SIZE} bytes")
    # Only where there is a file: Python 3.10 needs a package for it.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    for name, value in document.items():
        if name not in SECTIONS or not isinstance(value, dict):
            raise ConfigError(f"{path}: {name}: no such section; there are: {', '.join(f'[{s}]' for s in SECTIONS)}")
    if mode & 0o007 and _holds_a_password(document):
        raise ConfigError(
            f"{path}: it holds a password or a key and mode {mode:04o} lets everybody in; run: chmod 640 {path}"
        )
    found: Mapping[str, Any] = document.get(section, {})
    return found


def _holds_a_password(document: Mapping[str, Any]) -> bool:
    for table in document.values():
        if any(table.get(name) for name in SECRETS):
            return True
        for value in table.values():
            for text in value if isinstance(value, list) else [value]:
                authority = str(text).partition("://")[2].partition("/")[0]
                if "@" in authority and ":" in authority.rpartition("@")[0]:
                    return True
    return False


def _convert(value: Any, action: argparse.Action, where: str) -> Any:
    """The form in which the command line would have given it: text, a list of texts, or a flag."""
    if isinstance(action, (argparse._StoreTrueAction, argparse.BooleanOptionalAction)):
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} is neither true nor false")
        return value
    if isinstance(action, argparse._AppendAction):
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in values):
            raise ConfigError(f"{where}: it must be text or a list of texts")
        return values
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where}: {type(value).__name__} is not allowed: text or a number")
    if action.type not in (int, float):
        return str(value)
    try:
        return action.type(str(value))
    except ValueError:
        raise ConfigError(f"{where}: it must be a number") from None
