"""Values that show by themselves what they are, and messages of libraries that quote one. Pure, linear.

``uwsgi_plugin/core/scrub_shapes.c`` finds the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from heka_raven.scrub.texts import WORD
from heka_raven.scrub.words import LIMITS, PREFIXES, UPPER

IsSecret = Callable[[str], bool]

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]*-----")
_PEM_END = "-----END "
# Not "Bearer of", "Basic understanding": a digit, a mark or a capital inside makes it a credential.
_BEARER = re.compile(
    rf"(?<!{WORD})((?i:bearer|basic)[ \t]+)"
    r"(?=[A-Za-z.\-]*(?:[0-9_~+/=]|[a-z][A-Z]|[.\-][A-Za-z0-9_~+/=]))[A-Za-z0-9._~+/=\-]{8,}",
    re.ASCII,
)


def _prefix_pattern() -> str:
    texts = [
        f"{re.escape(text)}[A-Z0-9]{{{least},}}(?![A-Za-z0-9])"
        if kind == UPPER
        else f"{re.escape(text)}[A-Za-z0-9_\\-]{{{least},}}"
        for text, least, kind in PREFIXES
    ]
    return "|".join(texts)


# A run that is one of the tokens whose issuers mark them, or a JSON web token.
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9])(?:{_prefix_pattern()})"
    r"|(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}(?:\.[A-Za-z0-9_\-]+)*"
)
_DIGITS = re.compile(
    rf"(?<!{WORD})(?<!\.)(?:[0-9]{{13,19}}|[0-9]{{4}}([ \-])[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}"
    rf"|[0-9]{{4}}([ \-])[0-9]{{6}}\2[0-9]{{4,5}})(?!{WORD})"
)
_ELEMENT = re.compile(
    rf"<(?P<name>(?:{WORD}|[.:\-])+)(?:[ \t\r\n\f\v][^<>]*)?>(?P<value>(?:<!\[CDATA\[[^\]<]*\]\]>|[^<])+)</"
)


def mask_pem(text: str, mask: str, keep_lines: bool = False) -> str:
    """PEM blocks without what stands between their first and last line; *keep_lines*: its newlines stay."""
    parts: list[str] = []
    done = 0
    while (found := _PEM.search(text, done)) is not None:
        end = text.find(_PEM_END, found.end())
        parts += [text[done : found.end()], mask]
        done = len(text) if end < 0 else end
        if keep_lines:
            parts.append("\n" * text.count("\n", found.end(), done))
        if end < 0:
            break
    parts.append(text[done:])
    return "".join(parts)


def mask_bearer(text: str, mask: str) -> str:
    """What stands behind ``Bearer`` and ``Basic``."""
    return _BEARER.sub(lambda found: found[1] + mask, text)


def mask_tokens(text: str, mask: str) -> str:
    """Tokens that their prefix tells."""
    return _TOKEN.sub(mask.replace("\\", r"\\"), text)


def mask_cards(text: str, mask: str) -> str:
    """Numbers that are a payment card's."""
    parts: list[str] = []
    done = place = seen = 0
    while (found := _DIGITS.search(text, place)) is not None:
        if seen == LIMITS["MAX_CARDS"]:
            parts += [text[done : found.start()], mask]
            done = len(text)
            break
        seen += 1
        if is_card(found[0].replace(" ", "").replace("-", "")):
            parts += [text[done : found.start()], mask]
            done = place = found.end()
        else:
            grouped = found[1] is not None or found[2] is not None
            place = found.start() + 4 if grouped else found.end()  # another may begin with the next group
    parts.append(text[done:])
    return "".join(parts) if len(parts) > 1 else text


def is_card(digits: str) -> bool:
    """Whether *digits* begin as the number of a card does, are as many, and end in the right check digit (Luhn)."""
    length, two = len(digits), int(digits[:2])
    if digits[0] == "4":
        right = length in (13, 16, 19)
    elif 51 <= two <= 55 or 22 <= two <= 27:
        right = length == 16
    elif two in (34, 37):
        right = length == 15
    elif two in (30, 36, 38, 39):
        right = length == 14
    else:
        right = two in (35, 60, 62, 64, 65) and 16 <= length <= 19
    if not right:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = ord(digit) - 48
        if place % 2:
            number = number * 2 - 9 if number > 4 else number * 2
        total += number
    return total % 10 == 0


def mask_elements(text: str, mask: str, is_secret: IsSecret) -> str:
    """XML elements with private names, without their text."""

    parts: list[str] = []
    done = 0
    for seen, found in enumerate(_ELEMENT.finditer(text)):
        if seen == LIMITS["MAX_ELEMENTS"]:
            parts += [text[done : found.start()], mask]
            done = len(text)
            break
        if is_secret(found["name"]):
            parts += [text[done : found.start("value")], mask]
            done = found.end("value")
    parts.append(text[done:])
    return "".join(parts) if len(parts) > 1 else text


# -- messages of libraries ---------------------------------------------------------------------------------------------

_LINE = re.compile(r"[^\n]*\n?")
_INPUT, _INPUT_END = "input_value=", ", input_type="
_MUST = re.compile(rf"""(?<!{WORD})(?<![.\-])(?P<name>(?:{WORD}|[.\-])+)\\{{0,8}}["'] must """)
_COLUMN = re.compile(r"[^ \t,()\":]+")
_DUPLICATE, _FOR_KEY = "Duplicate entry '", "' for key '"
_SQL, _SQL_PARAMETERS = "[SQL: ", "[parameters: "
_SQL_NAME = re.compile(rf"{WORD}+")
_KEY, _KEY_VALUE, _ROW = "Key (", ")=(", "Failing row contains ("


def mask_messages(text: str, mask: str, is_secret: IsSecret) -> str:
    """Messages of pydantic, PostgreSQL, MySQL, attrs and SQLAlchemy, which quote the value that they refuse."""
    if _INPUT in text:
        text = _mask_pydantic(text, mask, is_secret)
    if _KEY_VALUE in text:
        text = _mask_key_detail(text, mask, is_secret)
    if _ROW in text:
        text = _mask_row(text, mask)
    if _DUPLICATE in text:
        text = _mask_duplicate(text, mask, is_secret)
    if " must " in text:
        text = _mask_validator(text, mask, is_secret)
    if _SQL_PARAMETERS in text:
        text = _mask_sql_parameters(text, mask, is_secret)
    return text


def _mask_pydantic(text: str, mask: str, is_secret: IsSecret) -> str:
    """The inputs that pydantic 2 shows: on the lines below the name of a field. One that it cut may have lost its keys.

    ::

        password
          Value should have … [type=…, input_value='…', input_type=str]
    """
    lines: list[str] = []
    private = False
    for line in text.split("\n"):
        if line[:1] not in (" ", "\t"):
            private = " " not in line and is_secret(line)
        at = line.find(_INPUT)
        if at >= 0:
            start = at + len(_INPUT)
            end = line.rfind(_INPUT_END)
            end = len(line) if end < start else end
            if private or "..." in line[start:end]:
                line = line[:start] + mask + line[end:]
        lines.append(line)
    return "\n".join(lines)


def _mask_key_detail(text: str, mask: str, is_secret: IsSecret) -> str:
    """``DETAIL:  Key (lower(api_key))=(…) already exists.``"""
    lines = []
    for line in text.split("\n"):
        begin = line.find(_KEY)
        middle = line.find(_KEY_VALUE, begin) if begin >= 0 else -1
        if middle >= 0 and any(is_secret(column) for column in _COLUMN.findall(line, begin + len(_KEY), middle)):
            start = middle + len(_KEY_VALUE)
            end = line.rfind(")")
            line = line[:start] + mask + (line[end:] if end >= start else "")
        lines.append(line)
    return "\n".join(lines)


def _mask_row(text: str, mask: str) -> str:
    """``DETAIL:  Failing row contains (1, …).``, of which no name tells what it is."""
    lines = []
    for line in text.split("\n"):
        begin = line.find(_ROW)
        if begin >= 0:
            start = begin + len(_ROW)
            end = line.rfind(")")
            line = line[:start] + mask + (line[end:] if end >= start else "")
        lines.append(line)
    return "\n".join(lines)


def _mask_duplicate(text: str, mask: str, is_secret: IsSecret) -> str:
    """``Duplicate entry '…' for key 'users.api_token'``"""
    parts: list[str] = []
    done = place = 0
    while (begin := text.find(_DUPLICATE, place)) >= 0:
        start = begin + len(_DUPLICATE)
        stop = text.find(_FOR_KEY, start)
        if stop < 0:
            break
        name = stop + len(_FOR_KEY)
        end = text.find("'", name)
        end = len(text) if end < 0 else end
        if is_secret(text[name:end]):
            parts += [text[done:start], mask]
            done = stop
        place = end
    parts.append(text[done:])
    return "".join(parts)


def _mask_validator(text: str, mask: str, is_secret: IsSecret) -> str:
    """``'password' must be <class 'str'> (got 5 that …``, of attrs: the value may come again at the end."""
    for found in _MUST.finditer(text):
        if is_secret(found["name"]):
            got = text.find("(got ", found.end())
            start = got + 5 if got >= 0 else text.find("(", found.end()) + 1
            return text[:start] + mask if start else text
    return text


def _mask_sql_parameters(text: str, mask: str, is_secret: IsSecret) -> str:
    """``[SQL: INSERT INTO users (name, token) VALUES (?, ?)] [parameters: ('bob', '…')]``, of SQLAlchemy: no name
    stands beside a parameter, so all are masked where one of the statement's is private."""
    begin = text.find(_SQL)
    place = text.find(_SQL_PARAMETERS, begin) if begin >= 0 else -1
    if place < 0:
        return text
    for seen, name in enumerate(_SQL_NAME.findall(text, begin + len(_SQL), place)):
        if seen == LIMITS["MAX_NAMES"] or is_secret(name):
            start = place + len(_SQL_PARAMETERS)
            end = text.rfind("]", start)
            return text[:start] + mask + (text[end:] if end >= 0 else "")
    return text
