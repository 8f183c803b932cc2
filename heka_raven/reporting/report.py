"""One call to report something: what the caller says of it, before anything is made of it.

Pure: it looks at what it is given, and at the exception in flight.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from heka_raven.capture.classes import is_one_of
from heka_raven.capture.exceptions import traceback_of

ExcInfo = tuple[type[BaseException], BaseException, "types.TracebackType | None"]
Count = Callable[[str], None]
"""Adds one to a counter of the ledger."""


@dataclass(slots=True)
class Report:
    """One call: what the caller says of the event. What is None is found out, or left out."""

    msg: str = ""
    exc_info: ExcInfo | None = None
    logger: str | None = None
    severity: int | None = None
    level: Any = None
    tags: Any = None
    extra: Any = None
    user: Any = None
    fingerprint: Any = None
    contexts: Any = None
    mechanism: dict[str, Any] | None = None
    logentry: tuple[Any, Any, Any] | None = None  # template, parameters, text: a message with or without an exception
    breadcrumbs: Any = None
    request: dict[str, Any] | None = None
    culprit: str | None = None
    transaction: str | None = None
    stack: types.FrameType | None = None
    timestamp: float | None = None
    sample_rate: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    hint: dict[str, Any] = field(default_factory=dict)


def resolve_exc_info(value: Any) -> ExcInfo | None:
    """What *value* means: True: the exception in flight; an exception; a tuple as of ``sys.exc_info``; else nothing."""
    if value is True:
        value = sys.exc_info()
    if is_one_of(value, tuple, list) and len(value) == 3:
        exc, traceback = value[1], value[2]
    else:
        exc, traceback = value, None
    if exc is None or not issubclass(type(exc), BaseException):
        return None
    if type(traceback) is not types.TracebackType:
        traceback = traceback_of(exc)
    return type(exc), exc, traceback
