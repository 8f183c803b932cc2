"""Frames: a place in the source with the lines around it, the column, and the local variables shown.

What Paste's conventions say of a frame is done here: __traceback_hide__, __traceback_info__, __traceback_supplement__.
"""

# Rule 1: no file is read here: source lines are passed in.
# Rule 2: what does not change between two errors at the same place is made once (the templates).

from __future__ import annotations

import inspect
import re
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from heka_raven.capture.classes import is_one_of
from heka_raven.capture.containers import CUT, MAX_ITEMS
from heka_raven.capture.fit import Fitter, json_size
from heka_raven.capture.sensitive import sensitive_in
from heka_raven.capture.values import Walker
from heka_raven.formats.text import ELLIPSIS, cut

OUTER_FRAMES = 50
INNER_FRAMES = 200
MAX_EVENT_FRAMES = 1000  # of all exceptions of one event
MAX_LINE = 256  # characters of one source line
MAX_MASKED_LINE = 1024  # characters of it that are looked through
CONTEXT_LINES = 5
LINES_BEFORE = 10  # that are looked through before those that are shown
MAX_TEMPLATES = 1024
FRAME_SIZE = 1900  # bytes of the variables of one frame; Sentry keeps 2,048
VARIABLE_SIZE = 256  # bytes for each, where a frame has so many that this is more
CARETS_SIZE = 1700  # bytes of mechanism.data; Sentry keeps 2,048

# The middleware's modules that call into the application: what called them is the server, or another request's.
BORDERS = frozenset({"heka_raven.middleware.wsgi", "heka_raven.middleware.body"})

# The lines of a file, None where there are none; an OSError where they cannot be read at this moment.
SourceLines = Callable[[str, dict[str, Any]], Sequence[str] | None]
Caret = tuple[int, int, int, int]  # lineno, col, end_lineno, end_col
Shown = tuple[dict[str, Any], "Caret | None", Any]  # a frame, its caret, its __traceback_hide__


class Template(NamedTuple):
    """What every error at one instruction shares."""

    code: types.CodeType  # kept alive: templates are found by the id of the code
    frame: dict[str, Any]
    caret: Caret | None
    special: bool  # whether its local names may be Paste's, or no names of a function at all


class Frames:
    """Shows frames; keeps their templates between errors.

    Args:
        source_lines: ``(filename, module_globals)`` to the lines of the file, or ``None``.
        in_app: ``(module, filename, module_globals)`` to whether the frame is the application's own.
        mask_source: takes literal secrets out of lines of source, and leaves their number as it is.
    """

    __slots__ = ("_templates", "in_app", "mask_source", "source_lines")

    def __init__(
        self,
        source_lines: SourceLines,
        in_app: Callable[[str, str, dict[str, Any]], bool],
        mask_source: Callable[[str], str],
    ) -> None:
        self.source_lines = source_lines
        self.in_app = in_app
        self.mask_source = mask_source
        self._templates: dict[tuple[int, int], Template] = {}

    def forget(self) -> None:
        """Forget the templates: what is the application's own has changed."""
        self._templates.clear()

    def frames(
        self, traceback: types.TracebackType | None, walker: Walker, room: int = MAX_EVENT_FRAMES
    ) -> tuple[list[dict[str, Any]], list[list[int]]]:
        """The frames of *traceback*, outermost first, and the column ranges of those that have one."""
        outer: list[types.TracebackType] = []
        inner: deque[types.TracebackType] = deque(maxlen=min(INNER_FRAMES, room))
        first = min(OUTER_FRAMES, room - 1)
        while traceback is not None:
            if len(outer) < first:
                outer.append(traceback)
            else:
                inner.append(traceback)
            traceback = traceback.tb_next
        entries = [*outer, *inner]
        sensitive = sensitive_in(entry.tb_frame for entry in entries)
        shown: list[Shown] = []
        any_hides = False
        for entry in reversed(entries):
            frame = entry.tb_frame
            template = self._template(frame, entry.tb_lasti, entry)
            local, hide = local_variables(frame, walker, template.special, template.frame["in_app"])
            copy = template.frame.copy()
            if local:
                copy["vars"] = local
                if sensitive is not None:
                    sensitive.mask(frame, local, walker.guard.mask)
            if hide is not None:
                any_hides = True
            shown.append((copy, template.caret, hide))
        shown.reverse()
        if sensitive is not None:
            walker.hidden_fields |= sensitive.fields
        if any_hides:
            shown = _without_hidden(shown)
        carets = [[index, *entry[1]] for index, entry in enumerate(shown) if entry[1] is not None]
        if len(carets) > CARETS_SIZE // 40:
            while json_size(carets) > CARETS_SIZE:
                del carets[: len(carets) // 8 + 1]  # the outermost first
        return [entry[0] for entry in shown], carets

    def stack(self, frame: types.FrameType | None, walker: Walker) -> list[dict[str, Any]]:
        """The frames of a running stack, outermost first: for messages that ask for one.

        The server's have no variables: before Python 3.13 a frame keeps those that were once looked at, and a server's
        frame may run for ever.
        """
        frames: list[dict[str, Any]] = []
        sensitive = sensitive_in(_callers(frame))
        inside = True
        while frame is not None and len(frames) < OUTER_FRAMES:
            template = self._template(frame, frame.f_lasti, None)
            shown = template.frame.copy()
            inside = inside and frame.f_globals.get("__name__") not in BORDERS
            local, _ = local_variables(frame, walker, template.special, shown["in_app"]) if inside else ({}, None)
            if local:
                shown["vars"] = local
                if sensitive is not None:
                    sensitive.mask(frame, local, walker.guard.mask)
            frames.append(shown)  # the innermost first: it has the variables that matter, while there is room
            frame = frame.f_back
        frames.reverse()
        return frames

    def _template(self, frame: types.FrameType, lasti: int, entry: types.TracebackType | None) -> Template:
        code = frame.f_code
        key = (id(code), lasti)
        template = self._templates.get(key)
        if template is None:
            # Only now: the interpreter looks a line number up in a table, from its beginning.
            lineno = frame.f_lineno if entry is None else entry.tb_lineno
            template, lasting = self._make_template(frame, code, lasti, lineno or 0)
            # Generated code ('<string>') is not kept: it comes and goes, and has no source to look up.
            if lasting and not code.co_filename.startswith("<"):
                if len(self._templates) >= MAX_TEMPLATES:
                    self._templates.clear()
                self._templates[key] = template
        return template

    def _make_template(
        self, frame: types.FrameType, code: types.CodeType, lasti: int, lineno: int
    ) -> tuple[Template, bool]:
        """The template, and whether it may be kept: not, if the source cannot be read at this moment."""
        path = str.__str__(code.co_filename)
        module_globals = frame.f_globals
        name = dict.get(module_globals, "__name__")
        module = name if type(name) is str else ""
        shown: dict[str, Any] = {
            "filename": short_filename(module, path),
            "abs_path": path,
            "function": code.co_name,
            "module": module,
            "lineno": lineno,
            "in_app": self.in_app(module, path, module_globals),
        }
        qualname = getattr(code, "co_qualname", code.co_name)  # 3.11
        if qualname != code.co_name:
            shown["raw_function"] = cut(qualname, MAX_LINE)
        lasting = True
        try:
            lines = self.source_lines(path, module_globals)
        except OSError:
            lines, lasting = None, False
        caret = None
        if lines and 0 < lineno <= len(lines):
            begin = max(0, lineno - 1 - CONTEXT_LINES)
            source = self._masked(lines, begin, lineno + CONTEXT_LINES)
            index = lineno - 1 - begin
            shown["pre_context"] = source[:index]
            shown["context_line"] = source[index]
            shown["post_context"] = source[index + 1 :]
            caret = _caret(code, lasti, lineno, lines) if _is_python(path, module_globals) else None
            if caret is not None:
                shown["colno"] = caret[1]
        names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
        special = not is_plain_code(code) or any(name.startswith("__traceback_") for name in names)
        return Template(code, shown, caret, special), lasting

    def _masked(self, lines: Sequence[str], begin: int, end: int) -> list[str]:
        """The lines from *begin* to *end*, masked with those before: a literal may have begun there."""
        first = max(0, begin - LINES_BEFORE)
        whole = [line[:MAX_MASKED_LINE].rstrip("\r\n").replace("\n", " ") for line in lines[first:end]]
        masked = self.mask_source("\n".join(whole)).split("\n")
        return [cut(line, MAX_LINE) for line in masked[begin - first :]]


def local_variables(
    frame: types.FrameType, walker: Walker, special: bool, in_app: bool = True, may_call: bool = True
) -> tuple[dict[str, Any], Any]:
    """The shown local variables of *frame*, and its ``__traceback_hide__``.

    Args:
        special: whether its names may be Paste's, or no names of a function at all.
        in_app: whether it is a frame of the application.
        may_call: whether Paste's supplement may be asked for what it tells, which runs code of the application.
    """
    names: Any = frame.f_locals
    kind = type(names)
    if kind is dict or kind is _LOCALS_PROXY:
        get, items = names.get, names.items()
    elif issubclass(kind, dict):
        get, items = partial(dict.get, names), dict.items(names)
    else:
        return {}, None  # a class body whose metaclass prepared a mapping of its own
    hide = get("__traceback_hide__") if special else None
    count = len(items)
    if not count or not walker.show_locals:
        return {}, hide
    if walker.exhausted():
        return {ELLIPSIS: CUT}, hide
    if special:
        items = [(name, value) for name, value in list(items) if type(name) is str and not _DUNDER(name)]
        count = len(items)
    room = walker.room
    pairs = items if count <= MAX_ITEMS else list(items)[:MAX_ITEMS]
    shown = walker.show_names(pairs) if special else walker.show_variables(pairs, in_app)
    if not walker.legacy:
        # What the walker charges is at least what Sentry counts; without room it charges nothing.
        if room - walker.room > FRAME_SIZE or walker.room <= 0:
            walker.fitter = walker.fitter or Fitter()
            shown = walker.fitter.fit_variables(shown, max(FRAME_SIZE, VARIABLE_SIZE * len(shown)))
        if count > MAX_ITEMS:
            shown[ELLIPSIS] = f"<{count - MAX_ITEMS:,} more>"
    supplement = get("__traceback_supplement__") if special and may_call else None
    if supplement is None and may_call:
        supplement = dict.get(frame.f_globals, "__traceback_supplement__")
    if type(supplement) is tuple and supplement:
        shown["__traceback_supplement__"] = _supplement(supplement, walker)
    return shown, hide


_DUNDER = re.compile(r"__(?!traceback_info__|traceback_supplement__)\w+__$").match
_LOCALS_PROXY: Any = type((lambda: __import__("sys")._getframe().f_locals)())  # dict before Python 3.13


def running_frames(frame: types.FrameType | None, walker: Walker) -> list[dict[str, Any]]:
    """The places and variables of a stack that runs or waits, outermost first: ``file line function vars``.

    No source is read, and nothing of the application is called: the stack may hold any lock. The server's frames have
    no variables, as in :meth:`Frames.stack`.
    """
    chain = list(_callers(frame))
    sensitive = sensitive_in(chain)
    if len(chain) > OUTER_FRAMES + INNER_FRAMES:
        del chain[OUTER_FRAMES:-INNER_FRAMES]
    found = []
    inside = True
    for each in reversed(chain):  # the innermost has the variables that matter, while there is room
        code = each.f_code
        shown: dict[str, Any] = {"file": str.__str__(code.co_filename), "line": each.f_lineno or 0}
        shown["function"] = cut(code.co_name, MAX_LINE)
        inside = inside and each.f_globals.get("__name__") not in BORDERS
        seen = inside and walker.show_locals
        local = local_variables(each, walker, not is_plain_code(code), may_call=False)[0] if seen else {}
        if local:
            shown["vars"] = local
            if sensitive is not None:
                sensitive.mask(each, local, walker.guard.mask)
        found.append(shown)
    found.reverse()
    return found


def is_plain_code(code: types.CodeType) -> bool:
    """Whether its local names are those of a function: neither a module's, nor a class body's."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED and code.co_flags & inspect.CO_NEWLOCALS)


def _callers(frame: types.FrameType | None) -> Iterator[types.FrameType]:
    """*frame* and those that called it, the outermost first."""
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    yield from reversed(found)


def short_filename(module: str, path: str) -> str:
    """The path from the folder that holds the top-level package, as raven showed it.

    A module outside any package keeps its folder: ``sampleapp/goldapp.py``.
    """
    parts = path.split("/")
    depth = module.count(".") + (2 if parts[-1].startswith("__init__.") else 1)
    return "/".join(parts[-max(2, depth) :]).lstrip("/")


def _is_python(path: str, module_globals: dict[str, Any]) -> bool:
    """Whether the file is what Python compiled: the columns of a template's code are those of the code made from it."""
    if dict.get(module_globals, "__jinja_exception__") is not None:
        return False
    if path.endswith((".py", ".pyw")) or path.startswith("<"):
        return True
    return (
        dict.get(module_globals, "__name__") == "__main__" and dict.get(module_globals, "__file__") == path
    )  # a script


def _caret(code: types.CodeType, lasti: int, lineno: int, lines: Sequence[str]) -> Caret | None:
    """PEP 657: ``(lineno, col, end_lineno, end_col)``, 1-based, in characters, the end exclusive."""
    positions = getattr(code, "co_positions", None)
    if positions is None or lasti < 0:
        return None
    found = next(islice(positions(), lasti // 2, None), None)
    if found is None or None in found:
        return None
    line, end_line, column, end_column = found
    if not (0 < line <= lineno <= end_line <= len(lines)):
        return None
    begin, end = _column(lines[line - 1], column), _column(lines[end_line - 1], end_column)
    if begin is None or end is None:
        return None  # the file is not what it was when it was compiled
    return (line, begin, end_line, end)


def _column(line: str, offset: int) -> int | None:
    """The column of the byte *offset*; ``None`` where the line is not that long."""
    if line.isascii():
        return offset + 1 if offset <= len(line) else None
    text = line.encode("utf-8", "replace")
    return len(text[:offset].decode("utf-8", "replace")) + 1 if offset <= len(text) else None


def _without_hidden(shown: list[Shown]) -> list[Shown]:
    """Leave out what Paste's ``__traceback_hide__`` hides; nothing, if that would hide where the error happened."""
    kept: list[Shown] = []
    hidden = False
    last_kept = False
    for entry in shown:
        hide = entry[2] if is_one_of(entry[2], str, bool, int) else None
        last_kept = False
        if hide in ("before", "before_and_this"):
            kept.clear()
        if type(hide) is str and hide in _HIDES:
            hidden = hide.startswith("after")
            if hide.endswith("_and_this"):
                continue
            if hide == "after":
                kept.append(entry)
                last_kept = True
                continue
        elif hide or hidden:
            continue
        kept.append(entry)
        last_kept = True
    return kept if last_kept else shown


_HIDES = frozenset({"before", "before_and_this", "after", "after_and_this", "reset", "reset_and_this"})


def _supplement(supplement: tuple[Any, ...], walker: Walker) -> Any:
    """What Paste's ``__traceback_supplement__ = (factory, *args)`` tells: the one way for a frame to be called."""
    try:
        found = supplement[0](*supplement[1:])
        told = {name: getattr(found, name, None) for name in ("object", "source_url", "line", "column", "expression")}
        warnings = getattr(found, "warnings", None)
        told["warnings"] = warnings
        for name, method in (("info", "getInfo"), ("extra", "extraData")):
            call = getattr(found, method, None)
            told[name] = call() if call is not None else None
    except BaseException:
        return "<the supplement raised>"
    return walker.show_names([(name, value) for name, value in told.items() if value is not None])
