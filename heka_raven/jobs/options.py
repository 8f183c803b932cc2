"""The options of ``heka_raven.init()`` beside those of the raven plugin and the spool."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heka.convert import Option, to_flag, to_names, wrong
from heka.exceptions import ConfigError
from heka_raven.reporting.options import OPTIONS as PLUGIN_OPTIONS
from heka_raven.reporting.options import InvalidArgumentError, convert_given

LIBRARIES = ("celery", "rq", "dramatiq")


@dataclass(slots=True)
class InitOptions:
    """What ``init()`` was told; see docs/jobs.rst."""

    excepthook: bool = True
    threads: bool = True
    unraisable: bool = False
    asyncio: bool = True
    logging: int | None = None  # the level from which on records become events
    libraries: tuple[str, ...] = LIBRARIES
    watch: bool = False


def _level(key: str, value: Any) -> int | None:
    level = logging.getLevelName(str(value).strip().upper())
    if isinstance(level, int):
        return level
    if type(value) is int and value > 1:
        return value
    try:
        return logging.ERROR if to_flag(key, value) else None
    except ConfigError:
        raise wrong(key, value, "true, false, or a level of the logging module") from None


def _libraries(key: str, value: Any) -> tuple[str, ...]:
    if value in ("auto", True):
        return LIBRARIES
    if value in ("off", False):
        return ()
    names = to_names(key, value)
    for name in names:
        if name not in LIBRARIES:
            raise wrong(key, name, f"auto, off, or names of {', '.join(LIBRARIES)}")
    return names


OPTIONS: Mapping[str, Option] = {
    "excepthook": Option(to_flag, "boolean", "", "report what ends the program (``sys.excepthook``)"),
    "threads": Option(to_flag, "boolean", "", "report what ends a thread (``threading.excepthook``)"),
    "asyncio": Option(to_flag, "boolean", "", "report what tasks and callbacks raise that nobody waits for"),
    "unraisable": Option(to_flag, "boolean", "", "report what finalizers and callbacks raise (``sys.unraisablehook``)"),
    "logging": Option(
        _level, "boolean, or a level", "", "log records from this level on become events; true: from ``error`` on"
    ),
    "libraries": Option(
        _libraries,
        f"auto, off, or names of {', '.join(LIBRARIES)}",
        "",
        "whose jobs are reported, once they are imported",
    ),
    "watch": Option(to_flag, "boolean", "", "tell the jobs in flight to ``heka-raven watch``"),
}


def parse_options(given: dict[str, Any]) -> tuple[InitOptions, dict[str, Any]]:
    """Check *given*.

    Returns:
        The options of ``init()``, and those that are left for the client.

    Raises:
        InvalidArgumentError: for an option that does not exist, or a value that is not allowed; it names both.
    """
    own = convert_given(OPTIONS, {name: value for name, value in given.items() if name in OPTIONS})
    rest = {name: value for name, value in given.items() if name not in OPTIONS}
    unknown = sorted(name for name in rest if name not in PLUGIN_OPTIONS and not name.startswith("stream_"))
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        known = ", ".join([*OPTIONS, *PLUGIN_OPTIONS])
        raise InvalidArgumentError(f"init: unknown option{plural} {', '.join(unknown)}; known are {known}, stream_*")
    return InitOptions(**own), rest
