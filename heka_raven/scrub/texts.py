"""Where the values are that a text gives to its names. Pure; ``uwsgi_plugin/core/scrub_values.c`` finds the same.

Every search is linear: no pattern can go back over its own start, and what was looked at as a value is not looked at
again. Classes of characters are ASCII's; what is not ASCII is a letter.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from heka_raven.scrub.words import LINE_SCHEMES, SCHEMES

# ASCII letters, digits, '_', and all that is not ASCII; with "%.+-" a character of a name.
WORD = r"""[^\x00-/:-@\[-^`{-\x7f]"""
NAME = r"""[^\x00-$&-*,/:-@\[-^`{-\x7f]"""

# A name before what gives it a value: perhaps in quotes or brackets, as user[password][0]. It begins where a run of
# its characters begins. Or both quoted, as a pair: ('token', 'x').
ASSIGNED = re.compile(
    rf"""(?<!{NAME})(?P<name>{NAME}+)\\{{0,8}}(?P<quote>["'`]?)\]?(?P<rest>(?:\[{NAME}{{0,40}}\]){{0,3}})"""
    r"""[ \t\r\n]{0,4}(?P<mark>=>|:=|:(?!//)|[!=]?=+|(?<=["']),(?=[ ]?[bu]?["']))[ \t]*"""
)
# A command's word: --password x
FLAG = re.compile(rf"""(?<![\-])(?<!{WORD})--(?P<name>[A-Za-z](?:{WORD}|-)*)(?P<rest>)[ \t]+(?=[^ \t\r\n\f\v\-])""")
_PAIR_OPENINGS = ("('", '("', "['", '["', "(b'", "[b'")
PARAMETER_MARKS = frozenset("?&;")

_OPENING = re.compile(r"""[bBrRuUfF]{0,2}(\\{0,8})(["'])""")
_STRING_REST = {
    '"': re.compile(r'(?:[^"\\]+|\\.?|"")*', re.DOTALL),
    "'": re.compile(r"(?:[^'\\]+|\\.?|'')*", re.DOTALL),
}
_BRACKET = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_.]*)?[\[({]")
_STEP = re.compile(r"""(?<!\\)(\\*)(["'])|[\[({\])}]""")
_PLAIN = r"""[^ \t\r\n\f\v&;,"'<>)\]}]"""
_UNQUOTED = re.compile(
    rf"""(?i:{"|".join(SCHEMES)})[ \t]+{_PLAIN}+|(?i:{"|".join(LINE_SCHEMES)})[ \t][^\r\n]*|{_PLAIN}+""",
    re.ASCII,
)
_MORE_PLAIN = re.compile(rf"{_PLAIN}*")
_LINE_REST = {
    "": re.compile(r"[^\r\n]+"),
    '"': re.compile(r'[^\r\n"]+'),
    "'": re.compile(r"[^\r\n']+"),
}
_BLOCK = re.compile(r"(?:[|>][+\-0-9]{0,2})?[ \t]*\r?\n")
_LINE_INDENT = re.compile(r"[ \t]*(?:-[ \t]+)*")
_BLANKS = re.compile(r"[ \t]*")


class Value(NamedTuple):
    """A value: its opening quote, where its contents begin and end, and where its closing quote ends."""

    start: int
    stop: int
    end: int
    closing: str = ""
    bracket: bool = False


def is_pair(text: str, found: re.Match[str]) -> bool:
    """Whether the comma after the name that was *found* stands between a name and its value."""
    return found["name"][0] == "-" or text.endswith(_PAIR_OPENINGS, 0, found.start())


def is_parameter(text: str, found: re.Match[str]) -> bool:
    """Whether the name that was *found* is a parameter of a URL."""
    start = found.start()
    return start > 0 and text[start - 1] in PARAMETER_MARKS


def value_at(text: str, place: int) -> Value | None:
    """The value that begins at *place* of *text*: a string, a bracket, a tag, or a run of other characters."""
    opening = _OPENING.match(text, place)
    if opening is not None:
        start = opening.end()
        stop, end = _end_of_string(text, start, opening[2], len(opening[1]))
        return Value(start, stop, end, opening[1] + opening[2])
    bracket = _BRACKET.match(text, place)
    if bracket is not None:
        end = _end_of_bracket(text, bracket.end())
        return Value(place, end, end, "", True)
    if text.startswith("<", place):
        end = text.find(">", place) + 1
        end = _end(_MORE_PLAIN, text, end) if end else _end(_LINE_REST[""], text, place)
        return Value(place, end, end)
    found = _UNQUOTED.match(text, place)
    return None if found is None else Value(place, found.end(), found.end())


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return place if found is None else found.end()


def line_value(text: str, found: re.Match[str]) -> Value | None:
    """The rest of the line after the mark that was *found*; or of the string that the whole line stands in."""
    start, place = found.start(), found.end()
    before = text[start - 1] if start else ""
    around = before if before in _LINE_REST and not found["quote"] else ""
    rest = _LINE_REST[around].match(text, place)
    return None if rest is None else Value(place, rest.end(), rest.end())


def _end_of_string(text: str, place: int, quote: str, depth: int) -> tuple[int, int]:
    """Where the contents of a string end that begin at *place*, and where it ends itself.

    Args:
        depth: backslashes before its opening quote: it is a string inside a string.
    """
    if not depth:
        stop = _end(_STRING_REST[quote], text, place)
        return stop, min(stop + 1, len(text))
    at = place
    while (at := text.find(quote, at)) >= 0:
        before = at
        while before > place and text[before - 1] == "\\":
            before -= 1
        if at - before <= depth:
            return (before, at + 1) if at - before == depth else (before, before)
        at += 1
    return len(text), len(text)


def _end_of_bracket(text: str, place: int) -> int:
    """Where the bracket closes that opened before *place*; the end of *text* if it does not."""
    depth = 1
    while (found := _STEP.search(text, place)) is not None:
        place = found.end()
        if found[2] is not None:
            place = _end_of_string(text, place, found[2], len(found[1]))[1]
        elif found[0] in "[({":
            depth += 1
        else:
            depth -= 1
            if not depth:
                return place
    return len(text)


def block_at(text: str, found: re.Match[str]) -> tuple[bool, Value | None]:
    """A YAML block after the colon that was *found*: whether one may begin there, and the block.

    It is made of the lines that follow and are indented deeper than the name's; of a list, as deep. Of JSON that was
    laid out by hand, it is the string or the bracket on the next line.
    """
    place = found.end()
    opening = _BLOCK.match(text, place)
    if opening is None:
        return False, None
    line = text.rfind("\n", 0, found.start()) + 1
    indent = _end(_LINE_INDENT, text, line) - line
    is_list = opening[0][0] not in "|>"
    at, end, length = opening.end(), 0, len(text)
    if is_list and text.startswith(("'", '"', "[", "{", "("), begin := _end(_BLANKS, text, at)):
        return True, value_at(text, begin)
    while at < length:
        begin = _end(_BLANKS, text, at)
        stop = text.find("\n", begin)
        stop = length if stop < 0 else stop
        if begin < stop and text[begin] != "\r":
            deep = begin - at
            if deep < indent or (deep == indent and not (is_list and text.startswith("- ", begin))):
                break
            end = stop
        at = stop + 1
    if not end:
        return True, None
    if text[end - 1] == "\r":
        end -= 1
    return True, Value(place, end, end, "", True)
