"""Masks texts: messages, queries, cookies, headers, URLs, command lines. Pure.

A text goes through passes, one after the other, each of them linear. What the words of a name say is in ``words.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import heka_raven.scrub.names as kinds
import heka_raven.scrub.shapes as shapes
from heka_raven.scrub.names import MAX_ESCAPED, PrivateNames, lower, unescape
from heka_raven.scrub.texts import ASSIGNED, FLAG, Value, block_at, is_pair, is_parameter, line_value, value_at
from heka_raven.scrub.words import LIMITS, LINE_WORDS

MAX_KNOWN_NAMES = 4096
MAX_NAMES, MAX_MASKED, MAX_URLS = LIMITS["MAX_NAMES"], LIMITS["MAX_MASKED"], LIMITS["MAX_URLS"]
MAX_RUNS, MAX_PARAMETERS, MAX_COOKIES = LIMITS["MAX_RUNS"], LIMITS["MAX_PARAMETERS"], LIMITS["MAX_COOKIES"]
MAX_SAFE_NAME = 200  # characters; a longer name is cut when it is shown
MAX_PLAIN_TEXT = 64  # characters of a text that is remembered as one in which nothing is masked
MAX_PLAIN_TEXTS = 4096

# What a text needs so that any pass can find something; quick, and true too often. Each branch begins with a plain
# character: then re skips all others at once.
_BEARER = "(?:[eE][aA][rR][eE][rR]|[aA][sS][iI][cC])[ \\t]"
_FOUR = "[0-9]{3}[0-9 \\-][0-9]{4}"
_SHAPES = (
    r"""-(?:(?<=pat-)|(?<=xox[a-z]-)|(?<=sk-)(?:ant|proj)-)"""
    r"""|_(?:(?<=gh[pousr]_)|(?<=_pat_)|(?<=[sr]k_)(?:live|test)_)|J(?<=eyJ)"""
    rf"""|AKIA|ASIA|AIza|b{_BEARER}|B{_BEARER}|2{_FOUR}|3{_FOUR}|4{_FOUR}|5{_FOUR}|6{_FOUR}"""
)
_has_shape = re.compile(_SHAPES).search
_FOUND = (
    r"""=|:|--|</|'(?:,|[ ]must[ ])|"(?:,|[ ]must[ ])|Duplicate[ ]entry|Failing[ ]row|"""
    rf"{_SHAPES}"
)
is_suspicious = re.compile(rf"%|{_FOUND}").search
_is_plain_suspicious = re.compile(_FOUND).search  # nothing escaped

_AUTHORITY_END = re.compile(r"""[ \t\r\n\f\v/?#'"<>]""")
_URL_END = re.compile(r"""[ \t\r\n\f\v'"<>]""")
_PORT = re.compile(r"[0-9]{1,5}")
_SCHEME_MARKS = frozenset("+.-")
# A run that was escaped to stand in a parameter of a URL.
_ESCAPED = re.compile(r"""(?:(?<=[ \t\r\n\f\v&;,"'<>=])|\A)[^ \t\r\n\f\v&;,"'<>=%]*%[^ \t\r\n\f\v&;,"'<>=]*""")
_ELLIPSIS = "…"


class Masker:
    """Masks private values in texts.

    Args:
        scrub_keys, scrub_allow, send_pii: see :class:`heka_raven.scrub.names.PrivateNames`.
        mask: what a masked value becomes.
    """

    __slots__ = ("_kinds", "_loose_kinds", "_names", "mask", "plain_hashes", "public_names", "safe_names")

    def __init__(
        self,
        scrub_keys: Iterable[str] | str = (),
        scrub_allow: Iterable[str] | str = (),
        mask: str = "[Filtered]",
        send_pii: bool = False,
    ) -> None:
        self._names = PrivateNames(scrub_keys, scrub_allow, send_pii)
        self.mask = mask
        self._kinds: dict[Any, str] = {}
        self._loose_kinds: dict[Any, str] = {}
        self.safe_names: set[str] = set()  # names that need no look: the only answer on the hot path
        self.public_names: set[str] = set()  # those of them that do not begin with an underscore

        # Of short texts that were looked through, and in which nothing is to be masked, the hashes: most errors come
        # again. No text is kept, which may be the value of a private name; that two have one hash, of 64 bits and
        # with a seed of this process, is as good as never.
        self.plain_hashes: set[int] = set()

    # -- names --------------------------------------------------------------------------------------------------------

    @property
    def send_pii(self) -> bool:
        """Whether who the visitor is may be sent: address headers, REMOTE_USER, the user's e-mail."""
        return self._names.send_pii

    def is_secret(self, name: str, loose: bool = False) -> bool:
        """Whether a value under *name* is private; *loose* in query strings and forms."""
        return self._kind_of(name, loose) == kinds.SECRET

    def _kind_of(self, name: Any, loose: bool) -> str:
        """What a value under *name* is: private, a text with a syntax of its own, or ''."""
        if type(name) is str and len(name) > MAX_SAFE_NAME:
            return self._names.kind_of(name, loose)  # of a text: not worth its memory
        known = self._loose_kinds if loose else self._kinds
        kind = known.get(name)
        if kind is None:
            if len(known) >= MAX_KNOWN_NAMES:
                known.clear()
                self.safe_names.clear()
                self.public_names.clear()
            kind = known[name] = self._names.kind_of(name if type(name) is str else str(name), loose)
            self._remember(name, kind, loose)
        return kind

    def _remember(self, name: Any, kind: str, loose: bool) -> None:
        if not kind and not loose and type(name) is str and name.isascii() and not is_suspicious(name):
            self.safe_names.add(name)
            if name[:1] != "_":
                self.public_names.add(name)

    # -- texts --------------------------------------------------------------------------------------------------------

    def clean_text(self, text: str) -> str:
        """*text* without the secrets that can be told by a name before them, a URL's userinfo, a scheme, or a shape."""
        if hash(text) in self.plain_hashes:
            return text
        cleaned = self.clean_found(text) if is_suspicious(text) else text
        if cleaned == text:
            self.remember_plain(text)
        return cleaned

    def remember_plain(self, text: str) -> None:
        """Remember that nothing in *text* is to be masked, if it is short and ASCII."""
        if len(text) > MAX_PLAIN_TEXT or not text.isascii():
            return
        if len(self.plain_hashes) >= MAX_PLAIN_TEXTS:
            self.plain_hashes.clear()
        self.plain_hashes.add(hash(text))

    def clean_found(self, text: str) -> str:
        """:meth:`clean_text` of a text that is suspicious."""
        if "%" in text:
            text = self._mask_escaped(text)
        return self._mask_plain(text)

    def _mask_plain(self, text: str, deep: bool = False) -> str:
        """What :meth:`clean_text` does, without a look into what is escaped; *deep*: nor into cookies."""
        mask, is_secret = self.mask, self.is_secret
        if "form-data; name=" in text:
            return mask  # a multipart body: its values stand on lines of their own, away from their names
        if "-----BEGIN " in text:
            text = shapes.mask_pem(text, mask)
        if "://" in text and ("@" in text or text[-1] == _ELLIPSIS):
            text = self._mask_userinfo(text)
        text = shapes.mask_messages(text, mask, is_secret)
        if "=" in text or text.count(":") > text.count("://") or "'," in text or '",' in text:
            text = self._mask_assigned(ASSIGNED, text, deep)
        if "--" in text:
            text = self._mask_assigned(FLAG, text, True)
        if "</" in text:
            text = shapes.mask_elements(text, mask, is_secret)
        if _has_shape(text):
            text = shapes.mask_bearer(text, mask)
            text = shapes.mask_tokens(text, mask)
            text = shapes.mask_cards(text, mask)
        return text

    def _mask_userinfo(self, text: str) -> str:
        """URLs without what stands before their host; also a password with '/', '?' or '#' in it."""
        parts: list[str] = []
        done, length = 0, len(text)
        first_at = url_end = -1
        seen = 0
        mark = text.find("://")
        while mark >= 0:
            place = mark + 3
            before = text[mark - 1] if mark else ""
            next_place = place
            if before.isascii() and (before.isalnum() or before in _SCHEME_MARKS):
                seen += 1
                if seen > MAX_URLS:
                    parts += [text[done:place], self.mask]
                    done = length
                    break
                end = _find(_AUTHORITY_END, text, place)
                at = text.rfind("@", place, end)
                if at < 0 and end == length and text[-1] == _ELLIPSIS:
                    at = length  # cut inside its userinfo
                elif at < 0 and end < length and text[end] in "/?#" and _is_password(text, place, end):
                    if first_at < place:
                        first_at = text.find("@", place)
                        first_at = length if first_at < 0 else first_at
                    if url_end < place:
                        url_end = _find(_URL_END, text, place)
                    if first_at < url_end:
                        at = max(first_at, text.rfind("@", first_at, _find(_AUTHORITY_END, text, first_at)))
                if at >= 0:
                    parts += [text[done:place], self.mask]
                    done = next_place = at
            mark = text.find("://", next_place)
        parts.append(text[done:])
        return "".join(parts) if len(parts) > 1 else text

    def _mask_escaped(self, text: str) -> str:
        """Runs that were escaped to stand in a parameter of a URL."""
        parts: list[str] = []
        done = 0
        for seen, found in enumerate(_ESCAPED.finditer(text)):
            if seen == MAX_RUNS:
                parts += [text[done : found.start()], self.mask]
                done = len(text)
                break
            if self._holds_secret(unescape(found[0].replace("+", " "))):
                parts += [text[done : found.start()], self.mask]
                done = found.end()
        parts.append(text[done:])
        return "".join(parts) if len(parts) > 1 else text

    def _holds_secret(self, value: str) -> bool:
        """Whether there is a secret in *value*, of a parameter or a cookie, however often it is escaped."""
        for _ in range(MAX_ESCAPED):
            if _is_plain_suspicious(value) and self._mask_plain(value, True) != value:
                return True
            if "%" not in value and "+" not in value:
                break
            value, before = unescape(value.replace("+", " ")), value
            if value == before:
                break
        return False

    def _mask_assigned(
        self, pattern: re.Pattern[str], text: str, deep: bool = False, open_values: frozenset[str] = frozenset()
    ) -> str:
        """Mask what *pattern* finds assigned to private names. What is not private is searched for more.

        Args:
            deep: whether a cookie header is masked whole; or one in another would be looked at again and again.
            open_values: how values begin that stay, because another is put in their place later: ``%s``, ``{name}``.
        """
        parts: list[str] = []
        done = place = seen = masked_values = 0
        search, kind_of = pattern.search, self._kind_of
        is_flag = pattern is FLAG
        while (found := search(text, place)) is not None:
            if seen == MAX_NAMES or masked_values == MAX_MASKED:
                parts += [text[done : found.start()], self.mask]
                done = len(text)
                break
            seen += 1
            place = found.end()
            loose = is_parameter(text, found)
            kind = kind_of(found["name"], loose)
            if not kind and found["rest"]:
                kind = kind_of(found["rest"], loose)
            if not kind or kind not in _MASKED_KINDS or place >= len(text) or text[place] in open_values:
                continue
            mark = "" if is_flag else found["mark"]
            if mark == "," and not is_pair(text, found):
                continue
            value = self._value(text, found, kind, mark)
            if value is None:
                continue
            masked = self.mask
            if kind == kinds.DIRECTORY and text.startswith("/", value.start):
                continue
            if kind == kinds.COOKIE and not value.bracket and not deep:
                masked = self.clean_cookie(text[value.start : value.stop])
            parts += [text[done:place], text[place : value.start], masked, value.closing]
            done = place = value.end
            masked_values += 1
        parts.append(text[done:])
        return "".join(parts) if len(parts) > 1 else text

    def _value(self, text: str, found: re.Match[str], kind: str, mark: str) -> Value | None:
        if mark == ":":
            is_block, value = block_at(text, found)
            if is_block:
                return value
        value = value_at(text, found.end())
        if mark == ":" and (value is None or not value.closing):
            in_line = kind in (kinds.COOKIE, kinds.PERSONAL) and not (value is not None and value.bracket)
            if in_line or any(word in lower(found["name"]) for word in LINE_WORDS):
                return line_value(text, found)
        return value

    # -- texts with a syntax of their own -----------------------------------------------------------------------------

    def clean_cookie(self, text: str) -> str:
        """A cookie header: every cookie is kept by name; its value only where the name is known to be harmless."""
        parts = text.split(";", MAX_COOKIES)
        for index, part in enumerate(parts):
            if index == MAX_COOKIES:
                parts[index] = self.mask
                break
            name, _, value = part.partition("=")
            if not value.strip("="):
                # No name at all: a bare value, perhaps padded as base64 is.
                if part.strip(" \t") and not self._names.is_cookie_shown(name):
                    parts[index] = self.mask
            elif not self._names.is_cookie_shown(name) or self._holds_secret(value):
                parts[index] = f"{name}={self.mask}"
        return ";".join(parts)

    def clean_query(self, text: str) -> str:
        """A query string or an urlencoded form: parameter names may be percent-escaped."""
        parts = _PARAMETER_END.split(text, MAX_PARAMETERS)
        masked = False
        looks = _Looks(self)
        for index in range(0, len(parts), 2):
            part = parts[index]
            if index == 2 * MAX_PARAMETERS:
                parts[index] = self.mask
                break
            name, equals, value = part.partition("=")
            if not equals:
                # A body of JSON that was sent as a form; or the rest of a value with a ';' in it.
                masked = (masked and index > 0 and parts[index - 1] == ";") or looks.find(part)
                if masked and part:
                    parts[index] = self.mask
                continue
            kind = self._kind_of(name.replace("+", " "), True)
            masked = kind in _MASKED_KINDS and not (kind == kinds.DIRECTORY and value.startswith("/"))
            masked = masked or (("+" in value or is_suspicious(value) is not None) and looks.find(value))
            if masked:
                parts[index] = f"{name}={self.mask}"
            elif ("+" in name or is_suspicious(name)) and looks.find(name):
                parts[index] = f"{self.mask}={value}"
        return "".join(parts)

    def clean_url(self, text: str) -> str:
        """A URL, whole or from its path on."""
        if not is_suspicious(text):
            return text
        rest, question, query = text.partition("?")
        if not question:
            rest, hash_, fragment = rest.partition("#")
            return f"{self.clean_text(rest)}{hash_}{self.clean_query(fragment)}"
        query, hash_, fragment = query.partition("#")
        return f"{self.clean_text(rest)}?{self.clean_query(query)}{hash_}{self.clean_query(fragment)}"

    def clean_header(self, name: str, value: str) -> str:
        """The value of a header."""
        return self._clean_by_kind(self._kind_of(name, False), value)

    def _clean_by_kind(self, kind: str, value: str) -> str:
        if kind in (kinds.SECRET, kinds.PERSONAL):
            return self.mask
        if kind == kinds.COOKIE:
            return self.clean_cookie(value)
        if kind == kinds.QUERY and " " not in value:
            return self.clean_query(value)
        if kind == kinds.URL:
            return self.clean_url(value)
        if kind == kinds.NETLOC:
            _, at, host = value.rpartition("@")
            return f"{self.mask}@{host}" if at else value
        if kind == kinds.DIRECTORY:
            return value if value.lstrip("'\"").startswith("/") else self.mask
        return self.clean_text(value)

    def mask_flags(self, node: list[Any]) -> None:
        """Mask what follows a private flag in a list of a command's words: ``["--password", "x"]``."""
        for index, word in enumerate(node[:-1]):
            if type(word) is not str:
                continue
            flag = word.strip("'\"")  # in quotes under protocol 3
            if flag[:1] == "-" and "=" not in flag and self.is_secret(flag.lstrip("-")):
                value = node[index + 1]
                if type(value) is not str or value.lstrip("'\"")[:1] != "-":
                    node[index + 1] = self.mask

    def clean_argv(self, words: list[str]) -> list[str]:
        """The words of a command."""
        out: list[Any] = list(words)
        self.mask_flags(out)
        return [self.clean_text(word) for word in out]


class _Looks:
    """Looks into what is escaped in one query: so many, and no more."""

    __slots__ = ("_masker", "_seen")

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._seen = 0

    def find(self, text: str) -> bool:
        """Whether there is a secret in *text*; or one look too many."""
        if "%" in text:
            self._seen += 1
            if self._seen > MAX_RUNS:
                return True
        return self._masker._holds_secret(text)


_PARAMETER_END = re.compile(r"([&;])")
_MASKED_KINDS = frozenset({kinds.SECRET, kinds.PERSONAL, kinds.COOKIE, kinds.DIRECTORY})


def _find(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.search(text, place)
    return len(text) if found is None else found.start()


def _is_password(text: str, place: int, end: int) -> bool:
    """Whether there is ``user:password`` from *place* to *end*, and not a host and its port."""
    colon = text.find(":", place + 1, end)
    return colon > 0 and text[place] != "[" and _PORT.fullmatch(text, colon + 1, end) is None
