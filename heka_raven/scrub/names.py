"""Which names stand before private values: of variables, keys, fields, headers, cookies, parameters.

Pure. What is done with the values is scrub.py's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

# In any name, as a part of it.
PART_TERMS = frozenset({
    "token", "secret", "password", "passwd", "passphrase", "credential", "session", "csrf", "xsrf", "saml", "bearer",
    "apikey", "privatekey",
})  # fmt: skip
# In any name, as a whole word of it; in headers, cookies and query parameters as a part, too.
WORD_TERMS = frozenset(["auth", "authorization", "jwt", "sso", "sid", "pwd"])
# `key` counts beside another word (api_key); alone it is the commonest local variable of a KeyError.
KEY_TERM = "key"

# Kinds of names, beside those whose value is a text with a syntax of its own.
SECRET, VALUE_OF = "secret", "value of"
# HTTP_ is taken off an environ's names before.
COOKIE_NAMES = frozenset({"COOKIE", "COOKIES", "SET_COOKIE", "SET_COOKIE2"})
QUERY_NAMES = frozenset({"QUERY_STRING", "QUERYSTRING", "QUERY"})
URL_NAMES = frozenset({"REQUEST_URI", "RAW_URI", "REFERER", "REFERRER", "URL", "URI", "LOCATION"})
NETLOC = "NETLOC"  # of what urlparse() gives: userinfo without a scheme before it
SYNTAX_NAMES = COOKIE_NAMES | QUERY_NAMES | URL_NAMES | {NETLOC}

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+").findall
_NOT_HEADER = re.compile(r"[^A-Za-z0-9]+")


def _split_terms(names: Iterable[str] | str) -> frozenset[str]:
    if isinstance(names, str):
        names = re.split(r"[\s,]+", names)
    return frozenset(name.strip().lower() for name in names if name and name.strip())


class PrivateNames:
    """Tells private names.

    Args:
        scrub_keys: more terms, found as a part of any name, in any case.
        scrub_allow: names that stay as they are; a term of the default rules takes that rule away.
    """

    __slots__ = ("_allow", "_key_rule", "_loose", "_parts", "_words")

    def __init__(self, scrub_keys: Iterable[str] | str = (), scrub_allow: Iterable[str] | str = ()) -> None:
        allow = _split_terms(scrub_allow)
        self._parts = tuple(sorted((PART_TERMS | _split_terms(scrub_keys)) - allow))
        self._words = WORD_TERMS - allow
        self._key_rule = KEY_TERM not in allow
        self._loose = (*self._parts, *sorted(self._words), *((KEY_TERM,) if self._key_rule else ()))
        self._allow = allow

    def may_be_in(self, text: str) -> bool:
        """Whether *text* can hold a private name at all; quick, and true too often."""
        lowered = text.lower()
        squeezed = lowered.replace("_", "").replace("-", "").replace(".", "").replace("+", "")
        for term in self._loose:  # any() with a generator takes three times as long
            if term in lowered or term in squeezed:
                return True
        return "%" in text

    def kind_of(self, name: str, loose: bool = False) -> str:
        """What a value under *name* is: ``SECRET``, ``VALUE_OF`` what a name beside it says, one of ``SYNTAX_NAMES``,
        or ``""``.

        Args:
            loose: in headers, cookies and query parameters.
        """
        name = name.strip("'\" ")  # names of version 3 are quoted
        if "%" in name:
            name = unquote(name)
        lowered = name.lower()
        if lowered in self._allow or lowered.removeprefix("http_") in self._allow:
            return ""
        bare = _NOT_HEADER.sub("_", name).strip("_").upper()
        squeezed = bare.replace("_", "").lower()
        terms = self._loose if loose or name.startswith("HTTP_") else self._parts
        syntax = bare.removeprefix("HTTP_")
        if syntax in SYNTAX_NAMES:
            return syntax
        if any(term in lowered or term in squeezed for term in terms):
            return SECRET
        words = [word.lower() for word in _WORDS(name)]
        if any(word in self._words for word in words) or (self._key_rule and len(words) > 1 and KEY_TERM in words):
            return SECRET
        return VALUE_OF if bare == "VALUE" else ""
