"""What can go wrong before a message is sent: the errors a program sees when it configures a client wrongly. Pure."""

import configparser
from collections.abc import Iterator
from contextlib import contextmanager


class ConfigError(ValueError):
    """A setting that cannot be used. The text names the section, the key, the value and what is allowed."""


@contextmanager
def named(section: str, key: str = "") -> Iterator[None]:
    """Put *section*, an INI file's, else *key*, before the text of a ConfigError that comes through; its type stays."""
    try:
        yield
    except ConfigError as exc:
        where = f"[{section}] " if section else f"{key}: " if key else ""
        if where and exc.args and not str(exc.args[0]).startswith("["):
            exc.args = (f"{where}{exc.args[0]}", *exc.args[1:])
            if isinstance(exc, SyntaxError):
                exc.msg = exc.args[0]  # what a SyntaxError shows
        raise


class EnvironmentNotFoundError(ConfigError, configparser.Error):
    """``${NAME}`` in a configuration value, and no such environment variable."""

    def __init__(self, varname: str, where: str = "") -> None:
        prefix = f"{where}: " if where else ""
        configparser.Error.__init__(self, f"{prefix}environment variable {varname!r} is not set")
        self.varname = varname


class MethodNameTakenError(ConfigError, SyntaxError):
    """A plugin's method has the name of something the client has already, and ``override`` was not given."""

    def __init__(self, text: str) -> None:
        SyntaxError.__init__(self, text)  # else its str() is "None"


class FileOpenError(ConfigError, OSError):
    """The file of a FileStream cannot be opened."""


class MethodNotFoundError(configparser.Error):
    """A method that no plugin has added. heka-py 0.30.3 never raised it; kept for code that catches it."""
