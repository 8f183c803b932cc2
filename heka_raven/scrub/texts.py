"""Where the values are that a text or a piece of source gives to its names.

Pure. Which names are private, and what is done with their values, is scrub.py's business. All searches are linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$))"""
_LITERAL = rf"[bBrRuUfF]{{0,2}}{_QUOTED}{_QUOTED}*"  # and what follows it at once: 'it''s', """x"""
# A name, perhaps quoted or bracketed, before what gives it a value; it starts where a word starts.
_NAME = r"""(?<![\w%.+\-])(?P<name>[\w%.+\-]+)(?:\[\d{0,5}\])?\\*["'`]?\]?"""
# Or both quoted, as a pair: ('token', 'x').
ASSIGNED = re.compile(_NAME + r"\s{0,4}(?:=>|:=|:(?!//)|[!=]?=+|(?<=[\"']),(?=\s?[bu]?[\"']))[ \t]{0,40}\s{0,4}")
# A command's word: --password x
FLAG = re.compile(r"(?<![\w\-])--(?P<name>[A-Za-z][\w\-]*)[ \t]{1,4}(?=[^\s\-])")
_PAIR_OPENINGS = ("('", '("', "['", '["', "(b'", "[b'")
_PARAMETER_MARKS = frozenset({"?", "&", ";"})
_VALUE = re.compile(
    rf"""{_LITERAL}|\\+".*?(?:\\+"|$)|\\+'.*?(?:\\+'|$)"""
    r"""|(?i:Bearer|Basic|Token|Negotiate|ApiKey|Api-Key)\s+[^\s,;"'<>]+"""
    r"""|(?i:Digest|OAuth|Hawk|Signature|AWS4-HMAC-SHA256)[ \t][^\r\n]*"""  # they have several parts
    r"""|[^\s&;,"'<>)\]}]+""",
    re.DOTALL,
)
_OPENING = re.compile(r"""[bBrRuUfF]{0,2}(\\*["'])""")
# What a container or a call opens with: [, Password(
_BRACKET = re.compile(r"(?:[A-Za-z_][\w.]{0,100})?[\[({]")
_STEP = re.compile(rf"""\\+".*?(?:\\+"|$)|\\+'.*?(?:\\+'|$)|{_QUOTED}|[\[({{\])}}]""", re.DOTALL)

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
_SOURCE_STEP = re.compile(rf"{_SOURCE_LITERAL}|\#[^\n]*|\\\n|[\[({{\])}},;:\n]", re.DOTALL)
_SOURCE_PARTS = re.compile(r"([bBrRuUfF]{0,2}(\"{3}|'{3}|[\"']))(.*)", re.DOTALL)
SOURCE_LITERAL = re.compile(_SOURCE_LITERAL, re.DOTALL)
PLACEHOLDERS = frozenset("{%$?:<[")
"""How a value begins that a literal leaves open."""


class Value(NamedTuple):
    """A value: where it ends, and the quotes around it."""

    end: int
    opening: str = ""
    closing: str = ""


def is_parameter(text: str, found: re.Match[str]) -> bool:
    """Whether the name that was *found* is a parameter of a URL."""
    return text[found.start() - 1 : found.start()] in _PARAMETER_MARKS


def is_no_pair(text: str, found: re.Match[str]) -> bool:
    """Whether the comma after the name that was *found* separates members of a list, and not a name and its value."""
    return (
        found[0].rstrip()[-1] == "," and found["name"][0] != "-" and not text.endswith(_PAIR_OPENINGS, 0, found.start())
    )


def value_at(text: str, place: int) -> Value | None:
    """The value that begins at *place* of *text*."""
    bracket = _BRACKET.match(text, place)
    if bracket is not None:
        return Value(_end_of_bracket(text, bracket.end()))
    found = _VALUE.match(text, place)
    if found is None:
        return None
    opening = _OPENING.match(found[0])
    return Value(found.end()) if opening is None else Value(found.end(), opening[0], opening[1])


def _end_of_bracket(text: str, place: int) -> int:
    """Where the bracket closes that opened before *place*; the end of *text* if it does not."""
    depth = 1
    for found in _STEP.finditer(text, place):
        if found[0] in "[({":
            depth += 1
        elif found[0] in "])}":
            depth -= 1
            if not depth:
                return found.end()
    return len(text)


def source_names(text: str, begin: int, end: int) -> Iterator[re.Match[str]]:
    """The names from *begin* to *end* of a piece of source that are given a value, or compared with one."""
    for found in _SOURCE_ASSIGNED.finditer(text, begin, end):
        if not is_no_pair(text, found):
            yield found


def source_literals(text: str, place: int) -> Iterator[tuple[int, int, str]]:
    """The literals of the expression at *place*: where their contents begin and end, and the contents.

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
            if not subscripts:
                return
        elif mark[0] not in "#\\" and True not in subscripts:
            parts = _SOURCE_PARTS.match(mark)
            if parts is not None:
                contents = parts[3].removesuffix(parts[2])
                start = found.start() + len(parts[1])
                yield start, start + len(contents), contents
