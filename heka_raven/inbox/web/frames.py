"""How a stack is folded: runs of library frames, and calls that repeat. Pure.

The order stays the one of the calls; what is folded becomes one line that says what is in it.
"""

from dataclasses import dataclass, field

from heka_raven.inbox.event.model import Error, Frame
from heka_raven.inbox.web.highlight import Painter
from heka_raven.inbox.web.links import Links

MAX_PERIOD = 6  # calls that repeat as a group: a() calls b() calls a()
MIN_REPEATS = 4  # of a group, so that a line is saved
NAMED = 2  # libraries named on a fold
# Java and its kind name a package by its owner first: com.example, and everything is inside of that.
_OWNERS = ("com", "io", "net", "org")


@dataclass(slots=True)
class StackView:
    """What the stacks of one page are shown with."""

    painter: Painter
    links: Links
    release: str
    told: Error | None  # the exception whose type and message stand on top of the page
    expand: bool = False


@dataclass(slots=True)
class Run:
    """Frames that belong together, newest first; a folded one has a label."""

    frames: list[Frame]
    label: str = ""
    in_app: bool = True
    opens: list[bool] = field(default_factory=list)  # whether each frame stands open


def library_of(frame: Frame) -> str:
    """The package that a frame belongs to: ``django``; empty if nothing tells."""
    path = (frame.filename or frame.abs_path).replace("\\", "/")
    for folder in ("site-packages/", "dist-packages/", "node_modules/"):
        _, found, rest = path.rpartition(folder)
        if found:
            parts = rest.split("/")
            return "/".join(parts[:2]) if parts[0].startswith("@") else parts[0].removesuffix(".py")
    if "/" in frame.module:  # Go: a host, an owner and a name, or a package of its own library
        parts = frame.module.split("/")
        return "/".join(parts[:3]) if "." in parts[0] else parts[0]
    parts = frame.module.replace("::", ".").split(".")
    if len(parts) > 2 and parts[0] in _OWNERS:
        return ".".join(parts[:2])
    return parts[0] or path.rpartition("/")[2] or frame.package.replace("\\", "/").rpartition("/")[2]


def _library_label(frames: list[Frame]) -> str:
    names = [name for name in dict.fromkeys(library_of(frame) for frame in frames) if name]
    count = f"{len(frames)} {'frame' if len(frames) == 1 else 'frames'}"
    if not names:
        return f"{count} of libraries"
    more = len(names) - NAMED
    said = ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{count} in {said}"


def _repeats(frames: list[Frame], at: int) -> tuple[int, int]:
    """The shortest group of calls at *at* that repeats often enough: (its length, how often it stands there)."""

    def call(place: int) -> tuple[str, str, int | None]:
        frame = frames[place]
        return frame.function, frame.place, frame.lineno

    for period in range(1, MAX_PERIOD + 1):
        end = at + period
        while end < len(frames) and call(end) == call(end - period):
            end += 1
        times = (end - at) // period
        if times >= MIN_REPEATS:
            return period, times
    return 1, 1


def _fold_repeats(frames: list[Frame], in_app: bool) -> list[Run]:
    out: list[Run] = []
    plain: list[Frame] = []
    at = 0
    while at < len(frames):
        period, times = _repeats(frames, at)
        plain += frames[at : at + period]
        if times > 1:
            out.append(Run(plain, in_app=in_app))
            plain = []
            what = "the same" if period == 1 else f"the same {period} calls"
            out.append(
                Run(frames[at + period : at + period * times], f"{times - 1} \N{MULTIPLICATION SIGN} {what}", in_app)
            )
        at += period * times
    if plain:
        out.append(Run(plain, in_app=in_app))
    return out


def runs(frames: list[Frame]) -> list[Run]:
    """The stack as a page shows it, newest call first.

    The innermost frame of the app stands open; where there is none, the innermost frame at all.
    """
    newest = list(reversed(frames))
    parts: list[list[Frame]] = []
    for frame in newest:
        if parts and parts[-1][0].in_app == frame.in_app:
            parts[-1].append(frame)
        else:
            parts.append([frame])
    out: list[Run] = []
    for part in parts:
        if part[0].in_app or len(parts) == 1:
            out += _fold_repeats(part, part[0].in_app)
        else:
            out.append(Run(part, _library_label(part), in_app=False))
    opened = False
    for run in out:
        run.opens = [not opened and not run.label and at == 0 for at in range(len(run.frames))]
        opened = opened or any(run.opens)
    return out
