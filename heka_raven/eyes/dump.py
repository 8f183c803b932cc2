"""What ``py-spy dump --locals --json`` says, as the worker's own answer would say it: masked, bounded. Pure.

py-spy writes a value as Python would, cut after some hundred characters. What can be read as a value is shown as one,
by the rules of ``capture/``; the rest is a text, in which the masker looks for names and shapes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import orjson

from heka_raven.capture.fit import Fitter
from heka_raven.capture.frames import FRAME_SIZE, INNER_FRAMES, OUTER_FRAMES, VARIABLE_SIZE
from heka_raven.capture.values import Walker
from heka_raven.eyes.rules import Rules, from_the_job_on
from heka_raven.formats.text import clean, cut

MAX_DUMP = 8 * 1024 * 1024  # bytes
MAX_FUNCTION = 256
BUDGET_S = 0.5  # of this program's own time

_ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
# A text, an object, or what stands for the rest of a dict.
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>"]*>|, \.\.\.(?=\})|\+bigint|-bigint')
# Django's wrappers: which names they mean cannot be read from outside, so all of what they call is private.
_SENSITIVE = frozenset({"sensitive_variables_wrapper", "sensitive_post_parameters_wrapper"})


def read_dump(
    data: bytes, pid: int, thread: int, rules: Rules, clock: Callable[[], float]
) -> list[dict[str, Any]] | None:
    """The frames of one thread, outermost first: ``file line function vars``.

    Args:
        data: what py-spy wrote; nobody vouches for it.
        thread: the one that is wanted, as Python numbers threads; 0, or one that is not there: the main thread.

    Returns:
        None where *data* is no dump, or has no frame of a thread that is wanted.
    """
    try:
        threads = orjson.loads(data) if len(data) <= MAX_DUMP else None
    except ValueError:
        return None
    if type(threads) is not list:
        return None
    known = [each for each in threads if type(each) is dict and type(each.get("frames")) is list and each["frames"]]
    chosen = next((each for each in known if thread and each.get("thread_id") == thread), None)
    chosen = chosen or next((each for each in known if each.get("os_thread_id") == pid), None)
    if chosen is None and len(known) == 1:
        chosen = known[0]
    if chosen is None or not rules.show:
        return None
    frames = [frame for frame in chosen["frames"] if type(frame) is dict]  # the innermost first
    sensitive = [str(frame.get("name")) in _SENSITIVE or _co_name(frame) in _SENSITIVE for frame in frames]
    private_up_to = len(sensitive) - sensitive[::-1].index(True) if True in sensitive else 0
    if len(frames) > OUTER_FRAMES + INNER_FRAMES:
        del frames[INNER_FRAMES:-OUTER_FRAMES]
    scrubber = rules.scrubber()
    walker = Walker(clock, scrubber, budget_s=BUDGET_S)
    found = [
        _frame(frame, walker, scrubber.mask if index < private_up_to else None) for index, frame in enumerate(frames)
    ]
    found.reverse()
    return from_the_job_on(found, lambda frame: str(frame["file"]))


def _frame(frame: dict[str, Any], walker: Walker, mask: str | None) -> dict[str, Any]:
    line = frame.get("line")
    shown: dict[str, Any] = {
        "file": clean(str(frame.get("filename") or "")),
        "line": line if type(line) is int and 0 <= line < 2**31 else 0,
        "function": cut(clean(_co_name(frame)), MAX_FUNCTION),
    }
    pairs = []
    found = frame.get("locals")
    for local in found if type(found) is list else ():
        if type(local) is dict and type(local.get("name")) is str and type(local.get("repr")) is str:
            pairs.append((local["name"], _value(local["repr"])))
    if pairs:
        names = walker.show_names(pairs)
        if mask is not None:
            names = dict.fromkeys(names, mask)
        walker.fitter = walker.fitter or Fitter()
        shown["vars"] = walker.fitter.fit_variables(names, max(FRAME_SIZE, VARIABLE_SIZE * len(names)))
    return shown


def _co_name(frame: dict[str, Any]) -> str:
    """``inner`` of ``view.<locals>.inner``, which is what faulthandler calls it."""
    return str(frame.get("name") or "").rpartition(".")[2]


def _value(text: str) -> Any:
    """The value that *text* writes; *text* without addresses where it writes none, or only a part of one."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]  # py-spy escapes nothing: what a visitor sent must not decide what is read as a literal
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):  # TypeError: a list as a key
        text = _ADDRESS.sub("", text)
    try:
        # With what cannot be read as texts, and without the dots of what was left out, it may be a value still.
        return ast.literal_eval(_PARTS.sub(_readable, text)) if text[:1] in "{[(" else text
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text


def _readable(part: re.Match[str]) -> str:
    found = part[0]
    return found if found[0] == '"' else "" if found[0] == "," else repr(found)
