"""Source lines in colour: Pygments splits them into tokens, the style sheet colours a few kinds of these. Pure.

Rule 1: a client's lines are hostile, and some lexers need the square of a line's length. Only lexers of LEXERS read
        them, no more than MAX_PIECE characters at once, and a page gets BUDGET_S; what is beyond is shown plain.
Rule 2: every text is escaped here, whatever a lexer did with it; lines that its tokens are not are shown plain.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from markupsafe import Markup, escape
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String

from heka_raven.inbox.event.model import Frame

MAX_PIECE = 2_000  # characters of one frame's lines; usual ones have 500
BUDGET_S = 0.03  # of one page: 25 usual frames
LEXERS = {  # ends of file names, and platforms of events
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "cxx": "cpp", "hpp": "cpp", "cs": "csharp", "csharp": "csharp",
    "dart": "dart", "ex": "elixir", "exs": "elixir", "elixir": "elixir", "go": "go", "java": "java", "js": "javascript",
    "cjs": "javascript", "mjs": "javascript", "javascript": "javascript", "jsx": "javascript", "node": "javascript",
    "kt": "kotlin", "m": "objective-c", "objc": "objective-c", "cocoa": "swift", "php": "php", "py": "python",
    "pyi": "python", "pyx": "cython", "python": "python", "rb": "ruby", "ruby": "ruby", "rs": "rust", "rust": "rust",
    "swift": "swift", "ts": "typescript", "tsx": "typescript",
}  # fmt: skip
# What is coloured, the first that fits: (kind of token, class of the style sheet)
CLASSES = (
    (Comment, "tc"),
    (String.Doc, "tc"),
    (String, "ts"),
    (Keyword, "tk"),
    (Operator.Word, "tk"),
    (Number, "tn"),
    (Literal, "ts"),
    (Name.Decorator, "td"),
    (Name.Function, "tf"),
    (Name.Class, "tf"),
    (Name.Builtin, "tb"),
)

Tokens = list[tuple[str, str]]  # (class or "", text)


@cache
def _lexer(name: str) -> Any:
    options = {"startinline": True} if name == "php" else {}
    return get_lexer_by_name(name, stripnl=False, ensurenl=False, **options)


@cache
def _class_of(kind: Any) -> str:
    return next((name for parent, name in CLASSES if kind in parent), "")


def _lines(tokens: Iterator[tuple[Any, str]]) -> list[Tokens]:
    """Tokens, parted where a line ends; neighbours of one class are one."""
    lines: list[Tokens] = [[]]
    for kind, value in tokens:
        name = _class_of(kind)
        for at, part in enumerate(value.split("\n")):
            if at:
                lines.append([])
            if part and lines[-1] and lines[-1][-1][0] == name:
                lines[-1][-1] = (name, lines[-1][-1][1] + part)
            elif part:
                lines[-1].append((name, part))
    return lines


def tokens_of(lines: list[str], language: str) -> list[Tokens] | None:
    """Each line's tokens; None where they are not what the lines are."""
    piece = "\n".join(lines)
    if len(piece) > MAX_PIECE:
        return None
    try:
        found = _lines(_lexer(language).get_tokens(piece))
    except Exception:  # a lexer that fails must not cost the page
        return None
    return found if ["".join(part for _, part in line) for line in found] == lines else None


def _marked_up(tokens: Tokens) -> Markup:
    parts = [Markup('<span class="{}">{}</span>').format(name, part) if name else escape(part) for name, part in tokens]
    return Markup("").join(parts)


def _underlined(tokens: Tokens, start: int, end: int) -> Markup:
    """The line with its columns from *start* to *end* in a mark of their own."""
    before: Tokens = []
    inside: Tokens = []
    after: Tokens = []
    at = 0
    for name, part in tokens:
        for into, low, high in ((before, 0, start), (inside, start, end), (after, end, at + len(part))):
            cut = part[max(low - at, 0) : max(high - at, 0)]
            if cut:
                into.append((name, cut))
        at += len(part)
    return Markup("{}<mark>{}</mark>{}").format(_marked_up(before), _marked_up(inside), _marked_up(after))


def _texts(frame: Frame) -> list[str]:
    return [text.replace("\n", " ") for text in (*frame.pre_context, frame.context_line, *frame.post_context)]


def _by_worth(stacks: Iterable[list[Frame]]) -> list[Frame]:
    frames = [frame for stack in stacks for frame in reversed(stack)]
    return sorted(frames, key=lambda frame: not frame.in_app)


class Painter:
    """Shows the source of the frames of one page.

    Args:
        platform: of the event; it decides where the name of a file does not.
        stacks: of the event, those that matter most first; in each the newest frames of the app get colours first.
        clock: seconds; only differences count.
    """

    def __init__(self, platform: str, stacks: Iterable[list[Frame]], clock: Callable[[], float]) -> None:
        self._platform = platform
        self._painted: dict[int, list[Tokens]] = {}
        until = clock() + BUDGET_S
        for frame in _by_worth(stacks):
            if clock() > until:
                break
            language = self._language(frame)
            if language is not None and frame.context_line:
                found = tokens_of(_texts(frame), language)
                if found is not None:
                    self._painted[id(frame)] = found

    def _language(self, frame: Frame) -> str | None:
        path = frame.filename or frame.abs_path
        ending = path.partition("?")[0].rpartition(".")[2].lower()
        return LEXERS.get(ending) or LEXERS.get(self._platform)

    def lines(self, frame: Frame) -> list[tuple[str, Markup, bool]]:
        """(number, markup, whether it is the failing one) of each line."""
        texts = _texts(frame)
        found = self._painted.get(id(frame)) or [[("", text)] for text in texts]
        hot = len(frame.pre_context)
        first = (frame.lineno or 1) - hot
        out = []
        for at, tokens in enumerate(found):
            whole = texts[at].strip()
            markup = _marked_up(tokens)
            if at == hot and frame.carets is not None and texts[at][slice(*frame.carets)].strip() != whole:
                markup = _underlined(tokens, *frame.carets)
            number = str(first + at) if frame.lineno is not None or at != hot else "?"
            out.append((number, markup, at == hot))
        return out
