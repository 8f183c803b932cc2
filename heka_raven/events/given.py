"""Parts of an event that the caller made, in Sentry's form: exceptions, stacks, templates.

Pure. What is no part of the form is left out; variables are shown, and masked, as those of our own frames.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from heka_raven.capture.classes import is_one_of, plain_dict
from heka_raven.capture.values import Walker
from heka_raven.capture.written import label, spoken
from heka_raven.formats.text import clean, cut

MAX_VALUES = 50
MAX_FRAMES = 250
MAX_TEXT = 8192
MAX_LINE = 256
MAX_LINES = 20
MAX_MODULES = 1000
_TEXTS = ("filename", "abs_path", "module", "function", "context_line")
_NUMBERS = ("lineno", "colno")
_CONTEXT = ("pre_context", "post_context")


def shown_exception(given: Any, walker: Walker) -> dict[str, Any] | None:
    """``exception``: one, a list of them, or a dict with ``values``, oldest first."""
    found = plain_dict(given)
    values = found.get("values", given if is_one_of(given, list, tuple) else [given])
    shown = []
    for value in islice(values, MAX_VALUES) if is_one_of(values, list, tuple) else ():
        known = plain_dict(value)
        if not known.get("type") and not known.get("value"):
            continue
        made: dict[str, Any] = {
            "type": _text(known.get("type"), walker, MAX_LINE),
            "module": _text(known.get("module"), walker, MAX_LINE),
            "value": _text(known.get("value"), walker, MAX_TEXT),
        }
        if (stack := shown_stack(known.get("stacktrace"), walker)) is not None:
            made["stacktrace"] = stack
        shown.append(made)
    return {"values": shown} if shown else None


def shown_stack(given: Any, walker: Walker) -> dict[str, Any] | None:
    """``stacktrace``: frames, outermost first."""
    frames = plain_dict(given).get("frames")
    if not is_one_of(frames, list, tuple) or not frames:
        return None
    return {"frames": [_frame(plain_dict(frame), walker) for frame in frames[-MAX_FRAMES:]]}


def shown_template(given: Any, walker: Walker) -> dict[str, Any] | None:
    """``template``: the place in a template, with its source."""
    found = _frame(plain_dict(given), walker)
    return found or None


def _frame(given: dict[Any, Any], walker: Walker) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in _TEXTS:
        if given.get(name) is not None:
            shown[name] = _text(given[name], walker, MAX_LINE)
    for name in _NUMBERS:
        if type(given.get(name)) is int:
            shown[name] = given[name]
    for name in _CONTEXT:
        if is_one_of(given.get(name), list, tuple):
            shown[name] = [_text(line, walker, MAX_LINE) for line in given[name][:MAX_LINES]]
    if type(given.get("in_app")) is bool:
        shown["in_app"] = given["in_app"]
    if local := plain_dict(given.get("vars")):
        shown["vars"] = walker.show_names(local.items())
    return shown


def _text(value: Any, walker: Walker, limit: int) -> str:
    text = "" if value is None else spoken(value, walker.guard)
    return walker.guard.clean_text(cut(clean(text), limit))


_PARTS: dict[str, Callable[[Any, Walker], Any]] = {
    "exception": shown_exception,
    "stacktrace": shown_stack,
    "template": shown_template,
}
_LIMITS = {"server_name": MAX_LINE, "release": 200, "environment": 64, "platform": 64}


def add_given(event: dict[str, Any], given: dict[str, Any], walker: Walker) -> None:
    """Put what the caller made in the place of what was found: the parts above, and server_name, release, environment,
    platform and modules."""
    for name, show in _PARTS.items():
        if name in given and (part := show(given[name], walker)) is not None:
            event[name] = part
    for name, limit in _LIMITS.items():
        if text := label(given.get(name), walker.guard):
            event[name] = cut(clean(text), limit)
    modules = {
        _text(name, walker, MAX_LINE): _text(version, walker, MAX_LINE)
        for name, version in islice(plain_dict(given.get("modules")).items(), MAX_MODULES)
    }
    if modules:
        event["modules"] = modules
