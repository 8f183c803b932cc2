"""The C stack that ``faulthandler`` of Python 3.14 and later writes behind the Python stacks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEADING = "Current thread's C stack trace"
MOST = 32  # faulthandler writes no more
_LINE = re.compile(r"""  Binary file (?:"(.*)"|'<unknown>')(?:, at (.*?)[+-](?:0x[0-9a-f]+|0))? \[(0x[0-9a-f]+)\]""")
# The interpreter's own loop: what is outside of it led to Python.
_EVALUATES = ("_PyEval_", "PyEval_", "_TAIL_CALL_")
_C_LIBRARY = ("libc.so", "libpthread", "ld-linux", "libgcc_s.")


@dataclass(slots=True)
class NativeFrame:
    """One line: a library's path (empty where nobody knows), a function's name (likewise) and an address."""

    package: str
    function: str
    address: str

    @property
    def library(self) -> str:
        return self.package.rpartition("/")[2]

    def as_frame(self) -> dict[str, object]:
        """As an event has it."""
        shown = {"filename": self.library, "package": self.package, "function": self.function}
        return {
            "platform": "native",
            "instruction_addr": self.address,
            "in_app": False,
            **{name: text for name, text in shown.items() if text},
        }


def read_c_stack(text: str) -> list[NativeFrame]:
    """The frames inside Python's innermost, outermost first: those of the C code that Python called."""
    _, heading, rest = text.partition(HEADING)
    frames: list[NativeFrame] = []
    for line in rest.split("\n")[1:] if heading else ():
        found = _LINE.fullmatch(line)
        if found is None or len(frames) == MOST:
            break
        frames.append(NativeFrame(found[1] or "", found[2] or "", found[3]))
    frames = frames[_own(frames) :]
    end = next((at for at, frame in enumerate(frames) if at > 0 and frame.function.startswith(_EVALUATES)), 0)
    if end:
        interpreter = frames[end].package
        while end > 1 and not frames[end - 1].function and frames[end - 1].package == interpreter:
            end -= 1
        frames = frames[:end]
    return frames[::-1]


def _own(frames: Sequence[NativeFrame]) -> int:
    """How many are the handler's: some of faulthandler itself, and the C library's, which the kernel returns to."""
    count = 0
    while count < len(frames) and frames[count].package == frames[0].package:
        count += 1
    return count + 1


def place_of(frames: Sequence[NativeFrame]) -> str:
    """What tells one crash from another: the innermost named function outside of the C library, else a library."""
    others = [frame for frame in reversed(frames) if frame.library and not frame.library.startswith(_C_LIBRARY)]
    named = next((frame.function for frame in others if frame.function), "")
    return named or (others[0].library if others else "")
