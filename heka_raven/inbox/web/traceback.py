"""An event's exceptions as Python prints them: to read raw, and to paste. Pure."""

from itertools import groupby

from heka_raven.inbox.event.model import Error, Frame
from heka_raven.inbox.web.wording import tree

SHOWN_REPEATS = 3  # calls of one line that Python prints before it counts
MAX_GROUP_DEPTH = 10  # Python's own
MAX_LINES = 20_000  # of one traceback
CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"
HEAD = "Traceback (most recent call last):"


def frame_lines(frame: Frame) -> list[str]:
    """One call: where, its source line, and the failing columns where they are not the whole line."""
    lines = [f'  File "{frame.abs_path or frame.place}", line {frame.lineno or "?"}, in {frame.name}']
    if frame.context_line.strip():
        source = frame.context_line.strip()
        lines.append(f"    {source}")
        if frame.carets:
            shift = len(frame.context_line) - len(frame.context_line.lstrip())
            start, end = max(0, frame.carets[0] - shift), max(0, frame.carets[1] - shift)
            if end > start and (start, end) != (0, len(source)):
                lines.append("    " + " " * start + "^" * (end - start))
    return lines


def stack_lines(frames: list[Frame]) -> list[str]:
    """Calls, outermost first; one that calls itself over and over is printed three times and then counted."""
    lines: list[str] = []
    for _, same in groupby(frames, key=lambda frame: (frame.abs_path or frame.place, frame.lineno, frame.name)):
        calls = list(same)
        for frame in calls[:SHOWN_REPEATS]:
            lines += frame_lines(frame)
        more = len(calls) - SHOWN_REPEATS
        if more > 0:
            lines.append(f"  [Previous line repeated {more} more time{'s' if more > 1 else ''}]")
    return lines


def last_lines(error: Error) -> list[str]:
    """The type and what it says, with the notes that were added."""
    plain = not error.module or error.module in ("builtins", "__main__") or error.type.startswith(f"{error.module}.")
    name = error.type if plain else f"{error.module}.{error.type}"
    said = f"{name}: {error.value}" if error.value else name
    notes = [note for note in error.notes if note not in error.value]
    return "\n".join([said, *notes]).split("\n")


class _Printer:
    """Writes lines behind the margin of the exception group that they are in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0
        self.open = False  # whether the box of the innermost group is still to be closed

    def add(self, lines: list[str], edge: str = "|") -> None:
        margin = f"{'  ' * self.depth}{edge} " if self.depth else ""
        self.lines += [margin + line for line in lines[: MAX_LINES - len(self.lines)]]

    def error(self, error: Error) -> None:
        chained = ("__cause__", "__context__")
        causes = [child for child in error.children if not error.is_group or child.source in chained]
        for cause in causes:
            self.error(cause)
            self.add(["", CAUSE if cause.source == "__cause__" else CONTEXT, ""])
        if error.is_group:
            self.group(error, [child for child in error.children if child.source not in chained])
            return
        self.add([HEAD, *stack_lines(error.frames)] if error.frames else [])
        self.add(last_lines(error))

    def group(self, error: Error, members: list[Error]) -> None:
        outermost = self.depth == 0
        if self.depth > MAX_GROUP_DEPTH:
            self.add([f"... (max_group_depth is {MAX_GROUP_DEPTH})"])
            return
        self.depth += outermost
        if error.frames:
            self.add([f"Exception Group {HEAD}"], edge="+" if outermost else "|")
            self.add(stack_lines(error.frames))
        self.add(last_lines(error))
        for at, member in enumerate(members):
            self.open = at == len(members) - 1
            self.lines.append(f"{'  ' * self.depth}{'  ' if at else '+-'}+---------------- {at + 1} ----------------")
            self.depth += 1
            self.error(member)
            if at == len(members) - 1 and self.open:
                self.lines.append(f"{'  ' * self.depth}+------------------------------------")
                self.open = False
            self.depth -= 1
        self.depth -= outermost


def as_traceback(errors: list[Error]) -> str:
    """The exceptions of an event, oldest first in a chain, groups as boxes."""
    printer = _Printer()
    for root in tree(errors):
        printer.error(root)
    return "\n".join(printer.lines)
