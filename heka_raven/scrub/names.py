"""Which names stand before private values: of variables, keys, fields, headers, cookies, parameters. Pure.

A name is cut into words, at every mark, at camelCase and at digits, and judged by its words (``words.py``). What is
done with the values is the scrubber's business. ``uwsgi_plugin/core/scrub_names.c`` does the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import heka_raven.scrub.words as tables

# Kinds of names, beside "".
SECRET, PERSONAL, VALUE_OF = "secret", "personal", "value of"
DIRECTORY = "directory"  # secret, unless it is a path
COOKIE, QUERY, URL, NETLOC = "cookie", "query", "url", "netloc"
SYNTAX_KINDS = frozenset({COOKIE, QUERY, URL, NETLOC})

MAX_ESCAPED = 4  # times that a name or a value may be percent-escaped
LETTER = r"[a-z\x80-\U0010ffff]"
WORDS = re.compile(rf"[A-Z]+(?!{LETTER})|[A-Z]?{LETTER}+|[0-9]+")
_UPPER_TO_LOWER = {n: n + 32 for n in range(ord("A"), ord("Z") + 1)}


def lower(text: str) -> str:
    """*text* with its ASCII letters in lower case. ``str.lower`` makes ASCII of some that are not."""
    return text.lower() if text.isascii() else text.translate(_UPPER_TO_LOWER)


_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_UNESCAPED = {
    f"%{high}{low}": chr(byte) if (byte := int(high + low, 16)) < 0x80 else "\xff"
    for high in "0123456789abcdefABCDEF"
    for low in "0123456789abcdefABCDEF"
}


def unescape(text: str) -> str:
    """*text* without its percent-escapes. What is not ASCII becomes some letter: no rule knows any."""
    return _ESCAPE.sub(_unescaped, text) if "%" in text else text


def _unescaped(found: re.Match[str]) -> str:
    return _UNESCAPED[found[0]]


def _split_terms(names: Iterable[str] | str) -> frozenset[str]:
    if isinstance(names, str):
        names = re.split(r"[\s,]+", names)
    return frozenset(name.strip().lower() for name in names if name and name.strip())


def _pattern_of_parts(extra: Iterable[str], allow: frozenset[str]) -> re.Pattern[str] | None:
    terms = [re.escape(term) for term in sorted(extra)]
    for term, (after, before) in tables.PARTS.items():
        if term not in allow:
            behind = "".join(f"(?<!{word})" for word in before)
            ahead = f"(?!{'|'.join(after)})" if after else ""
            terms.append(f"{behind}{term}{ahead}")
    return re.compile("|".join(terms)) if terms else None


class PrivateNames:
    """Tells private names.

    Args:
        scrub_keys: more terms, found as a part of any name, in any case.
        scrub_allow: names that stay as they are; a term of the default rules takes that rule away.
        send_pii: whether the visitor's address, name and e-mail may be sent.
    """

    __slots__ = ("_allow", "_extra", "_key_rule", "_parts", "_quick", "_sequences", "_words", "send_pii")

    def __init__(
        self, scrub_keys: Iterable[str] | str = (), scrub_allow: Iterable[str] | str = (), send_pii: bool = False
    ) -> None:
        allow = _split_terms(scrub_allow)
        self._allow = allow
        self._extra = tuple(sorted(_split_terms(scrub_keys) - allow))
        self._parts = _pattern_of_parts((), allow)
        self._words = frozenset(tables.WORDS) - allow
        self._sequences = tuple(pair for pair in tables.SEQUENCES if " ".join(pair) not in allow)
        self._key_rule = tables.KEY not in allow
        self.send_pii = send_pii
        hints = (*tables.PARTS, *tables.WORDS, *tables.QUERY_WORDS, *self._extra, "card", "security", "cookie")
        self._quick = tuple(sorted({*hints} - allow))

    def may_be_in(self, text: str) -> bool:
        """Whether *text* can hold a private name at all; quick, and true too often."""
        lowered = text.lower()
        squeezed = lowered.replace("_", "").replace("-", "").replace(".", "").replace("+", "")
        for term in self._quick:  # any() with a generator takes three times as long
            if term in lowered or term in squeezed:
                return True
        return "%" in text

    def is_cookie_shown(self, name: str) -> bool:
        """Whether the value of the cookie *name* may be shown: a cookie is private unless its name is known."""
        lowered = lower(name.strip(" \t\"'"))
        bare = lowered.replace("-", "_").replace(".", "_")
        return lowered in self._allow or bare in tables.COOKIES_SHOWN or bare in tables.COOKIE_ATTRIBUTES

    def kind_of(self, name: str, loose: bool = False) -> str:
        """What a value under *name* is: one of the kinds above, or ``""``.

        Args:
            loose: whether it is a parameter of a query string or a form.
        """
        name = name.strip("'\" ")  # names of version 3 are quoted
        if "%" in name:
            for _ in range(MAX_ESCAPED):
                name, before = unescape(name), name
                if name == before:
                    break
        lowered = lower(name)
        if self._allow and (lowered in self._allow or lowered.removeprefix("http_") in self._allow):
            return ""
        if self._extra:
            squeezed = re.sub("[^a-z0-9]+", "", lowered)
            if any(term in lowered or term in squeezed for term in self._extra):
                return SECRET
        words = [lower(word) for word in WORDS.findall(name)]
        if not words:
            return ""
        if len(words) > 1 and words[0] == "http" and name[:5] == "HTTP_":
            del words[0]
        if name == tables.WORKING_DIRECTORY:
            return DIRECTORY
        return self._kind_of_words(words, lowered, loose)

    def _kind_of_words(self, words: list[str], lowered: str, loose: bool) -> str:
        last = words[-1]
        if len(words) > 1:
            if last in tables.ENDINGS or (words[0] in tables.NUMBERS and last[-1] == "s" and last != "pass"):
                return ""
            if last in _HARMLESS_ENDS:
                harmless = next((end for end in tables.HARMLESS if _ends(words, end)), None)
                if harmless is not None:
                    # What stands before may be private: session_cache_key.
                    words = words[: -len(harmless)]
                    return SECRET if words and self._is_secret(words, "_".join(words), False) else ""
        if self._is_secret(words, lowered, loose):
            return SECRET
        if last in _SYNTAX_ENDS:
            for kind, endings in _SYNTAX:
                if any(_ends(words, end) for end in endings):
                    return kind
        if tuple(words) in tables.QUERY_NAMES:
            return QUERY
        if not self.send_pii and tuple(words) in _PERSONAL:
            return PERSONAL
        return VALUE_OF if words == ["value"] else ""

    def _is_secret(self, words: list[str], lowered: str, loose: bool) -> bool:
        if self._parts is not None and self._parts.search(lowered) is not None:
            return True
        if not self._words.isdisjoint(words):
            return True
        if self._key_rule and tables.KEY in words and any(w != tables.KEY and w[0] > "9" for w in words):
            return True
        if loose and len(words) == 1 and words[0] in tables.QUERY_WORDS and words[0] not in self._allow:
            return True
        if len(words) > 1:
            for sequence in self._sequences:
                if sequence[0] in words and _holds(words, sequence):
                    return True
        return False


def _ends(words: list[str], end: tuple[str, ...]) -> bool:
    return tuple(words[-len(end) :]) == end


def _holds(words: list[str], sequence: tuple[str, ...]) -> bool:
    return any((words[at], words[at + 1]) == sequence for at in range(len(words) - 1))


_SYNTAX = (
    (COOKIE, tables.COOKIE_ENDINGS), (QUERY, tables.QUERY_ENDINGS), (URL, tables.URL_ENDINGS),
    (NETLOC, tables.NETLOC_ENDINGS),
)  # fmt: skip
_SYNTAX_ENDS = frozenset(end[-1] for _, endings in _SYNTAX for end in endings)
_HARMLESS_ENDS = frozenset(end[-1] for end in tables.HARMLESS)
_PERSONAL = frozenset(tables.PERSONAL_NAMES)
