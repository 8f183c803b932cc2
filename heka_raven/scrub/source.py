"""Where the literals are that a piece of source gives to its names.

Pure. Which names are private, and what is done with their values, is the scrubber's business. All searches are linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A name, perhaps quoted or bracketed, before what gives it a value; it starts where a word starts.
_NAME = r"""(?<![\w%.+\-])(?P<name>[\w%.+\-]+)(?:\[\d{0,5}\])?\\*["'`]?\]?"""
_PAIR_OPENINGS = ("('", '("', "['", '["', "(b'", "[b'")

_SOURCE_LITERAL = (
    r"""[bBrRuUfF]{0,2}(?:\"{3}(?:[^\\]|\\.)*?(?:\"{3}|\Z)|'{3}(?:[^\\]|\\.)*?(?:'{3}|\Z)"""
    r"""|"(?:[^"\\\n]|\\.)*(?:"|(?=\n)|\Z)|'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\Z))"""
)
# An annotation may stand between name and '='; after ':' there is an expression only where one begins at once.
_SOURCE_ASSIGNED = re.compile(
    _NAME
    + r"""\s{0,8}(?::(?:[^=,'"\n\#\[\]]|\[[^='"\n]{0,60}\]){1,60}=(?!=)|[:+|!]=|={1,2}"""
    + rf"""|:(?=\s{{0,8}}(?:{_SOURCE_LITERAL}|[\w.]{{0,60}}[\[({{]))|(?<=["']),)""",
    re.DOTALL,
)
# Several names at once, at the beginning of a line: `user, password = ...`.
_SOURCE_UNPACKED = re.compile(
    r"[ \t]*[\[(]?(?P<names>\*?[\w.]{1,100}[ \t]{0,8}(?:,[ \t]{0,8}\*?[\w.]{1,100}[ \t]{0,8}){1,20})"
    r",?[ \t]{0,8}[\])]?[ \t]{0,8}=(?!=)"
)
_SOURCE_STEP = re.compile(rf"{_SOURCE_LITERAL}|\#[^\n]*|\\\n|[\[({{\])}},;:\n]", re.DOTALL)
_SOURCE_PARTS = re.compile(r"([bBrRuUfF]{0,2}(\"{3}|'{3}|[\"']))(.*)", re.DOTALL)
_SOURCE_AT_ONCE = re.compile(rf"\s{{0,8}}({_SOURCE_LITERAL})", re.DOTALL)
SOURCE_LITERAL = re.compile(_SOURCE_LITERAL, re.DOTALL)
PLACEHOLDERS = frozenset("{%$?:<[")
"""How a value begins that a literal leaves open."""


def is_no_pair(text: str, found: re.Match[str]) -> bool:
    """Whether the comma after the name that was *found* separates members of a list, and not a name and its value."""
    return (
        found[0].rstrip()[-1] == "," and found["name"][0] != "-" and not text.endswith(_PAIR_OPENINGS, 0, found.start())
    )


def source_names(text: str, begin: int, end: int) -> Iterator[re.Match[str]]:
    """The names from *begin* to *end* of a piece of source that are given a value, or compared with one."""
    for found in _SOURCE_ASSIGNED.finditer(text, begin, end):
        if not is_no_pair(text, found):
            yield found


def unpacked_names(text: str, begin: int, end: int) -> tuple[list[str], int]:
    """The names that the line from *begin* to *end* gives values to at once, and where their values begin."""
    found = _SOURCE_UNPACKED.match(text, begin, end)
    if found is None:
        return [], end
    return [name.strip(" \t*") for name in found["names"].split(",")], found.end()


def literal_at(text: str, place: int) -> Iterator[tuple[int, int, str]]:
    """The literal that begins at *place*, if there is one; as :func:`source_literals`."""
    found = _SOURCE_AT_ONCE.match(text, place)
    if found is not None:
        yield _contents(found[1], found.start(1))


def source_literals(text: str, place: int, ends: str = ",;:\n") -> Iterator[tuple[int, int, str]]:
    """The literals of the expression at *place*, up to one of *ends*: where their contents begin and end, and those.

    Those in the brackets of a subscript are keys, and left out.
    """
    subscripts: list[bool] = []  # of each open bracket
    for found in _SOURCE_STEP.finditer(text, place):
        mark = found[0]
        if mark in "[({":
            before = text[found.start() - 1]
            subscripts.append(mark == "[" and (before.isalnum() or before in "_)]\"'"))
        elif mark in "])}":
            if not subscripts:
                return
            subscripts.pop()
        elif mark in ",;:\n":
            if mark in ends and not subscripts:
                return
        elif mark[0] not in "#\\" and True not in subscripts:
            yield _contents(mark, found.start())


def _contents(literal: str, place: int) -> tuple[int, int, str]:
    parts = _SOURCE_PARTS.match(literal)
    assert parts is not None  # noqa: S101 - it begins as every literal does
    contents = parts[3].removesuffix(parts[2])
    start = place + len(parts[1])
    return start, start + len(contents), contents
