"""What Django's decorators call sensitive: ``@sensitive_variables`` and ``@sensitive_post_parameters``.

Pure: their wrappers are known by the names of their code, and read from the frames; Django is not imported, and nothing
of it runs. The names count for the function that is decorated and for all that it calls.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any

from heka_raven.capture.classes import instance_dict

EVERYTHING = "__ALL__"
_VARIABLES, _POST = "sensitive_variables_wrapper", "sensitive_post_parameters_wrapper"
_MODULE, _COROUTINES = "django.views.decorators.debug", "coroutine_functions_to_sensitive_variables"
_HANDED_ON = frozenset({"func_args", "func_kwargs", "args", "kwargs"})  # to the function, by the wrapper
MAX_DEPTH = 6  # of values in which a parameter's name is looked for

Names = frozenset[str]


class Sensitive:
    """What is sensitive in one traceback or stack.

    Args:
        frames: of it, the outermost first.
    """

    __slots__ = ("_by_frame", "fields")

    def __init__(self, frames: Sequence[types.FrameType]) -> None:
        self._by_frame: dict[int, Names] = {}
        self.fields: set[str] = set()  # of the request's form; EVERYTHING: all of them
        known: Names = frozenset()
        for frame in frames:
            name = frame.f_code.co_name
            if name == _VARIABLES:
                known |= _variables(frame)
            elif name == _POST:
                self.fields |= _fields(frame)
            own = known | _of_coroutine(frame.f_code)
            if own:
                self._by_frame[id(frame)] = own

    def mask(self, frame: types.FrameType, shown: dict[str, Any], mask: str) -> None:
        """Mask the sensitive local variables of *frame*, in place."""
        names = self._by_frame.get(id(frame))
        if names is not None:
            for name in shown:
                if EVERYTHING in names or name in names:
                    shown[name] = mask
        if frame.f_code.co_name == _VARIABLES:
            for name in _HANDED_ON.intersection(shown):
                shown[name] = mask
        if self.fields:
            hide_fields(shown, self.fields, mask)


def sensitive_in(frames: Iterable[types.FrameType]) -> Sensitive | None:
    """What is sensitive in *frames*, the outermost first; ``None``: nothing, which costs next to nothing to tell."""
    debug = sys.modules.get(_MODULE)
    if debug is None:
        return None
    found = list(frames)
    coroutines = bool(getattr(debug, _COROUTINES, None))
    if coroutines or any(frame.f_code.co_name in (_VARIABLES, _POST) for frame in found):
        return Sensitive(found)
    return None


def hide_fields(node: Any, fields: set[str], mask: str, depth: int = 0) -> None:
    """Mask what stands under the names of *fields* in shown values, in place."""
    if depth > MAX_DEPTH:
        return
    if type(node) is dict:
        for name, value in node.items():
            if name.strip("'") in fields:  # in quotes under protocol 3
                node[name] = mask
            elif type(value) in (dict, list):
                hide_fields(value, fields, mask, depth + 1)
    elif type(node) is list:
        for value in node:
            if type(value) in (dict, list):
                hide_fields(value, fields, mask, depth + 1)


def hide_form(event: dict[str, Any], fields: set[str], mask: str) -> None:
    """Mask the sensitive fields of the form that the event's request sent."""
    request = event.get("request")
    if type(request) is not dict or "data" not in request:
        return
    if type(request["data"]) is not dict:
        request["data"] = mask
    elif EVERYTHING in fields:
        request["data"] = dict.fromkeys(request["data"], mask)
    else:
        hide_fields(request["data"], fields, mask)


def _names(value: Any) -> Names:
    if type(value) is str:
        return frozenset([value])
    return frozenset(name for name in value if type(name) is str) if type(value) in (tuple, list) else frozenset()


def _variables(frame: types.FrameType) -> Names:
    wrapper = frame.f_locals.get(_VARIABLES)
    return _names(wrapper.__dict__.get("sensitive_variables")) if type(wrapper) is types.FunctionType else frozenset()


def _of_coroutine(code: types.CodeType) -> Names:
    registry = getattr(sys.modules.get(_MODULE), _COROUTINES, None)
    if type(registry) is not dict or not registry:
        return frozenset()
    return _names(registry.get(hash(f"{code.co_filename}:{code.co_firstlineno}")))


def _fields(frame: types.FrameType) -> Names:
    """The names; with all of them also those that the form has, under which they stand among the local variables."""
    request = instance_dict(frame.f_locals.get("request"))
    names = _names(request.get("sensitive_post_parameters"))
    if EVERYTHING in names:
        form: Any = request.get("_post")
        if issubclass(type(form), dict):
            names |= frozenset(name for name in dict.keys(form) if type(name) is str)
    return names
